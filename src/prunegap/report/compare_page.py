"""The page of a comparison: one HTML file that needs nothing else, the same kind as a study's.

It is written from comparison.json alone, so it needs neither the model nor torch, and can be written again at any
time. Every string goes through Markup; the content security policy allows the page's own style and script only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from prunegap.model.errors import BadInputError
from prunegap.report import palette, sections
from prunegap.report.compare_chart import COSTS, front_figure, named
from prunegap.report.compare_parts import layer_sections, points_table, setting_table, switches
from prunegap.report.figure import Figure
from prunegap.report.markup import Markup, data_block, element, joined, text
from prunegap.report.shell import Shell, asset, limits_part, whole_page
from prunegap.trained.compare.advice import advice
from prunegap.trained.compare.point import Comparison, as_object, read_comparison
from prunegap.trained.compare.text import amount, milliseconds
from prunegap.whole_file import write_whole

PAGE = "compare.html"
FIGURES = "figures"
COMPARISON = "comparison.json"
PLACES = (
    ("trade", "trade-off"),
    ("points", "points"),
    ("layers", "layers"),
    ("fixed", "not shrunk"),
    ("reading", "how to read"),
    ("reproduce", "reproduce"),
)


def write_page(directory: Path) -> Path:
    """Write `compare.html` and `figures/` into the directory of a comparison and return the page's path.

    Whatever failed, the page is written and says so. Raises BadInputError where the directory holds no comparison.
    """
    comparison = read_comparison(directory / COMPARISON)
    places = palette.slots(dict.fromkeys(p.granularity for p in comparison.points))
    figures = {cost: front_figure(comparison, cost, places) for cost in COSTS} if comparison.done else {}
    try:
        (directory / FIGURES).mkdir(exist_ok=True)
    except OSError as error:
        raise BadInputError(str(directory), f"cannot be written ({error.strerror})", "choose another place") from None
    for figure in figures.values():
        figure.write(directory / FIGURES)
    write_whole(directory / PAGE, page(comparison, figures, places, directory).encode())
    return directory / PAGE


def page(comparison: Comparison, figures: Mapping[str, Figure], places: Mapping[str, int], directory: Path) -> str:
    """Return the page as HTML."""
    name = comparison.setting.model
    parts = Template(asset("compare.html")).substitute(
        fronts=_fronts(figures, places),
        points=points_table(comparison, places),
        layers=layer_sections(comparison, places),
        fixed=_fixed(comparison),
        reproduce=_reproduce(comparison, directory),
    )
    return whole_page(
        Shell(
            title=f"{name}: neurons or weights?",
            name=name,
            places=PLACES,
            headline=element("h1", element("span", text(advice(comparison)), class_="claim"), id="headline"),
            facts=_facts(comparison),
            limits=limits_part("What this comparison cannot say", _limits(comparison)),
            parts=Markup(parts),
            data=data_block("comparison-data", as_object(comparison)),
            styles=("page.css", "compare.css"),
            scripts=("shell.js", "compare.js"),
        )
    )


def _facts(comparison: Comparison) -> Markup:
    dense, setting = comparison.dense, comparison.setting
    assert dense.quality is not None
    told = [
        (f"{setting.measure}, dense", f"{dense.quality.median:.4f}"),
        (f"ms a batch of {setting.batch}, dense", milliseconds(dense.seconds)),
        ("prunable weights", amount(setting.prunable_weights)),
        ("calibration rows", f"{setting.calibration_rows:,}"),
        ("points measured", f"{len(comparison.done)} of {len(comparison.points)}"),
    ]
    items = [element("div", element("dt", text(word)), element("dd", text(value))) for word, value in told]
    return element("dl", *items, class_="facts")


def _limits(comparison: Comparison) -> list[str]:
    """Return what this comparison cannot say: points that are missing, measurements that were not clean."""
    said = [f"{named(p)}: {p.status.value}. {' '.join(p.reason.split())}" for p in comparison.points if not p.is_done]
    if comparison.setting.repeats == 1:
        said.append("Quality was measured once a point, so its spread is not known. Use --repeats 3.")
    return said


def _fronts(figures: Mapping[str, Figure], places: Mapping[str, int]) -> Markup:
    if not figures:
        return element("p", text("No point was finished, so there is nothing to draw."))
    drawn = []
    for cost, figure in figures.items():
        links = [
            element("a", text(kind.upper()), href=f"{FIGURES}/{figure.name}.{kind}", download=True,
                    aria_label=f"{figure.title}, as {kind.upper()}")
            for kind in ("svg", "png", "pdf")
        ]  # fmt: skip
        caption = (
            f"{figure.title}. Up and to the left is better. Thick grey: the Pareto front. Bars: range of the quality "
            "over calibration samples and 95 % interval of the median latency. Dashed: the dense model. "
        )
        words = element("p", text(caption), element("span", text("Files: "), joined(links, " "), class_="files"),
                        class_="caption")  # fmt: skip
        drawn.append(element("div", figure.inline(), words, class_=f"cost cost-{cost.replace('_', '-')}"))
    return element("figure", switches(places), *drawn, class_="chart", id="front")


def _fixed(comparison: Comparison) -> Markup:
    if not comparison.not_shrunk:
        return element("p", text("Every dimension of every layer could be shrunk."))
    lines = [
        element("tr", element("th", text(name), scope="row"), element("td", text(reason), class_="long"))
        for name, reason in comparison.not_shrunk
    ]
    body = sections.table(["parameter", "why"], lines, "What kept (some of) its width, and why.")
    words = f"{len(lines)} places kept their width. What cannot be shrunk stays, masked where it was pruned."
    return joined([element("p", text(words)),
                   element("details", element("summary", text("Which, and why")), body)])  # fmt: skip


def _reproduce(comparison: Comparison, directory: Path) -> Markup:
    setting = comparison.setting
    command = (
        setting.command or "This comparison was made from Python, by prunegap.compare; the call is not recorded."
    )
    parts: list[Markup] = [sections.copied(command, "the command that made this comparison")]
    saved: Sequence[str] = [p.file for p in comparison.done if p.file]
    if saved:
        load = f'import prunegap\n\nmodel = prunegap.load("{directory.name}/{saved[0]}")'
        parts += [element("p", text("Every point's model is saved, without pickle. To get one back:")),
                  sections.copied(load, "the Python code that loads a model")]  # fmt: skip
    return joined([*parts, setting_table(comparison)])
