"""`prunegap report`: a study becomes one HTML file that needs nothing else, and its figures as files beside it.

The page is put together from Markup, so no string of a study can become HTML.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from prunegap import __version__
from prunegap.model.errors import BadInputError
from prunegap.report import sections
from prunegap.report.exhibit import exhibit
from prunegap.report.figure import Figure
from prunegap.report.headline import headline_of
from prunegap.report.law_part import LawPart
from prunegap.report.limits import limits
from prunegap.report.markup import Markup, data_block, element, joined, text
from prunegap.report.panel import Panel
from prunegap.report.reproduce import commands, origins
from prunegap.report.shell import Shell, asset, limits_part, whole_page
from prunegap.report.study_data import study_data
from prunegap.report.success_chart import success_figure
from prunegap.report.width_chart import law_figure, stem, width_figure
from prunegap.study.row import Row
from prunegap.study.store import DATABASE, TICKETS, Store
from prunegap.study.summary import Block, blocks
from prunegap.whole_file import write_whole

PAGE = "report.html"
FIGURES = "figures"
MEASURE_HINT = "give the --out directory of prunegap measure"

CITATION = """@software{{prunegap,
  title   = {{prunegap: certified minimal widths of structured and unstructured pruning}},
  author  = {{{{The prunegap developers}}}},
  version = {{{version}}},
  year    = {{2026}},
  note    = {{Study: {cells} cells, bit stream {stream}}}
}}"""


@dataclass(frozen=True)
class Report:
    """What was written: the page, and every file of every figure."""

    page: Path
    figures: tuple[Path, ...]


def write_report(directory: Path) -> Report:
    """Write `report.html` and `figures/` into the directory of a study.

    Whatever the study holds, the page is written and says what cannot be concluded. Raises BadInputError where
    the directory holds no study, or cannot be written.
    """
    if not (directory / DATABASE).is_file():
        raise BadInputError(str(directory), "holds no study", MEASURE_HINT)
    with Store(directory, read_only=True) as store:
        rows = sorted(store.rows(), key=_reading_order)
    found = blocks(rows)
    part = LawPart.of(rows)
    settings = [_setting(block, found, part) for block in found]
    figures, note = exhibit(rows, directory)
    page = _page(directory, rows, settings, sections.portraits(figures, note))
    drawn = [figure for s in settings for figure in (s.widths, s.laws, s.success) if figure is not None]
    written = _written(directory / FIGURES, [*drawn, *figures])
    write_whole(directory / PAGE, page.encode())
    return Report(directory / PAGE, tuple(written))


def _reading_order(row: Row) -> tuple[object, ...]:
    cell = row.cell
    told = (cell.readout.value != "relu", cell.readout.value, cell.initialisation.value != "uniform")
    return (cell.dimension, *told, -cell.epsilon, cell.granularity.name != "weight", cell.granularity.name, cell.seed)


def _setting(block: Block, found: Sequence[Block], part: LawPart) -> sections.Setting:
    family = [b for b in found if (b.readout, b.initialisation) == (block.readout, block.initialisation)]
    panel = Panel(block, family, {name for b in found for name in b.granularities})
    if panel.is_empty:
        return sections.Setting(block, panel.places, None, None, None)
    curves = part.curves(block)
    return sections.Setting(
        block,
        panel.places,
        width_figure(panel),
        law_figure(panel, part.laws(block)) if len(panel.inverses) > 1 else None,
        success_figure(block, curves, panel.places) if curves and len(block.seeds) > 1 else None,
        part.told(block),
    )


def _written(directory: Path, figures: Sequence[Figure]) -> list[Path]:
    try:
        directory.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInputError(str(directory), f"cannot be made ({error.strerror})", "choose another place") from None
    return [path for figure in figures for path in figure.write(directory)]


def _page(directory: Path, rows: Sequence[Row], settings: Sequence[sections.Setting], portraits: Markup) -> str:
    found, name = [setting.block for setting in settings], directory.resolve().name
    parts = Template(asset("study.html")).substitute(
        chooser=sections.chooser(settings),
        settings=joined(sections.setting_section(setting, len(settings) == 1) for setting in settings),
        portraits=portraits,
        reproduce=_reproduce(rows, name),
    )
    return whole_page(
        Shell(
            title=f"{name}: what does structure cost?",
            name=name,
            places=_places(settings),
            headline=sections.hero(headline_of(found), {name for block in found for name in block.granularities}),
            facts=sections.facts(rows, found),
            limits=limits_part("What this study cannot say", limits(rows, found)),
            parts=Markup(parts),
            data=data_block("study-data", study_data(name, rows, found)),
            styles=("page.css",),
            scripts=("shell.js", "page.js"),
        )
    )


def _places(settings: Sequence[sections.Setting]) -> list[tuple[str, str]]:
    first = [(stem(settings[0].block), "widths")] if settings else []
    return [
        *first,
        ("tickets", "tickets"),
        ("cells", "cells"),
        ("reading", "how to read"),
        ("reproduce", "reproduce"),
    ]


def _reproduce(rows: Sequence[Row], name: str) -> Markup:
    if not rows:
        return element("p", text("There is nothing to reproduce yet."))
    measure, word = "\n".join(commands(rows, name)), shlex.quote(name)
    streams = ", ".join(sorted({row.provenance.stream for row in rows}))
    cite = CITATION.format(version=__version__, cells=len(rows), stream=streams)
    return joined(
        [
            element("p", text("These commands ask for exactly the cells above; a cell whose interval is closed comes "
                              "out the same anywhere, an open one may come out narrower on a faster machine.")),
            sections.copied(measure, "the commands that measure this study"),
            element("p", text("Check every ticket again, from its file alone, and write this page again:")),
            sections.copied(f"prunegap verify {word}/{TICKETS}/*\nprunegap report {word}",
                            "the commands that verify and report"),
            sections.origin_table(origins(rows)),
            element("p", text("To cite:")),
            sections.copied(cite, "the citation as BibTeX"),
        ]
    )  # fmt: skip
