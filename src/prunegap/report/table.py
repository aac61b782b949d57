"""The table on standard output: medians with the range over seeds, open intervals marked."""

from __future__ import annotations

import math
from collections.abc import Callable

from prunegap.study.summary import Block, Span, Statistic

FOOTNOTE = "* some intervals are open: numbers are proven ends; 81+ means at least 81, no ticket found"


def table(block: Block) -> str:
    """Return the block as aligned plain text, one line an epsilon."""
    header = ["eps", *(f"{name} width" for name in block.granularities)]
    paired = {"weight", "neuron"} <= set(block.granularities)
    lines = [[*header, "ratio"] if paired else header]
    for epsilon in block.epsilons:
        cells = [statistic_text(block.width(epsilon, name)) for name in block.granularities]
        lines.append(
            [f"{epsilon:g}", *cells, *([statistic_text(block.ratio(epsilon), ratio_text)] if paired else [])]
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    body = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    text = "\n".join([title(block), body[0], rule, *body[1:]])
    return f"{text}\n{FOOTNOTE}" if "*" in text else text


def title(block: Block) -> str:
    """Return what the block is about, in one line."""
    seeds = len(block.seeds)
    count = "1 seed" if seeds == 1 else f"{seeds} seeds: median (range)"
    return f"d = {block.dimension}, {block.readout} readout, {block.initialisation} init, {count}"


def number_text(number: float) -> str:
    """Return a whole number without a point, half of one with it."""
    return f"{number:.0f}" if number == int(number) else f"{number:.1f}"


def ratio_text(number: float) -> str:
    """Return two digits after the point."""
    return f"{number:.2f}"


Numerals = Callable[[float], str]


def statistic_text(statistic: Statistic | None, numerals: Numerals = number_text) -> str:
    """Return for example `40 (20-45)`, `39-45* (20-60)` or `81+* (41-120+)`; a dash for nothing."""
    if statistic is None:
        return "-"
    middle = span_text(statistic.median, numerals) + ("" if statistic.is_known else "*")
    if len(statistic.spans) == 1:
        return middle
    low, high = statistic.least.low, statistic.greatest
    if math.isinf(high.high):
        top = "" if high.low == low else f"-{numerals(high.low)}"
        return f"{middle} ({numerals(low)}{top}+)"
    return f"{middle} ({numerals(low)}-{numerals(high.high)})"


def span_text(span: Span, numerals: Numerals = number_text) -> str:
    """Return `40`, `39-45`, or, without an upper end, `81+`."""
    if math.isinf(span.high):
        return f"{numerals(span.low)}+"
    return numerals(span.low) if span.is_known else f"{numerals(span.low)}-{numerals(span.high)}"
