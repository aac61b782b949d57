"""Which drivers work on a study, and on which cells: one small file a driver, written anew as it goes.

The files serve two readers: `prunegap status`, and other drivers of the same study, which leave the cells in flight
to the driver that has them. They are a courtesy, not a lock: a cell run twice is merged by the store, and a file that
nobody has written for a minute, or whose process is gone, counts for nothing. This file owns all names in drivers/.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prunegap.study.cell import Cell
from prunegap.study.row import Row
from prunegap.study.standing import Standing

DRIVERS = "drivers"
STALE = 60.0
"""Seconds without a beat after which a driver counts as dead."""
BEAT = 2.0
"""Most seconds between two beats."""
SOON = 0.25
"""Least seconds between two beats, and between two looks around, of a driver that is alone."""


@dataclass(frozen=True)
class Driver:
    """What a driver's file says. `alive`: its process runs, as far as can be told from here."""

    host: str
    pid: int
    alive: bool
    seconds_since_beat: float
    said: dict[str, Any]

    @property
    def running(self) -> frozenset[str]:
        """The keys of its cells in flight."""
        return frozenset(cell["key"] for cell in self.said.get("running", ()))


class Presence:
    """The file of this driver, and a look at those of the others; use it as a context manager.

    Where the directory cannot be written, the driver works unseen.
    """

    def __init__(self, study: Path, executor: str, slots: int) -> None:
        self._directory = study / DRIVERS
        self._path = self._directory / f"{uuid.uuid4().hex[:12]}.json"
        self._said: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "executor": executor,
            "slots": slots,
            "started": _now(),
        }
        self._beat_at = self._looked_at = -1e9
        self._others: list[Driver] = []

    def __enter__(self) -> Presence:
        _clean(self._directory)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            _remove(self._path)
            self._directory.rmdir()  # only where it is empty

    def beat(self, running: dict[Cell, str], standing: Standing, news: bool = False) -> None:
        """Write the file where it is due: `running` cells with the time each was begun."""
        now = time.monotonic()
        wait = (0.0 if self._others else SOON) if news else BEAT
        if now - self._beat_at < wait:
            return
        self._beat_at = now
        cells = [{"key": cell.key, **named(cell), "since": since} for cell, since in running.items()]
        content = self._said | {"beat": _now(), "running": cells} | told(standing)
        with contextlib.suppress(OSError):
            self._directory.mkdir(exist_ok=True)
            # Whole or not at all for readers, but not synced: after a power cut nobody needs it.
            self._path.with_suffix(".new").write_text(json.dumps(content), encoding="utf-8")
            self._path.with_suffix(".new").replace(self._path)

    def others(self) -> list[Driver]:
        """Return the other live drivers of the study, looked up more often where there are any."""
        now = time.monotonic()
        if now - self._looked_at >= (0.02 if self._others else SOON):
            self._looked_at = now
            found = _drivers(self._directory, except_for=self._path)
            self._others = [driver for _, driver in found if driver.alive]
        return self._others


def drivers(study: Path) -> list[Driver]:
    """Return every driver that left a file in a study, those that were killed included."""
    return [driver for _, driver in _drivers(study / DRIVERS)]


def named(cell: Cell) -> dict[str, object]:
    """Return the fields that name a cell, as docs/json-schema.md has them."""
    return {
        "dimension": cell.dimension,
        "epsilon": cell.epsilon,
        "granularity": cell.granularity.name,
        "readout": cell.readout.value,
        "init": cell.initialisation.value,
        "seed": cell.seed,
    }


def told(standing: Standing) -> dict[str, object]:
    """Return how a driver stands as a JSON object."""
    return {
        "total": standing.total,
        "done": standing.done,
        "open": standing.open,
        "censored": standing.censored,
        "cells_per_minute": standing.per_minute,
        "seconds_left": standing.seconds_left,
        "worst": None if standing.worst is None else bounds(standing.worst),
    }


def bounds(row: Row) -> dict[str, object]:
    """Return a row's cell and its interval as a JSON object."""
    return {**named(row.cell), "lower": row.lower, "upper": row.upper, "status": row.status.value}


def _drivers(directory: Path, except_for: Path | None = None) -> Iterable[tuple[Path, Driver]]:
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".json" and path != except_for)
    except OSError:
        return
    for path in paths:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_text(encoding="utf-8"))
            age = time.time() - path.stat().st_mtime
            host, pid = str(said["host"]), int(said["pid"])
            alive = age < STALE and (host != socket.gethostname() or _runs(pid))
            yield path, Driver(host, pid, alive, max(0.0, age), said)


def _clean(directory: Path) -> None:
    """Remove the files of drivers that were killed."""
    for path, driver in _drivers(directory):
        if not driver.alive:
            _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
