"""Two figures of one block: the proven widths against epsilon, and the laws and bounds beside them.

A dot is a closed interval of one seed, a bar an open one, an arrow one without an upper end. Lines join medians;
where a median is only known to lie between two numbers, both are drawn with the band between them. Nothing is
extrapolated: a law is drawn inside the range of epsilon that supports it, a published bound with the one constant
that touches the medians and contradicts none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunegap.report.axes import Plot, Scale, area, arrow, dots, label, marker, polyline
from prunegap.report.figure import Drawing, Figure
from prunegap.report.markup import Markup, element, joined, number
from prunegap.report.palette import STYLES
from prunegap.report.panel import Label, Panel, Point, round_numbers, spread
from prunegap.report.table import span_text
from prunegap.study.summary import Block, Span

if TYPE_CHECKING:
    from prunegap.laws.fit import Fit

LEAST_DECADE = 4.0
"""Least quotient of the ends of the axis of widths: a narrower one would make noise look like a law."""
ACCURACY = "error allowed, ε (finer to the right, log scale)"
WIDTH = "minimal width n (hidden neurons, log scale)"


@dataclass(frozen=True)
class Law:
    """A fit to draw for one granularity; `is_shown` where the data prefer it, or prefer none."""

    granularity: str
    fit: Fit
    is_shown: bool


def stem(block: Block) -> str:
    """Return the part of a file's name that tells the blocks of a study apart."""
    return f"d{block.dimension}-{block.readout}-{block.initialisation}"


def setting(block: Block) -> str:
    """Return what the block is about: dimension, readout, initialisation, seeds."""
    seeds = "1 seed" if len(block.seeds) == 1 else f"{len(block.seeds)} seeds"
    return f"d = {block.dimension}, {block.readout} readout, {block.initialisation} init, {seeds}"


def width_figure(panel: Panel) -> Figure:
    """Return the figure of every proven interval and the medians; the panel must not be empty."""
    block = panel.block
    return Figure(
        f"width-{stem(block)}",
        "Minimal width by the accuracy asked for",
        f"{setting(block)}. Dots: proven minimal. Bars: still open. Arrows: no ticket found. Lines: medians.",
        _told(panel),
        _drawing(panel, is_wide=True),
        _drawing(panel, is_wide=False),
    )


def law_figure(panel: Panel, laws: Sequence[Law]) -> Figure:
    """Return the figure of the fitted laws (95 % bands) and the published bounds; files hold the shown laws only."""
    block = panel.block
    told = [f"{law.granularity}: {law.fit.family.formula}" for law in laws if law.is_shown]
    bounds = [f"published bound, scaled to touch: {name}" for name in panel.bounds]
    return Figure(
        f"laws-{stem(block)}",
        "Fitted laws and published bounds",
        f"{setting(block)}. Solid: law, 95 % band; two where undecided. Dashed: bound, scaled to touch.",
        "; ".join([*told, *bounds]) + ". Markers are the medians.",
        _drawing(panel, is_wide=True, laws=laws),
        _drawing(panel, is_wide=False, laws=laws),
    )


def _told(panel: Panel) -> str:
    """Return the medians in words, for those who cannot see the lines."""
    said = []
    for name in panel.block.granularities:
        points = [point for point in panel.medians if point["granularity"] == name]
        ends = [f"{_span(point)} at epsilon {1.0 / point['inverse']:g}" for point in points]
        said.append(f"{name} pruning: {', '.join(ends)}" if ends else f"{name} pruning: no median")
    return f"Median minimal widths over {len(panel.block.seeds)} seeds. {'; '.join(said)}."


def _span(point: Point) -> str:
    return span_text(Span(point["low"], math.inf if point["high"] is None else point["high"]))


def _drawing(panel: Panel, is_wide: bool, laws: Sequence[Law] | None = None) -> Drawing:
    width, height = (720.0, 430.0) if is_wide else (330.0, 400.0)
    right = (118.0 if laws is None else 214.0) if is_wide else 62.0
    low, high = _ends(panel)
    left, right, bottom = 46.0 if is_wide else 36.0, width - right, height - 56.0
    first, last = panel.inverses[0] / 1.15, panel.inverses[-1] * 1.15
    plot = Plot(Scale(first, last, left, right, is_log=True), Scale(low, high, bottom, 40.0, is_log=True))
    ticks = [(inverse, f"{1.0 / inverse:.6g}") for inverse in panel.inverses]
    parts = [
        plot.horizontal([(tick, f"{tick:g}") for tick in round_numbers(low, high)], WIDTH),
        plot.vertical(ticks, ACCURACY if is_wide else "error allowed, ε (finer →)"),
    ]
    places = panel.places
    if laws is not None:
        parts.append(_bounds(panel, plot, places))
        parts += [_law(panel.block, law, plot, places[law.granularity]) for law in laws]
    parts += [_granularity(panel, name, plot, place, laws is None) for name, place in places.items()]
    parts.append(_labels(panel, plot, places, is_wide, laws is not None))
    guides = tuple(plot.x(inverse) for inverse in panel.inverses) if laws is None else ()
    return Drawing(width, height, joined(parts), guides)


def _ends(panel: Panel) -> tuple[float, float]:
    drawn = [point[end] for point in panel.seeds for end in ("low", "high")]
    low, high = min(drawn) / 1.25, max(drawn) * 1.25
    stretch = max(1.0, LEAST_DECADE * low / high) ** 0.5
    return low / stretch, high * stretch


def _granularity(panel: Panel, name: str, plot: Plot, place: int, has_lines: bool) -> Markup:
    """Return everything measured of one granularity: seeds below, medians above."""
    seeds = [point for point in panel.seeds if point["granularity"] == name]
    medians = [point for point in panel.medians if point["granularity"] == name]
    radius = 4.2 if has_lines else 3.6
    shapes = [shape for point in medians for shape in _markers(point, plot, place, radius)]
    lines = _medians(medians, plot, place) if has_lines else []
    return element(
        "g",
        element("g", *_seeds(seeds, plot, place), class_="seeds"),
        element("g", *lines, *shapes, class_="medians"),
        class_=f"g{place}",
    )


def _markers(point: Point, plot: Plot, place: int, radius: float) -> list[Markup]:
    """Return the marker of a median that is known, or hollow ones at the ends it is known to lie between."""
    x, name = plot.x(point["inverse"]), STYLES[place].marker
    if point["low"] == point["high"]:
        return [marker(name, x, plot.y(point["low"]), radius, class_=f"f{place} halo")]
    ends = [point["low"]] if point["high"] is None else [point["low"], point["high"]]
    return [marker(name, x, plot.y(end), radius, class_=f"s{place} hollow", stroke_width="1.8") for end in ends]


def _middle(point: Point) -> float:
    return math.sqrt(point["low"] * (point["high"] or point["low"]))


def _seeds(points: Sequence[Point], plot: Plot, place: int) -> list[Markup]:
    def at(status: str) -> list[tuple[float, float, float]]:
        chosen = [point for point in points if point["status"] == status]
        return [(plot.x(point["inverse"]), plot.y(point["low"]), plot.y(point["high"])) for point in chosen]

    bars = "".join(f"M{number(x)} {number(low)}V{number(high)}" for x, low, high in at("open"))
    open_ = [element("path", d=bars, class_=f"s{place}", stroke_width=3.0, stroke_opacity="0.55")] if bars else []
    return [
        dots([(x, low) for x, low, _ in at("closed")], 5.0, class_=f"s{place}", stroke_opacity="0.45"),
        *open_,
        *[arrow(x, low, class_=f"s{place}", stroke_width="1.6") for x, low, _ in at("censored")],
    ]


def _medians(points: Sequence[Point], plot: Plot, place: int) -> list[Markup]:
    bounded = [point for point in points if point["high"] is not None]
    low = [(plot.x(point["inverse"]), plot.y(point["low"])) for point in points]
    high = [(plot.x(point["inverse"]), plot.y(point["high"])) for point in bounded]
    between = [(plot.x(point["inverse"]), plot.y(point["low"])) for point in bounded]
    beyond = [point for point in points if point["high"] is None]
    stroke = {"class_": f"s{place}", "stroke_width": "2.6", "stroke_linejoin": "round"}
    return [
        area(between, high, class_=f"f{place}", fill_opacity="0.16"),
        polyline(low, **stroke),
        polyline(high, **stroke) if between != high else Markup(""),
        *[
            arrow(plot.x(p["inverse"]), plot.y(p["low"]), 24.0, class_=f"s{place}", stroke_width="2.4")
            for p in beyond
        ],
    ]


def _bounds(panel: Panel, plot: Plot, places: Mapping[str, int]) -> Markup:
    curves = []
    for points in panel.bounds.values():
        place = places[points[0]["granularity"]]
        inside = [(plot.x(p["inverse"]), plot.y(p["width"])) for p in points if _is_inside(plot, p["width"])]
        curve = polyline(inside, class_=f"s{place}", stroke_width="1.4", stroke_dasharray="5 4")
        curves.append(element("g", curve, class_=f"g{place}"))
    return element("g", *curves, class_="bounds")


def _is_inside(plot: Plot, width: float) -> bool:
    return plot.y.low <= width <= plot.y.high


def _law(block: Block, law: Law, plot: Plot, place: int) -> Markup:
    fit = law.fit
    epsilons = _between(block, fit)
    if not epsilons:
        return Markup("")
    low, middle, high = fit.band(block.dimension, epsilons)
    top, floor = plot.y.high, plot.y.low
    places = [plot.x(1.0 / epsilon) for epsilon in epsilons]

    def line(values: Iterable[float]) -> list[tuple[float, float]]:
        return [(x, plot.y(min(max(float(v), floor), top))) for x, v in zip(places, values, strict=True)]

    has_band = not any(math.isnan(float(value)) for value in (*low, *high))
    band = area(line(low), line(high), class_=f"f{place}", fill_opacity="0.18") if has_band else Markup("")
    curve = polyline(line(middle), class_=f"s{place}", stroke_width="2.2")
    shown = "law-shown" if law.is_shown else ""
    name = f"g{place} law law-{fit.family.value} {shown}".rstrip()
    # A page's style sheet outranks the attribute, a file has none that does.
    return element("g", band, curve, class_=name, display=None if law.is_shown else "none")


def _between(block: Block, fit: Fit, steps: int = 48) -> list[float]:
    """Return epsilons from the greatest to the least that this block measured and the fit is supported at."""
    inside = [epsilon for epsilon in block.epsilons if epsilon < 1.0 and fit.supports(block.dimension, epsilon)]
    if len(inside) < 2:
        return []
    first, last = inside[0], inside[-1]
    return [first * (last / first) ** (i / steps) for i in range(steps + 1)]


def _labels(panel: Panel, plot: Plot, places: Mapping[str, int], is_wide: bool, has_bounds: bool) -> Markup:
    """Return the names at the right ends of the curves, moved apart."""
    last = {point["granularity"]: point for point in panel.medians}
    names = [
        Label(f"{name} {_span(point)}" if is_wide else name, f"t{places[name]} g{places[name]}", _middle(point), True)
        for name, point in last.items()
    ]
    if has_bounds and is_wide:
        for name, points in panel.bounds.items():
            place = places[points[0]["granularity"]]
            inside = [point["width"] for point in points if _is_inside(plot, point["width"])]
            if inside:
                names.append(Label(name.split(" (")[0], f"t{place} g{place} bounds", inside[-1], False))
    ends, height = (plot.y.low, plot.y.high), plot.bottom - plot.top
    return joined(
        label(
            plot.right + 10,
            plot.y(moved.width) + 4.5,
            moved.text,
            class_=f"{moved.colour}{' strong' if moved.is_bold else ''}",
        )
        for moved in spread(names, ends, height, 17.0)
    )
