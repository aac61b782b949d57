"""The comparison as plain text: one line a point, then the sentence of advice."""

from __future__ import annotations

from collections.abc import Callable

from prunegap.trained.compare.advice import advice
from prunegap.trained.compare.point import Comparison, Point, Setting
from prunegap.trained.timing import Span

HEADER = ("granularity", "budget", "weights", "quality", "MACs", "bytes", "ms", "speed-up")


def told(comparison: Comparison) -> str:
    """Return title, table and advice."""
    return f"{title(comparison)}\n{table(comparison)}\n\n{advice(comparison)}"


def title(comparison: Comparison) -> str:
    """Return what was compared and how, in one line."""
    setting = comparison.setting
    threads = "1 thread" if setting.threads == 1 else f"{setting.threads} threads"
    repeats = "1 repeat" if setting.repeats == 1 else f"{setting.repeats} repeats: median (range)"
    budgets = "" if setting.budget_of == "weights" else f"; budgets are of {budget_noun(setting)}"
    graphs = " as CUDA graphs" if setting.cuda_graphs else ""
    return (
        f"{setting.model}: {setting.measure}, {repeats}; {setting.device}{graphs}, batch {setting.batch}, "
        f"{threads}{budgets}"
    )


def budget_noun(setting: Setting) -> str:
    """Return what budgets are fractions of, in words."""
    return "weights and of latency" if setting.budget_of == "both" else setting.budget_of


def table(comparison: Comparison) -> str:
    """Return aligned columns; a point that is not done has its status and reason instead."""
    lines = [list(HEADER), *([*row] for row in map(_row, [comparison.dense, *comparison.done]))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    body = ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    missing = [
        f"{p.granularity} at {p.keep_fraction:g}: {p.status.value}: {' '.join(p.reason.split())}"
        for p in comparison.points
        if not p.is_done
    ]
    return "\n".join([body[0], rule, *body[1:], *missing])


def _row(point: Point) -> tuple[str, ...]:
    return (
        point.granularity,
        f"{point.keep_fraction:g}",
        amount(point.cost("weights")),
        spread(point.quality, lambda q: f"{q:.4f}"),
        amount(point.cost("multiply_adds")),
        amount(point.cost("bytes")),
        milliseconds(point.seconds),
        spread(point.speedup, lambda s: f"{s:.2f}"),
    )


def amount(number: float) -> str:
    """Return a count with three digits: 512, 26.6 k, 1.07 M, 3.2 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def milliseconds(span: Span | None) -> str:
    """Return the median in milliseconds with three digits."""
    return "-" if span is None else f"{1e3 * span.median:.3g}"


def spread(span: Span | None, numerals: Callable[[float], str]) -> str:
    """Return `2.10 (2.02-2.15)`, or one number where all three read the same."""
    if span is None:
        return "-"
    low, middle, high = numerals(span.low), numerals(span.median), numerals(span.high)
    return middle if low == middle == high else f"{middle} ({low}-{high})"
