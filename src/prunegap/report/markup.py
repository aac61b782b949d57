"""Text that is safe to put into HTML or SVG, told apart by its type from text that is not.

Only `text` and `element` make Markup out of strings, and both escape. A study may hold any string (names of files,
reasons, versions), so whatever reaches a page goes through one of them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from typing import Any, NewType

Markup = NewType("Markup", str)
"""HTML or SVG in which every foreign string is escaped."""

Attribute = str | float | bool | None
NOTHING = Markup("")

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
"""Characters that no XML document may hold, however they are written."""


_VOID = ("input",)
"""HTML elements without an end."""


def text(words: object) -> Markup:
    """Return the words as text content or attribute value: &, <, > and quotes escaped, forbidden characters shown."""
    return Markup(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(words))))


def number(value: float) -> str:
    """Return a coordinate with one digit after the point, none where it is 0."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def element(tag: str, *children: Markup, **attributes: Attribute) -> Markup:
    """Return `<tag attributes>children</tag>`.

    Attributes: `class_` stands for class, other underscores for hyphens; None and False leave one out, True writes
    its name alone, floats are coordinates with one digit after the point.
    """
    told = "".join(_attribute(name, value) for name, value in attributes.items())
    return Markup(f"<{tag}{told}>" if tag in _VOID else f"<{tag}{told}>{''.join(children)}</{tag}>")


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    said = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {said}"
    return f' {said}="{number(value) if isinstance(value, float) else text(value)}"'


def joined(parts: Iterable[Markup], between: str = "") -> Markup:
    """Return the parts one after the other; `between` is text."""
    return Markup(text(between).join(parts))


def data_block(name: str, value: Any) -> Markup:
    """Return a script element that holds `value` as JSON and runs nothing; no string in it can close it."""
    written = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{text(name)}">{written}</script>')
