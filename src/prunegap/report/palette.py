"""One colour and one marker for each granularity, the same on every picture, in light and dark.

The hues are Okabe and Ito's, which every common kind of colour blindness tells apart; markers say it once more.
Letters need more contrast than areas, so each hue has a darker tone for text on white, and one tone for dark paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prunegap.model.granularity import Block, NOfM, parse_granularity


@dataclass(frozen=True)
class Style:
    """A place in the palette: mark and text colour on white, colour on dark, and the marker's name."""

    mark: str
    letters: str
    dark: str
    marker: str


STYLES = (
    Style("#0072B2", "#00619A", "#4FB3F2", "circle"),
    Style("#D55E00", "#B34E00", "#FF8C42", "square"),
    Style("#009E73", "#00704F", "#2CCB9B", "triangle"),
    Style("#CC79A7", "#9C3D72", "#F0A3CB", "diamond"),
    Style("#56B4E9", "#1B6F9E", "#9AD7FF", "wedge"),
    Style("#E69F00", "#855A00", "#F6BC45", "cross"),
    Style("#777777", "#5C5C5C", "#BDBDBD", "bar"),
)
FIXED = {"weight": 0, "neuron": 1, "2:4": 2, "block:2": 3, "1:4": 4, "block:4": 5}
"""Granularities that keep their place whatever else a study holds."""

INK, MUTED, PALE, GRID, PAPER = (
    ("#1C2126", "#E9ECEF"),
    ("#59626C", "#A9B1BA"),
    ("#9AA3AC", "#66707A"),
    ("#E4E7EA", "#2B3138"),
    ("#FFFFFF", "#14181C"),
)


def slots(names: Iterable[str], among: Iterable[str] = ()) -> dict[str, int]:
    """Return the place of every granularity, in order from single weights to whole neurons.

    `among` are all granularities of the page, so that one has the same place in every picture of it.
    """
    named = set(names)
    ordered = sorted({*named, *among}, key=_coarseness)
    taken = {name: FIXED[name] for name in ordered if name in FIXED}
    for name in ordered:
        if name not in taken:
            free = [i for i in range(len(STYLES)) if i not in taken.values()]
            taken[name] = free[0] if free else len(taken) % len(STYLES)
    return {name: taken[name] for name in ordered if name in named}


def _coarseness(name: str) -> tuple[float, ...]:
    granularity = parse_granularity(name)
    if isinstance(granularity, NOfM):
        return (1.0, granularity.kept / granularity.group, granularity.group)
    if isinstance(granularity, Block):
        return (2.0, granularity.length)
    return (0.0,) if name == "weight" else (3.0,)


def rules(pick: Callable[[str, str], str]) -> str:
    """Return the style rules of all pictures; `pick` says how to write a colour that is light on paper or dark."""
    said = [
        f"svg text{{fill:{pick(*INK)};font-family:Helvetica,Arial,'Liberation Sans',sans-serif;font-size:13px}}",
        f"svg .muted{{fill:{pick(*MUTED)}}}svg .strong{{font-weight:700}}",
        f"svg .grid{{stroke:{pick(*GRID)};fill:none}}svg .axis{{stroke:{pick(*PALE)};fill:none}}",
        f"svg .paper{{fill:{pick(*PAPER)}}}svg .dropped{{stroke:{pick(*PALE)};fill:none}}",
        f"svg .ink{{stroke:{pick(*INK)};fill:none}}svg .inkfill{{fill:{pick(*INK)}}}",
    ]
    for i, style in enumerate(STYLES):
        mark, letters = pick(style.mark, style.dark), pick(style.letters, style.dark)
        said.append(f"svg .f{i}{{fill:{mark}}}svg .s{i}{{stroke:{mark};fill:none}}svg .t{i}{{fill:{letters}}}")
    said.append(f"svg .hollow{{fill:{pick(*PAPER)}}}")
    return "".join(said)


def for_files() -> str:
    """Return the rules with the light colours, as every reader of SVG understands them."""
    return rules(lambda light, dark: light)


def for_pages() -> str:
    """Return the rules with both colours; the page's colour scheme chooses."""
    return rules(lambda light, dark: f"light-dark({light},{dark})")
