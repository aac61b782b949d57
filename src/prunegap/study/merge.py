"""Several studies become one: the rows of every cell meet, and their tickets are verified on the way.

The sources are only read, in the order of their keys, one row of each at a time. The result does not depend on the
order in which they are named. It appears as a whole, by one rename, or not at all.
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.study.database import CannotWriteError
from prunegap.study.intersection import ContradictionError, merged, told
from prunegap.study.row import Row, values_of
from prunegap.study.store import TICKETS, Store
from prunegap.study.ticket_file import load_ticket

ROWS_AT_ONCE = 1000
MOST_TOLD = 5
"""Conflicts that an error spells out; the others it counts."""

Source = tuple[Row, Store]


@dataclass(frozen=True)
class Merger:
    """What came together: rows in the new study, how many of them every source had, tickets copied."""

    rows: int
    shared: int
    tickets: int


def merge(sources: Sequence[Path | str], out: Path | str, on_row: Callable[[int], None] | None = None) -> Merger:
    """Write the study that proves all that the `sources` prove to the new directory `out`.

    Guarantees that the sources are not changed, that any order of them gives the same rows and tickets, and that
    every ticket in `out` was verified from its copy. Raises ContradictionError, naming rows and their provenance,
    where rows cannot be true together; BadInputError for rows of different streams, a ticket that is missing, does
    not verify or does not belong to its row, or an `out` that holds anything. Nothing is left of `out` then.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadInputError(f"out {target}", "is there already", "name a new directory")
    with ExitStack() as stack:
        stores = [stack.enter_context(Store(source, read_only=True)) for source in sources]
        _refuse_conflicts(stores)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            room = Path(
                stack.enter_context(tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}."))
            )
            study = room / "study"
            found = _write(stores, study, on_row)
            study.replace(target)
        except OSError as error:
            raise CannotWriteError(target, error.strerror or str(error)) from None
    return found


def _groups(stores: Sequence[Store]) -> Iterator[list[Source]]:
    """Yield the rows of one cell after another, each with its study."""

    def tagged(store: Store) -> Iterator[Source]:
        return ((row, store) for row in store.rows_by_key())

    everything = heapq.merge(*map(tagged, stores), key=lambda source: source[0].cell.key)
    for _, group in groupby(everything, key=lambda source: source[0].cell.key):
        yield list(group)


def _met(group: Sequence[Source]) -> Row:
    # Of two rows the order cannot matter; more are sorted, so that it does not matter either.
    rows = [row for row, _ in group]
    return reduce(merged, rows if len(rows) < 3 else sorted(rows, key=lambda row: repr(values_of(row))))


def _refuse_conflicts(stores: Sequence[Store]) -> None:
    """Raise for rows that cannot be in one study, all of them counted, before anything is written."""
    conflicts: list[BadInputError] = []
    for group in _groups(stores):
        try:
            _met(group)
        except BadInputError as error:
            conflicts.append(error)
    if not conflicts:
        return
    first = conflicts[0]
    kind = ContradictionError if isinstance(first, ContradictionError) else BadInputError
    others = "".join(f"; also {error.value} {error.rule}" for error in conflicts[1:MOST_TOLD])
    more = f"; and {len(conflicts) - MOST_TOLD} more" if len(conflicts) > MOST_TOLD else ""
    raise kind(f"{len(conflicts)} conflicting rows: {first.value}", f"{first.rule}{others}{more}", first.remedy)


def _write(stores: Sequence[Store], study: Path, on_row: Callable[[int], None] | None) -> Merger:
    rows = shared = tickets = 0
    waiting: list[Row] = []
    with Store(study) as new:
        for group in _groups(stores):
            row = _met(group)
            if row.ticket is not None:
                _copy_ticket(row, group, study / TICKETS / row.ticket)
                tickets += 1
            waiting.append(row)
            rows, shared = rows + 1, shared + (len(group) == len(stores))
            if len(waiting) == ROWS_AT_ONCE:
                new.put_many(waiting)
                waiting.clear()
            if on_row is not None:
                on_row(rows)
        new.put_many(waiting)
    return Merger(rows, shared, tickets)


def _copy_ticket(row: Row, group: Sequence[Source], target: Path) -> None:
    """Copy the ticket of the row from the source whose row it is; of several, the one that sorts first."""
    owners = [(source, store) for source, store in group if source.upper == row.upper]
    exact = [owner for owner in owners if owner[0].error_upper == row.error_upper] or owners
    paths = [path for source, store in exact if (path := store.ticket_path(source)) is not None and path.is_file()]
    if not paths:
        origin = owners[0][1].directory
        rule = f"has no file for its ticket in {origin}"
        raise BadInputError(told(row), rule, "run the measurement there again, or prunegap audit it")
    shutil.copyfile(min(paths, key=lambda path: path.read_bytes()), target)
    check_ticket(row, target)


def check_ticket(row: Row, path: Path) -> None:
    """Verify the ticket in a file and that it is the row's; raises BadInputError, naming the file, otherwise."""
    ticket = load_ticket(path)
    try:
        ticket.verify()
    except BadInputError as error:
        raise BadInputError(f"{path}: {error.value}", error.rule, error.remedy) from None
    problem, cell = ticket.problem, row.cell
    asked = (cell.draw, cell.epsilon, cell.granularity, cell.readout)
    if (ticket.draw, problem.epsilon, problem.granularity, problem.readout) != asked:
        raise BadInputError(str(path), "is the ticket of another cell", "do not trust this study; measure it anew")
    if row.upper is None or ticket.mask.least_width > row.upper:
        rule = f"is of width {ticket.mask.least_width}, but its row says {row.upper}"
        raise BadInputError(str(path), rule, "do not trust this row; measure it anew")
    if ticket.mask.least_width <= row.lower:
        rule = f"is of width {ticket.mask.least_width}, where its row claims a proof of none up to {row.lower}"
        raise BadInputError(str(path), rule, "do not trust this row; measure it anew")
