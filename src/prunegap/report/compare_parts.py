"""Tables and switches of the comparison's page: every point, every layer of every point, how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prunegap.report import sections
from prunegap.report.axes import marker
from prunegap.report.compare_chart import COSTS, named
from prunegap.report.markup import NOTHING, Markup, element, joined, text
from prunegap.report.palette import STYLES
from prunegap.trained.compare.point import Comparison, LayerOutcome, Point
from prunegap.trained.compare.text import amount, budget_noun, milliseconds, spread

SHORT = {"seconds": "latency", "weights": "weights", "multiply_adds": "multiply-adds", "bytes": "bytes"}


def switches(places: Mapping[str, int]) -> Markup:
    """Return the choice of the cost and of the granularities that are shown."""
    costs = [
        element("label", element("input", type="radio", name="cost", value=f"cost-{cost.replace('_', '-')}",
                                 checked=cost == "seconds"), text(SHORT[cost]))
        for cost in COSTS
    ]  # fmt: skip
    shown = [
        element(
            "label", element("input", type="checkbox", value=f"g{place}", checked=True), swatch(place), text(name)
        )
        for name, place in places.items()
    ]
    return joined([element("fieldset", element("legend", text("Against")), *costs, class_="switches"),
                   element("fieldset", element("legend", text("Show")), *shown, class_="switches")])  # fmt: skip


def swatch(place: int) -> Markup:
    """Return the colour and marker of a granularity."""
    drawn = marker(STYLES[place].marker, 7, 7, 4.5, class_=f"f{place}")
    return element("svg", drawn, viewBox="0 0 14 14", class_="swatch", aria_hidden="true")


def points_table(comparison: Comparison, places: Mapping[str, int]) -> Markup:
    """Return every point in numbers, those that were not done with their reason."""
    measure = comparison.setting.measure
    head = ["granularity", "budget", "weights", measure, "multiply-adds", "bytes", "ms", "speed-up", "kernels"]
    lines = []
    for point in [comparison.dense, *comparison.points]:
        mark = swatch(places[point.granularity]) if point.granularity in places else NOTHING
        first = element("th", mark, text(f" {point.granularity}"), scope="row")
        cells = _cells(point) if point.is_done else [element("td", text(_why(point)), colspan="7", class_="long")]
        lines.append(element("tr", first, element("td", text(f"{point.keep_fraction:.3g}")), *cells))
    caption = (
        "Every point: median quality (range over calibration samples), latency, speed-up over dense with its 95 % "
        f"interval. Budget: the fraction of the prunable layers' {budget_noun(comparison.setting)} that may stay."
    )
    return sections.table(head, lines, caption)


def _why(point: Point) -> str:
    return f"{point.status.value}: {' '.join(point.reason.split())}"


def _cells(point: Point) -> list[Markup]:
    words = [
        amount(point.cost("weights")),
        spread(point.quality, lambda q: f"{q:.4f}"),
        amount(point.cost("multiply_adds")),
        amount(point.cost("bytes")),
        milliseconds(point.seconds),
        spread(point.speedup, lambda s: f"{s:.2f}"),
        kernels(point),
    ]
    return [element("td", text(word)) for word in words]


def kernels(point: Point) -> str:
    """Return which kernels the layers of a point run on, most frequent first."""
    counts = Counter(layer.execution for layer in point.layers)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())


def layer_sections(comparison: Comparison, places: Mapping[str, int]) -> Markup:
    """Return one block a point: per layer what was kept, what it cost, what it runs on and why."""
    points = comparison.done
    if not points:
        return element("p", text("No point was finished."))
    options = [element("option", text(named(p)), value=_id(p)) for p in points]
    chooser = element("p", element("label", text("Layers of "), element("select", *options, id="point")),
                      id="point-chooser", class_="chooser", hidden=True)  # fmt: skip
    return joined([chooser, *[_layers(point, places[point.granularity]) for point in points]])


def _id(point: Point) -> str:
    return f"layers-{point.granularity.replace(':', '-')}-{point.keep_fraction:.3g}"


def _layers(point: Point, place: int) -> Markup:
    largest = max([layer.error for layer in point.layers if layer.error is not None], default=0.0)
    lines = [
        element(
            "tr",
            element("th", text(layer.layer), scope="row"),
            element("td", _bar(layer.keep_fraction, f"f{place}"), text(f" {layer.keep_fraction:.1%}")),
            element("td", *_error(layer, largest)),
            element("td", text(layer.execution)),
            element("td", text(layer.reason), class_="long"),
        )
        for layer in point.layers
    ]
    head = ["layer", "weights kept", "relative error", "runs as", "why"]
    caption = (
        f"{named(point)}. Relative error: squared error of the layer's output on the calibration rows, errors of "
        "earlier layers included, over its energy."
    )
    heading = element("h3", text(named(point)))
    return element("div", heading, sections.table(head, lines, caption), class_="layers", id=_id(point))


def _error(layer: LayerOutcome, largest: float) -> list[Markup]:
    if layer.error is None:
        return [text("–")]
    return [_bar(layer.error / largest if largest else 0.0, "lost"), text(f" {layer.error:.2g}")]


def _bar(part: float, style: str) -> Markup:
    inside = element("rect", width=f"{100 * min(max(part, 0.0), 1.0):.1f}%", height="100%", class_=style)
    whole = element("rect", width="100%", height="100%", class_="whole")
    return element("svg", whole, inside, class_="kept", aria_hidden="true")


def setting_table(comparison: Comparison) -> Markup:
    """Return how the comparison was made: machine, versions, solvers, and what was measured."""
    setting = comparison.setting
    processes = "each model in a process of its own" if setting.isolated else "in one process (class not importable)"
    told = {
        "model": f"{setting.model}, {setting.parameters:,} parameters",
        "quality": setting.measure,
        "calibration": f"{setting.calibration_rows:,} rows, {setting.repeats} samples a point, seed {setting.seed}",
        "solvers": ", ".join(f"{kind}: {name}" for kind, name in setting.solvers.items()),
        "fine-tuning": f"{setting.finetune_steps} steps" if setting.finetune_steps else "none",
        "latency": f"batch {setting.batch}, {setting.threads} threads, {setting.device}; {processes}, in turns",
        "versions": ", ".join(f"{name} {version}" for name, version in setting.versions.items()),
        "machine": setting.platform,
        "model and data": setting.fingerprint or "–",
    }
    lines = [
        element("tr", element("th", text(name), scope="row"), element("td", text(words), class_="long"))
        for name, words in told.items()
    ]
    return sections.table(["what", "value"], lines, "How this comparison was made")
