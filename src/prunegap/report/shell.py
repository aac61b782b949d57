"""What every page of prunegap shares: head, colours, security policy, header, footer. A page gives its own parts.

The content security policy allows the page's own style and script by their digests and nothing else: whatever slipped
through the escaping of Markup would still not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from prunegap import __version__
from prunegap.report import palette, sections
from prunegap.report.markup import NOTHING, Markup, element, joined, text


@dataclass(frozen=True)
class Shell:
    """What a page puts into the shell; `places`: (anchor, words) of its navigation; its `styles` and `scripts`."""

    title: str
    name: str
    places: Sequence[tuple[str, str]]
    headline: Markup
    facts: Markup
    limits: Markup
    parts: Markup
    data: Markup
    styles: Sequence[str]
    scripts: Sequence[str]


def whole_page(shell: Shell) -> str:
    """Return the page as HTML that needs no other file."""
    style = ("".join(map(asset, shell.styles)) + palette.for_pages()).replace("</", "<\\/")
    script = "".join(map(asset, shell.scripts))
    return Template(asset("shell.html")).substitute(
        style_hash=_digest(style),
        script_hash=_digest(script),
        style=style,
        script=script,
        version=text(__version__),
        title=text(shell.title),
        name=text(shell.name),
        navigation=joined([element("a", text(words), href=f"#{anchor}") for anchor, words in shell.places], " "),
        headline=shell.headline,
        facts=shell.facts,
        limits=shell.limits,
        parts=shell.parts,
        data=shell.data,
    )


def limits_part(heading: str, sentences: Sequence[str]) -> Markup:
    """Return the section of what the page cannot say; nothing where there is nothing."""
    if not sentences:
        return NOTHING
    title = element("h2", text(heading), id="limits")
    return element("section", title, sections.bullets(sentences), class_="limits", aria_labelledby="limits")


def asset(name: str) -> str:
    """Return a file that pages are put together from."""
    return (files("prunegap.report") / "page" / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    """Return the source expression that allows exactly this inline content."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
