"""How a running sweep stands, for whoever watches: the terminal, a log, or another process."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from prunegap.study.row import Row
from prunegap.study.width import WidthStatus

RATE_OVER = 512
"""Cells over which the rate is averaged."""


@dataclass(frozen=True)
class Standing:
    """Cells asked for, how many are done and how, the rate, the time left and the worst cell.

    `done` counts every cell that is not waiting or running, `open` and `censored` are among them. `per_minute` counts
    what this run measured; it and `seconds_left`, an expectation, are None where nothing is known yet. `worst` is
    the row that says least: censored before open, then the greatest upper / (lower + 1).
    """

    total: int
    done: int
    open: int
    censored: int
    running: int
    per_minute: float | None
    seconds_left: float | None
    worst: Row | None


def looseness(row: Row) -> tuple[bool, float]:
    """Return by how much a row's interval is wider than a proof, for sorting: without upper end above all others.

    The relative width is upper / max(1, lower + 1); among rows without upper end the least epsilon counts most.
    """
    if row.upper is None:
        return True, 1.0 / row.cell.epsilon
    return False, row.upper / max(1, row.lower + 1)


class Tally:
    """Counts rows as they come."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.measured = 0
        self._by_status = dict.fromkeys(WidthStatus, 0)
        self._worst: Row | None = None
        self._ends: deque[float] = deque([time.monotonic()], RATE_OVER)

    def count(self, row: Row, measured: bool) -> None:
        """Take in a row that is done; `measured` says that it was made just now."""
        self.done += 1
        self._by_status[row.status] += 1
        if row.status is not WidthStatus.CLOSED and (self._worst is None or looseness(row) > looseness(self._worst)):
            self._worst = row
        if measured:
            self.measured += 1
            self._ends.append(time.monotonic())

    def standing(self, running: int, seconds_left: float) -> Standing:
        """Return how things stand."""
        spent = time.monotonic() - self._ends[0]
        per_minute = 60.0 * (len(self._ends) - 1) / spent if self.measured and spent > 0.0 else None
        return Standing(
            self.total,
            self.done,
            self._by_status[WidthStatus.OPEN],
            self._by_status[WidthStatus.CENSORED],
            running,
            per_minute,
            seconds_left if math.isfinite(seconds_left) else None,
            self._worst,
        )


OnRow = Callable[[Row, int, int], None]
"""Called with a row, how many are done and how many there are."""


@dataclass(frozen=True)
class Watch:
    """Who is told how a sweep goes: `row` of every row that is done, `standing` about once a second and at the end,
    `event` of whatever is out of the ordinary, in words."""

    row: OnRow | None = None
    standing: Callable[[Standing], None] | None = None
    event: Callable[[str], None] | None = None

    def see(self, row: Row, tally: Tally) -> None:
        """Tell of a row."""
        if self.row:
            self.row(row, tally.done, tally.total)

    def stand(self, standing: Standing) -> None:
        """Tell how things stand."""
        if self.standing:
            self.standing(standing)

    def say(self, event: str) -> None:
        """Tell what happened."""
        if self.event:
            self.event(event)
