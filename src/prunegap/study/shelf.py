"""Where a sweep's rows are kept: the store, or nothing but memory; and what is in hand while nothing can be written.

An hour of computing must not be lost to a full disk: a result that could not be written stays here and is offered to
the store again, as often as anything else happens and once more at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Set
from typing import final

from prunegap.study.cell import Cell
from prunegap.study.refine import together
from prunegap.study.row import Row
from prunegap.study.store import CannotWriteError, Store
from prunegap.study.task import Done
from prunegap.study.width import Effort, WidthInterval, WidthStatus


@final
class Shelf:
    """The rows of one sweep. `stored` are those of before, `again` the cells that get their effort once more."""

    def __init__(self, store: Store | None, stored: Mapping[Cell, Row], effort: Effort, again: Set[Cell]) -> None:
        self._store, self._effort, self._again = store, effort, again
        self._stored = dict(stored)
        self._in_hand: deque[Done] = deque()
        self.trouble: CannotWriteError | None = None

    def settled(self, cell: Cell) -> Row | None:
        """Return the cell's row where this sweep has nothing to add to it."""
        row = self._stored.get(cell)
        if row is None or (cell in self._again and row.status is not WidthStatus.CLOSED):
            return None
        return row if row.is_settled(self._effort) else None

    def settled_by_others(self, cell: Cell) -> Row | None:
        """Return the cell's row where another driver stored it since, and this sweep has nothing to add."""
        before = self._stored.get(cell)
        row = None if self._store is None else self._store.rows_of([cell]).get(cell)
        if row is None or not row.is_of_this_stream or row == before:
            return None
        self._stored[cell] = row
        return row if cell in self._again else self.settled(cell)

    def known(self, cell: Cell) -> WidthInterval:
        """Return what is proven about a cell, its ticket verified again."""
        row = self._stored.get(cell)
        return WidthInterval(cell) if row is None or self._store is None else self._store.known(row)

    def keep(self, done: Done) -> list[Row]:
        """Keep a result; return the rows that were written, none where nothing can be written now."""
        self._in_hand.append(done)
        return self.write()

    def write(self) -> list[Row]:
        """Write what is in hand and return the rows; `trouble` says why something is still in hand."""
        rows: list[Row] = []
        self.trouble = None
        while self._in_hand:
            try:
                rows.append(self._put(self._in_hand[0]))
            except CannotWriteError as error:
                self.trouble = error
                break
            self._in_hand.popleft()
        return rows

    def _put(self, done: Done) -> Row:
        cell = done.interval.cell
        before = self._stored.get(cell)
        effort = together(before.effort, self._effort) if before and cell in self._again else self._effort
        row = Row.of(done.interval, effort, done.made)
        if self._store is not None:
            row = self._store.put(row, done.interval)
        return row
