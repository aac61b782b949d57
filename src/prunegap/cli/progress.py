"""How a long run stands: a live line on a terminal, a plain line now and then anywhere else, and a log file.

Everything goes to standard error or to the file; nothing but a terminal is ever sent a control character.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from prunegap.model.errors import BadInputError
from prunegap.study.drive import told
from prunegap.study.row import Row
from prunegap.study.standing import Standing, Watch

PLAIN_INTERVAL = 30.0
"""Least seconds between two plain lines."""


class Progress:
    """Shows how a sweep stands; use it as a context manager.

    `quiet` keeps standard error empty; `log_file` gets plain lines, each with the time and flushed. Raises
    BadInputError where the log file cannot be written.
    """

    def __init__(self, total: int, quiet: bool = False, log_file: Path | None = None) -> None:
        self.total, self.done = total, 0
        self._quiet = quiet
        self._log = None if log_file is None else _opened(log_file)
        self._bar: Bar | None = None
        self._said = time.monotonic()
        self._standing: Standing | None = None
        if sys.stderr.isatty() and not quiet:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total)

    @property
    def watch(self) -> Watch:
        """What a sweep tells its progress to."""
        return Watch(self._advance, self._stand, self._say)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        self._write(f"begun: {self.total} cells")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._standing is not None:
            self._write(in_words(self._standing))
        self._write("ended" if kind is None else f"stopped by {kind.__name__}")
        if self._log is not None:
            self._log.close()

    def _advance(self, row: Row, done: int, total: int) -> None:
        self.done, self.total = done, total

    def _stand(self, standing: Standing) -> None:
        self._standing = standing
        if self._bar is not None:
            rest = in_words(standing).split("; ", 1)[1]
            self._bar.update(self._task, completed=standing.done, description=rest)
        if time.monotonic() - self._said >= PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._print(in_words(standing))
            self._write(in_words(standing))

    def _say(self, event: str) -> None:
        self._print(event, always=True)
        self._write(event)

    def _print(self, line: str, always: bool = False) -> None:
        if self._quiet:
            return
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        elif always:
            self._bar.console.print(line, markup=False, highlight=False)

    def _write(self, line: str) -> None:
        if self._log is not None:
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            print(f"{now} {line}", file=self._log, flush=True)


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a", encoding="utf-8")
    except OSError as error:
        rule = f"cannot be written ({error.strerror})"
        raise BadInputError(f"log file {path}", rule, "choose another --log-file") from None


def in_words(standing: Standing) -> str:
    """Return how things stand in one line."""
    parts = [f"{standing.done} of {standing.total} cells", f"{standing.open} open, {standing.censored} censored"]
    parts.append(f"{standing.running} running")
    if standing.per_minute is not None:
        parts.append(f"{standing.per_minute:.3g} a minute")
    if standing.seconds_left is not None and standing.done < standing.total:
        parts.append(f"about {duration(standing.seconds_left)} left")
    if standing.worst is not None:
        parts.append(f"worst: {row_in_words(standing.worst)}")
    return "; ".join(parts)


def row_in_words(row: Row) -> str:
    """Return a cell and its interval in words."""
    width = f"{row.lower + 1} or more" if row.upper is None else f"in ({row.lower}, {row.upper}]"
    return f"{told(row.cell)}: width {width}"


def duration(seconds: float) -> str:
    """Return a duration to about two digits: 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 100.0:
        return f"{seconds:.0f} s"
    if seconds < 6000.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172800.0 else f"{seconds / 86400.0:.1f} days"
