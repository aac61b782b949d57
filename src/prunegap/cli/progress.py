"""Progress on standard error: a live bar on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from prunegap.study.row import Row

PLAIN_INTERVAL = 10.0
"""Least seconds between two plain lines."""


class Progress:
    """Shows how many cells are done and what the last one gave; use it as a context manager."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._bar: Bar | None = None
        self._said = time.monotonic()
        if sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, row: Row, done: int, total: int) -> None:
        """Take note of a finished row."""
        self.done, self.total = done, total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=_told(row))
        elif time.monotonic() - self._said >= PLAIN_INTERVAL:
            self._said = time.monotonic()
            print(f"{done} of {total} cells; last: {_told(row)}", file=sys.stderr, flush=True)


def _told(row: Row) -> str:
    cell = row.cell
    width = f"{row.lower + 1} or more" if row.upper is None else f"in ({row.lower}, {row.upper}]"
    asked = f"d={cell.dimension} eps={cell.epsilon:g} {cell.granularity} seed {cell.seed}"
    return f"{asked}: width {width}, {row.seconds:.1f} s"
