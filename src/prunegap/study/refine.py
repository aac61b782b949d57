"""Which open cells deserve more time: first those that keep a median of the laws from being known.

The laws are fitted to medians over seeds. A median is known once its interval is a point, and only a cell whose own
interval overlaps the median's can move it. Among such cells the smallest epsilon comes first, since there the
exponent is decided; then the widest relative interval; then the cell that was given least so far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from prunegap.study.cell import Cell
from prunegap.study.row import Row
from prunegap.study.schedule import Question, question_of
from prunegap.study.summary import Span, Statistic
from prunegap.study.width import Effort, WidthStatus

Score = tuple[bool, float, float, float]
"""Whether the cell can move an unknown median, 1/epsilon, log(upper / (lower + 1)), less the seconds spent."""


def span_of(row: Row) -> Span:
    """Return the numbers that a row leaves for its minimal width."""
    return Span(row.lower + 1, math.inf if row.upper is None else row.upper)


def score(row: Row, median: Span) -> Score:
    """Return how much a row's cell matters for the laws; `median` is that of its question. Greater comes first."""
    span = span_of(row)
    moves = not median.is_known and span.low < median.high and span.high > median.low
    relative = math.log(span.high / max(1.0, span.low)) if math.isfinite(span.high) else math.inf
    return moves, 1.0 / row.cell.epsilon, relative, -row.seconds


def in_order_of_worth(rows: Mapping[Cell, Row]) -> list[Cell]:
    """Return the cells whose interval is not closed, those that matter most for the laws first."""
    questions: dict[Question, list[Row]] = {}
    for row in rows.values():
        questions.setdefault(question_of(row.cell), []).append(row)
    worth: list[tuple[Score, Cell]] = []
    for members in questions.values():
        median = Statistic(tuple(span_of(row) for row in members)).median
        worth += [(score(row, median), row.cell) for row in _not_closed(members)]
    return [cell for _, cell in sorted(worth, key=lambda item: item[0], reverse=True)]


def _not_closed(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.status is not WidthStatus.CLOSED]


def together(before: Effort, now: Effort) -> Effort:
    """Return the effort of a cell that was given one after the other: the seconds add up."""
    if before.seconds is None or now.seconds is None:
        return replace(now, seconds=None, max_width=max(before.max_width, now.max_width))
    return Effort(before.seconds + now.seconds, max(before.max_width, now.max_width))
