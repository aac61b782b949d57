"""Two rows of one cell become one: both intervals are proven, so the minimal width lies in their intersection.

Which row wins never depends on when it was made or stored, only on what it proves; so any two stores that saw the
same rows hold the same data, in whatever order they saw them. Two intervals without a common width cannot both be
true: that is an error that names both rows, and neither is changed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from prunegap.model.errors import BadInputError
from prunegap.study.row import Row, values_of
from prunegap.study.width import Effort


class ContradictionError(BadInputError):
    """Two rows prove what cannot both be true."""


def merged(first: Row, second: Row) -> Row:
    """Return one row that proves what both do: (max of the lower ends, min of the upper ends].

    Guarantees merged(a, b) == merged(b, a) and merged(merged(a, b), a) == merged(a, b). The row with the greater
    lower end gives its provenance and reason; where the narrower ticket is the other row's, `upper_from` is that
    row's provenance. Effort and seconds are the greater of both. Raises ContradictionError where no width satisfies
    both, BadInputError for rows of different bit streams, ValueError for rows of different cells.
    """
    if first == second:
        return first
    if first.cell != second.cell:
        raise ValueError(f"rows of two cells: {first.cell} and {second.cell}")
    if first.provenance.stream != second.provenance.stream:
        rule = f"one row is about stream {first.provenance.stream}, another about {second.provenance.stream}"
        raise BadInputError(told(first), rule, "keep studies of different streams apart")
    proof, other = sorted((first, second), key=_rank, reverse=True)
    ticket = other if _end(other) < _end(proof) else proof
    if proof.lower >= _end(ticket):
        raise ContradictionError(
            told(proof),
            f"contradicts {told(ticket)}",
            "one of them is false: prunegap audit both studies, and report it with both rows",
        )
    row = replace(proof, seconds=max(first.seconds, second.seconds), effort=_greater(first.effort, second.effort))
    if ticket is proof:
        return row
    searches = dict.fromkeys((*proof.searches, *ticket.searches))
    origin = ticket.upper_from or ticket.provenance
    return replace(
        row,
        upper=ticket.upper,
        searches=tuple(searches),
        error_upper=ticket.error_upper,
        ticket=ticket.ticket,
        upper_from=None if origin == proof.provenance else origin,
    )


def told(row: Row) -> str:
    """Return what a row says and who made it, for a message."""
    cell, upper = row.cell, "nothing found" if row.upper is None else str(row.upper)
    asked = f"d={cell.dimension} eps={cell.epsilon:g} {cell.granularity} {cell.readout.value} seed {cell.seed}"
    origin = f"; its ticket by {row.upper_from}" if row.upper_from else ""
    return f"row {cell.key} ({asked}: ({row.lower}, {upper}] by {row.provenance}, {row.created}{origin})"


def _end(row: Row) -> float:
    return math.inf if row.upper is None else row.upper


def _seconds(effort: Effort) -> float:
    return math.inf if effort.seconds is None else effort.seconds


def _rank(row: Row) -> tuple[object, ...]:
    """Order rows by what they prove, then by effort; the rest only makes the order total, the time of day last."""
    rest = repr(values_of(replace(row, created="")))
    return (row.lower, -_end(row), _seconds(row.effort), row.effort.max_width, row.seconds, rest, row.created)


def _greater(first: Effort, second: Effort) -> Effort:
    seconds = max(_seconds(first), _seconds(second))
    return Effort(None if math.isinf(seconds) else seconds, max(first.max_width, second.max_width))
