"""The numbers of a page as one JSON object: what the page's script reads, and what anybody can take out of it.

Every row of the study is in it exactly once, as an array in the order of `columns`; names are indices into `names`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from prunegap import __version__
from prunegap.report.table import ratio_text, statistic_text
from prunegap.report.width_chart import stem
from prunegap.study.row import Row
from prunegap.study.summary import Block, Span, Statistic
from prunegap.study.width import WidthStatus

SCHEMA = 1
COLUMNS = ("dimension", "epsilon", "granularity", "readout", "init", "seed", "lower", "upper", "error_upper",
           "seconds", "reason")  # fmt: skip
NAMED = ("granularity", "readout", "init", "reason")
LONGEST_REASON = 160


def study_data(name: str, rows: Sequence[Row], blocks: Sequence[Block]) -> dict[str, Any]:
    """Return the object; docs/json-schema.md is the promise."""
    told = [_values(row) for row in rows]
    names = {column: list(dict.fromkeys(row[COLUMNS.index(column)] for row in told)) for column in NAMED}
    places = {column: {value: i for i, value in enumerate(values)} for column, values in names.items()}
    return {
        "schema": SCHEMA,
        "study": name,
        "version": __version__,
        "columns": COLUMNS,
        "names": names,
        "rows": [
            [places[column][value] if column in NAMED else value for column, value in zip(COLUMNS, row, strict=True)]
            for row in told
        ],
        "blocks": [_block(block) for block in blocks],
    }


def _values(row: Row) -> list[Any]:
    cell = row.cell
    # Why an interval is closed is the proof's business; why it is not is the reader's.
    reason = "" if row.status is WidthStatus.CLOSED else row.reason[:LONGEST_REASON]
    return [
        cell.dimension, cell.epsilon, cell.granularity.name, cell.readout.value, cell.initialisation.value,
        cell.seed, row.lower, row.upper, row.error_upper, round(row.seconds, 3), reason,
    ]  # fmt: skip


def _block(block: Block) -> dict[str, Any]:
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    return {
        "name": stem(block),
        "epsilons": epsilons,
        "granularities": block.granularities,
        "widths": {name: [_told(block.width(e, name)) for e in epsilons] for name in block.granularities},
        "ratios": [_told(block.ratio(e), is_ratio=True) for e in epsilons],
    }


def _told(statistic: Statistic | None, is_ratio: bool = False) -> dict[str, Any] | None:
    if statistic is None:
        return None
    text = statistic_text(statistic, ratio_text) if is_ratio else statistic_text(statistic)
    return {"median": _ends(statistic.median), "text": text.replace("-", "–")}


def _ends(span: Span) -> list[float | None]:
    return [span.low, None if math.isinf(span.high) else span.high]
