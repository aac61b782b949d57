"""What the laws say about one block: fits to draw, sentences, a table, success curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prunegap.laws.compare import Comparison
from prunegap.laws.fit import Fit
from prunegap.laws.success import SuccessCurve, success_curves
from prunegap.laws.verdict import Verdict, verdicts
from prunegap.report import sections
from prunegap.report.markup import NOTHING, Markup, element, joined, text
from prunegap.report.palette import slots
from prunegap.report.width_chart import Law
from prunegap.study.row import Row
from prunegap.study.summary import Block

COLUMNS = ("granularity", "median width", "preferred", "a", "b", "q", "cells")


@dataclass(frozen=True)
class LawPart:
    """The verdicts and success curves of a whole study."""

    verdicts: tuple[Verdict, ...]
    success: tuple[SuccessCurve, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> LawPart:
        """Return what the rows carry."""
        return cls(tuple(verdicts(rows)), tuple(success_curves(rows)))

    def curves(self, block: Block) -> list[SuccessCurve]:
        """Return the block's success curves at epsilon < 1 that say anything at a width above 0."""
        return [
            curve
            for curve in self.success
            if (curve.dimension, curve.readout, curve.initialisation)
            == (block.dimension, block.readout, block.initialisation)
            and curve.epsilon < 1.0
            and curve.widths[-1] > 0
        ]

    def laws(self, block: Block) -> list[Law]:
        """Return the fits of this dimension alone; shown is what held-out seeds prefer, or both."""
        return [
            Law(name, fit, comparison.preferred in (None, fit.family))
            for name, comparison in self._comparisons(block).items()
            for fit in (comparison.log, comparison.power)
            if isinstance(fit, Fit)
        ]

    def told(self, block: Block) -> Markup:
        """Return the verdicts of the block's readout and initialisation: one sentence each, the others folded."""
        said = [verdict.sentences for verdict in self._verdicts(block) if verdict.sentences]
        return joined(
            [
                sections.bullets([sentences[0] for sentences in said]),
                self._table(block),
                element(
                    "details",
                    element("summary", text("What each fit rests on, and what it does not say")),
                    *[element("p", text(" ".join(sentences))) for sentences in said],
                ),
            ]
            if said
            else []
        )

    def _table(self, block: Block) -> Markup:
        """Return the fitted parameters with their intervals."""
        lines = [
            _line(name, fit, comparison)
            for name, comparison in self._comparisons(block).items()
            for fit in (comparison.log, comparison.power)
            if isinstance(fit, Fit)
        ]
        caption = (
            f"Laws fitted at d = {block.dimension} to all proven intervals, with 95 % intervals over seeds. "
            "Cells: closed / open / censored."
        )
        return sections.table(COLUMNS, lines, caption) if lines else NOTHING

    def _verdicts(self, block: Block) -> list[Verdict]:
        found = {
            verdict.granularity: verdict
            for verdict in self.verdicts
            if (verdict.readout, verdict.initialisation) == (block.readout, block.initialisation)
        }
        return [found[name] for name in slots(block.granularities) if name in found]

    def _comparisons(self, block: Block) -> dict[str, Comparison]:
        return {
            verdict.granularity: verdict.by_dimension[block.dimension]
            for verdict in self._verdicts(block)
            if block.dimension in verdict.by_dimension
        }


def _line(name: str, fit: Fit, comparison: Comparison) -> Markup:
    cells = fit.cells
    chosen = "undecided" if comparison.preferred is None else "yes" if comparison.preferred is fit.family else "no"
    values = [
        fit.family.formula.replace(" d^p", ""), chosen, str(fit.a), str(fit.b), "–" if fit.q is None else str(fit.q),
        f"{cells.closed} / {cells.open} / {cells.censored}",
    ]  # fmt: skip
    return element("tr", element("th", text(name), scope="row"), *[element("td", text(value)) for value in values])
