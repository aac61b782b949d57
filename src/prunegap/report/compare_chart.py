"""Quality against a cost: every point with its intervals, the Pareto front, the dense model's quality as a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from prunegap.report.axes import Plot, Scale, label, line, marker, polyline
from prunegap.report.figure import Drawing, Figure
from prunegap.report.markup import Markup, element, joined, text
from prunegap.report.palette import STYLES
from prunegap.trained.compare.point import Comparison, Point
from prunegap.trained.compare.text import amount, spread
from prunegap.trained.timing import Span

SIZES = {"wide": (880.0, 460.0), "narrow": (420.0, 400.0)}
LEFT, RIGHT, TOP, BELOW = 64.0, 24.0, 40.0, 56.0
COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "seconds": ("measured latency, ms", lambda s: f"{1e3 * s:.3g}"),
    "weights": ("weights kept", amount),
    "multiply_adds": ("multiply-adds of one batch", amount),
    "bytes": ("bytes of the model as it runs", amount),
}
"""What quality is set against: the title of the axis, and how a number of it is written."""


def front_figure(comparison: Comparison, cost: str, places: Mapping[str, int]) -> Figure:
    """Return the figure of quality against one of COSTS; `places` are the granularities' colours."""
    title, numerals = COSTS[cost]
    front = comparison.front(cost)
    told = ", ".join(f"{named(p)} ({numerals(p.cost(cost))}, {quality(p)})" for p in front)
    setting = comparison.setting
    return Figure(
        f"front-{cost.replace('_', '-')}",
        f"{setting.measure} by {title}",
        f"{setting.model}, batch {setting.batch}, {setting.threads} threads, {setting.device}",
        f"{setting.measure} against {title}. On the Pareto front, cheapest first: {told}.",
        *(_drawing(comparison, cost, places, size) for size in ("wide", "narrow")),
    )


def named(point: Point) -> str:
    """Return the point's name: its granularity and budget."""
    return "dense" if point.granularity == "dense" else f"{point.granularity} at {point.keep_fraction:.3g}"


def quality(point: Point) -> str:
    """Return the median quality with four digits after the point."""
    return "–" if point.quality is None else f"{point.quality.median:.4f}"


def _drawing(comparison: Comparison, cost: str, places: Mapping[str, int], size: str) -> Drawing:
    width, height = SIZES[size]
    points = [comparison.dense, *comparison.done]
    plot = Plot(
        Scale(*_room([v for p in points for v in _span(p, cost)]), LEFT, width - RIGHT, is_log=True),
        Scale(*_heights(points), height - BELOW, TOP),
    )
    numerals = COSTS[cost][1]
    below = [(value, numerals(value)) for value in log_ticks(plot.x.low, plot.x.high)]
    dense = plot.y(_middle(comparison.dense))
    front = comparison.front(cost)
    at = plot.x(comparison.dense.cost(cost))
    parts = [
        plot.horizontal([(v, f"{v:.4g}") for v in linear_ticks(plot.y.low, plot.y.high)], comparison.setting.measure),
        plot.vertical(below, COSTS[cost][0]),
        line(plot.left, dense, plot.right, dense, class_="guide"),
        _front(front, cost, plot),
        *[_series(comparison, name, place, cost, plot) for name, place in places.items()],
        element("g", element("title", text(_said(comparison.dense, cost))),
                marker("circle", at, dense, 6, class_="ink hollow", stroke_width="2")),
        label(min(at, plot.right - 40), dense - 12, "dense", class_="strong", text_anchor="middle"),
    ]  # fmt: skip
    return Drawing(width, height, joined(parts))


def _front(front: Sequence[Point], cost: str, plot: Plot) -> Markup:
    """Return the front as steps: at any cost, the best quality that is to be had for it."""
    corners: list[tuple[float, float]] = []
    for point in front:
        x, y = plot.x(point.cost(cost)), plot.y(_middle(point))
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    return polyline(corners, class_="axis front", stroke_width="6", stroke_opacity="0.35", stroke_linejoin="round")


def _series(comparison: Comparison, name: str, place: int, cost: str, plot: Plot) -> Markup:
    points = sorted((p for p in comparison.done if p.granularity == name), key=lambda p: p.keep_fraction)
    parts = [polyline([(plot.x(p.cost(cost)), plot.y(_middle(p))) for p in points], class_=f"s{place}",
                      stroke_width="1.5", stroke_opacity="0.6")]  # fmt: skip
    for point in points:
        x, y = plot.x(point.cost(cost)), plot.y(_middle(point))
        assert point.quality is not None
        low, high = _span(point, cost)
        parts += [
            line(x, plot.y(point.quality.low), x, plot.y(point.quality.high), class_=f"s{place} range"),
            line(plot.x(low), y, plot.x(high), y, class_=f"s{place} range"),
            element("g", element("title", text(_said(point, cost))),
                    marker(STYLES[place].marker, x, y, 5.5, class_=f"f{place} halo")),
        ]  # fmt: skip
    return element("g", *parts, class_=f"g{place}")


def _said(point: Point, cost: str) -> str:
    title, numerals = COSTS[cost]
    return (
        f"{named(point)}: quality {spread(point.quality, lambda q: f'{q:.4f}')}, {title} {numerals(point.cost(cost))}"
    )


def _span(point: Point, cost: str) -> tuple[float, float]:
    value = getattr(point, cost)
    return (value.low, value.high) if isinstance(value, Span) else (float(value), float(value))


def _middle(point: Point) -> float:
    assert point.quality is not None
    return point.quality.median


def _room(values: Sequence[float]) -> tuple[float, float]:
    low, high = max(min(values), 1e-12), max(*values, 1e-12)
    return low / 1.25, high * 1.25


def _heights(points: Sequence[Point]) -> tuple[float, float]:
    values = [v for p in points if p.quality is not None for v in (p.quality.low, p.quality.high)]
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05 * (abs(high) or 1.0)
    return low - margin, high + margin


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten between low and high; powers alone where that is more than nine."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    tens = [10.0**p for p in powers if low <= 10.0**p <= high]
    return tens if len(every) > 9 and len(tens) > 1 else every


def linear_ticks(low: float, high: float) -> list[float]:
    """Return four to eight round numbers between low and high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (m * step) <= 7)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
