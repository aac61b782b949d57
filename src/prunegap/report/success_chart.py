"""The figure of success: the share of random networks of width n that hold a ticket, one curve an epsilon.

A curve is a step function. Where intervals are open, the share is only known to lie between the seeds that surely
have a ticket and those that possibly do; both are drawn, with the band between them. Nothing smooth is laid over a
handful of seeds. One epsilon is drawn strong, the others faint; on the page the reader chooses which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from prunegap.report.axes import Plot, Scale, area, label, polyline
from prunegap.report.figure import Drawing, Figure
from prunegap.report.markup import Markup, element, joined
from prunegap.report.panel import round_numbers
from prunegap.report.width_chart import setting, stem
from prunegap.study.summary import Block

if TYPE_CHECKING:
    from prunegap.laws.success import SuccessCurve

SHARES = ((0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (1.0, "100 %"))


def success_figure(block: Block, curves: Sequence[SuccessCurve], places: Mapping[str, int]) -> Figure:
    """Return the figure of the block's success curves, of which there must be one; `places` are palette.slots."""
    strong = min(curve.epsilon for curve in curves)
    return Figure(
        f"success-{stem(block)}",
        "How likely is a ticket at width n?",
        f"{setting(block)}. Strong: ε = {strong:g}; faint: larger ε. Band: seeds whose interval is still open.",
        _told(curves),
        _drawing(block, curves, places, is_wide=True),
        _drawing(block, curves, places, is_wide=False),
    )


def half_width(curve: SuccessCurve) -> int | None:
    """Return the least width at which at least half of the seeds surely hold a ticket, or None."""
    for width, share in zip(curve.widths, curve.proven_low, strict=True):
        if share >= 0.5:
            return int(width)
    return None


def _told(curves: Sequence[SuccessCurve]) -> str:
    said = []
    for curve in curves:
        width = half_width(curve)
        reached = "at no width measured" if width is None else f"from width {width}"
        said.append(f"{curve.granularity} pruning at epsilon {curve.epsilon:g}: half of the seeds {reached}")
    return "; ".join(said) + "."


def _drawing(block: Block, curves: Sequence[SuccessCurve], places: Mapping[str, int], is_wide: bool) -> Drawing:
    width, height = (720.0, 340.0) if is_wide else (330.0, 320.0)
    left, right, bottom = (58.0, width - 118.0, height - 56.0) if is_wide else (50.0, width - 12.0, height - 56.0)
    least = min(int(width) for curve in curves for width in curve.widths if width > 0)
    most = max(int(curve.widths[-1]) for curve in curves)
    low, high = least / 1.3, max(most, 3 * least) * 1.25
    plot = Plot(Scale(low, high, left, right, is_log=True), Scale(0.0, 1.0, bottom, 40.0))
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    strong = epsilons[-1]
    ticks = [(tick, f"{tick:g}") for tick in round_numbers(low, high)]
    parts = [
        plot.horizontal(SHARES, "share of seeds whose network holds a ticket"),
        plot.vertical(ticks, "width n (hidden neurons, log scale)"),
    ]
    parts += [
        _curve(curve, plot, places[curve.granularity], epsilons.index(curve.epsilon), curve.epsilon == strong)
        for curve in sorted(curves, key=lambda curve: -curve.epsilon)
    ]
    if is_wide:
        parts.append(_labels(curves, plot, places))
    return Drawing(width, height, joined(parts))


def _curve(curve: SuccessCurve, plot: Plot, place: int, index: int, is_strong: bool) -> Markup:
    low, high = _steps(curve, plot, curve.proven_low), _steps(curve, plot, curve.proven_high)
    chance = [_steps(curve, plot, shares) for shares in (curve.low, curve.high)]
    stroke = {"class_": f"s{place}", "stroke_linejoin": "round"}
    return element(
        "g",
        area(chance[0], chance[1], class_=f"f{place} chance", fill_opacity="0.13", display="none"),
        area(low, high, class_=f"f{place}", fill_opacity="0.2") if low != high else Markup(""),
        polyline(low, **stroke),
        polyline(high, **stroke) if low != high else Markup(""),
        class_=f"g{place} curve e{index}{' strong' if is_strong else ''}",
        stroke_width="3" if is_strong else "1.2",
        stroke_opacity=None if is_strong else "0.35",
    )


def _steps(curve: SuccessCurve, plot: Plot, shares: Iterable[float]) -> list[tuple[float, float]]:
    level = plot.y(float(next(iter(shares))))
    points = [(plot.left, level)]
    for width, share in zip(curve.widths, shares, strict=True):
        x = plot.x(min(max(float(width), plot.x.low), plot.x.high))
        points += [(x, level), (x, plot.y(float(share)))]
        level = plot.y(float(share))
    return [*points, (plot.right, level)]


def _labels(curves: Sequence[SuccessCurve], plot: Plot, places: Mapping[str, int]) -> Markup:
    """Return the names of the granularities as a key in the right margin."""
    present = [name for name in places if any(curve.granularity == name for curve in curves)]
    return joined(
        label(plot.right + 14, plot.top + 18 + 20 * i, f"{name}", class_=f"t{places[name]} g{places[name]} strong")
        for i, name in enumerate(present)
    )
