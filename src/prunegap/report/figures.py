"""The picture: minimal width against 1/eps on log axes, proven intervals and published bounds.

A dot is a closed interval of one seed, a bar an open one, an arrow one without an upper end. Lines are medians; where
a median is only known to lie between two numbers, both are drawn with the band between them. The constants of the
published bounds are unknown, so each is drawn where it touches the medians without contradicting them: a lower bound
from below, an upper bound from above. What can be compared is the slope.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prunegap.report.panel import Panel, Point, round_numbers, spread
from prunegap.report.sentence import factor_text, gap_is_visible
from prunegap.study.summary import Block
from prunegap.whole_file import write_whole

INK, PALE = "#333333", "#AAAAAA"
PANEL_WIDTH, PANEL_HEIGHT = 430, 360
LINE_HEIGHT = 17.0
"""Least distance of two labels, in pixels."""
LEAST_DECADE = 4.0
"""Least quotient of the ends of the axis of widths: a narrower one would make noise look like a law."""

NOTE = (
    "Lines: medians. Dots: one seed each, proven minimal. Bars: proven intervals, still open. Arrows: none found.",
    "Dashed: bounds of arXiv:2603.02234 (v1, v3), constants unknown: scaled to touch the medians, compare slopes.",
)


def draw_widths(blocks: Sequence[Block], svg: Path, png: Path) -> bool:
    """Write the picture as SVG and as PNG at twice the size; False where no epsilon is below 1 and nothing is drawn.

    Raises BadInputError where a file cannot be written.
    """
    import vl_convert

    panels = _panels(blocks)
    if not panels:
        return False
    specification = _chart(panels).to_dict()
    write_whole(svg, vl_convert.vegalite_to_svg(specification).encode())
    write_whole(png, vl_convert.vegalite_to_png(specification, scale=2.0))
    return True


def _panels(blocks: Sequence[Block]) -> list[Panel]:
    families: dict[tuple[str, str], list[Block]] = {}
    for block in blocks:
        families.setdefault((block.readout, block.initialisation), []).append(block)
    panels = [Panel(block, families[block.readout, block.initialisation]) for block in blocks]
    return [panel for panel in panels if not panel.is_empty]


def headline(blocks: Sequence[Block]) -> str:
    """Return the message of the picture in one line; without a proven gap it only names what is drawn."""
    for block in blocks:
        ratio = block.ratio(block.epsilons[-1])
        if ratio is not None and gap_is_visible(block):
            where = f" (d = {block.dimension})" if len(blocks) > 1 else ""
            times = factor_text(ratio.median)
            return f"At ε = {block.epsilons[-1]:g}, removing whole neurons needs {times} times the width{where}"
    return "The narrowest network that contains a ticket, by the accuracy asked of it"


def _chart(panels: Sequence[Panel]) -> Any:
    """Return the picture as an Altair chart, one panel a block, all on the same axis of widths."""
    import altair as alt

    title = alt.TitleParams(
        text=headline([panel.block for panel in panels]),
        subtitle=list(NOTE),
        anchor="start",
        offset=18,
        fontSize=17,
        color=INK,
        subtitleFontSize=11.5,
        subtitleColor="#666666",
        subtitlePadding=6,
        subtitleLineHeight=16,
    )
    ends = _width_axis(panels)
    chart = alt.concat(*[_panel_chart(panel, ends) for panel in panels], columns=2, spacing=40)
    chart = chart.properties(title=title, padding={"left": 12, "top": 12, "right": 16, "bottom": 12})
    return (
        chart.configure(font="Helvetica, Arial, Liberation Sans, sans-serif", background="white")
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=13,
            titleFontWeight="normal",
            titleColor=INK,
            labelColor=INK,
            domainColor=PALE,
            tickColor=PALE,
            gridColor="#EEEEEE",
            titlePadding=10,
        )
    )


def _width_axis(panels: Sequence[Panel]) -> tuple[float, float]:
    drawn = [width for panel in panels for width in panel.widths]
    low, high = min(drawn) / 1.25, max(drawn) * 1.25
    stretch = max(1.0, LEAST_DECADE * low / high) ** 0.5
    return low / stretch, high * stretch


def _panel_chart(panel: Panel, ends: tuple[float, float]) -> Any:
    import altair as alt

    ticks = panel.inverses if len(panel.inverses) <= 9 else round_numbers(panel.inverses[0], panel.inverses[-1])
    x = alt.X(
        "inverse:Q",
        title="1 / ε   (error at most ε)",
        axis=alt.Axis(values=[float(f"{tick:.6g}") for tick in ticks], format="~g", grid=False),
        scale=alt.Scale(type="log", domain=[panel.inverses[0] / 1.15, panel.inverses[-1] * 1.15], nice=False),
    )
    axis = alt.Axis(values=round_numbers(*ends), format="d")
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    y = {
        end: alt.Y(f"{end}:Q", title="minimal width   (hidden neurons)", axis=axis, scale=scale)
        for end in ("low", "high", "width")
    }
    block = panel.block
    seeds = "1 seed" if len(block.seeds) == 1 else f"{len(block.seeds)} seeds"
    name = f"d = {block.dimension}, {block.readout} readout, {block.initialisation} init, {seeds}"
    heading = alt.TitleParams(text=name, anchor="start", fontSize=13, fontWeight="normal", color=INK, offset=8)
    layers = [*_bound_layers(panel, x, y), *_median_layers(panel, x, y), *_seed_layers(panel, x, y)]
    layers += _label_layers(panel, x, y, ends)
    return alt.layer(*layers).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT, title=heading)


def _layer(points: Sequence[Point], x: Any) -> Any:
    import altair as alt

    colour = alt.Color("colour:N", scale=None, legend=None)
    return alt.Chart(alt.InlineData(values=list(points))).encode(x=x, color=colour)


def _bound_layers(panel: Panel, x: Any, y: dict[str, Any]) -> list[Any]:
    return [
        _layer(points, x).mark_line(strokeDash=[5, 4], strokeWidth=1.3, opacity=0.75).encode(y=y["width"])
        for points in panel.bounds.values()
    ]


def _median_layers(panel: Panel, x: Any, y: dict[str, Any]) -> list[Any]:
    """Return the line of the medians' low ends, of their high ends where they exist, and the band between."""
    bounded = [point for point in panel.medians if point["high"] is not None]
    beyond = [point for point in panel.medians if point["high"] is None]
    low, high = _layer(panel.medians, x), _layer(bounded, x)
    return [
        high.mark_area(opacity=0.15).encode(y=y["low"], y2="high:Q", detail="granularity:N"),
        low.mark_line(strokeWidth=2.6).encode(y=y["low"], detail="granularity:N"),
        high.mark_line(strokeWidth=2.6).encode(y=y["high"], detail="granularity:N"),
        _layer(beyond, x).mark_point(shape="arrow", size=420, strokeWidth=2.4, yOffset=-14).encode(y=y["low"]),
    ]


def _seed_layers(panel: Panel, x: Any, y: dict[str, Any]) -> list[Any]:
    def layer(status: str) -> Any:
        return _layer([point for point in panel.seeds if point["status"] == status], x)

    return [
        layer("closed").mark_circle(size=26, opacity=0.45).encode(y=y["low"]),
        layer("open").mark_rule(strokeWidth=3, opacity=0.5, strokeCap="round").encode(y=y["low"], y2="high:Q"),
        layer("censored").mark_point(shape="arrow", size=160, strokeWidth=1.6, yOffset=-9).encode(y=y["low"]),
    ]


def _label_layers(panel: Panel, x: Any, y: dict[str, Any], ends: tuple[float, float]) -> list[Any]:
    labels = spread(panel.labels, ends, PANEL_HEIGHT, LINE_HEIGHT)
    layers = []
    for bold, size in ((True, 13.0), (False, 11.5)):
        points = [
            {"inverse": panel.inverses[-1], "width": label.width, "text": label.text, "colour": label.colour}
            for label in labels
            if label.is_bold is bold
        ]
        weight = "bold" if bold else "normal"
        mark = _layer(points, x).mark_text(align="left", baseline="middle", dx=22, fontSize=size, fontWeight=weight)
        layers.append(mark.encode(y=y["width"], text="text:N"))
    return layers
