"""One row of a study: a cell, what is proven about it, and how it was made.

A row carries a digest of its own values, since SQLite does not notice a changed byte inside a value.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from prunegap.model.draw import STREAM, Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, WidthInterval, WidthStatus

COLUMNS = {
    "key": "TEXT PRIMARY KEY",
    "dimension": "INTEGER NOT NULL",
    "epsilon": "REAL NOT NULL",
    "granularity": "TEXT NOT NULL",
    "readout": "TEXT NOT NULL",
    "init": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
    "lower": "INTEGER NOT NULL",
    "upper": "INTEGER",
    "status": "TEXT NOT NULL",
    "seconds": "REAL NOT NULL",
    "searches": "TEXT NOT NULL",
    "reason": "TEXT NOT NULL",
    "error_upper": "REAL",
    "ticket": "TEXT",
    "time_limit": "REAL",
    "max_width": "INTEGER NOT NULL",
    "created": "TEXT NOT NULL",
    "stream": "TEXT NOT NULL",
    "version": "TEXT NOT NULL",
    "python": "TEXT NOT NULL",
    "numpy": "TEXT NOT NULL",
    "ortools": "TEXT NOT NULL",
    "platform": "TEXT NOT NULL",
    "executor": "TEXT NOT NULL",
    "upper_from": "TEXT",
    "digest": "TEXT NOT NULL",
}
"""Every column of the table, in order, with its SQL type; docs/export.md says what each one means."""


@dataclass(frozen=True)
class Provenance:
    """What made a row: the bit stream of the draw, the versions, the machine and what ran it there.

    `executor` names how the cell was run: serial, processes, or dask with the scheduler's address.
    """

    stream: str
    version: str
    python: str
    numpy: str
    ortools: str
    platform: str
    executor: str = "serial"

    @classmethod
    def here(cls, executor: str = "serial") -> Provenance:
        """Return the provenance of rows that this process computes."""
        return cls(STREAM, *_versions(), executor)

    def __str__(self) -> str:
        return (
            f"prunegap {self.version}, python {self.python}, numpy {self.numpy}, ortools {self.ortools}, "
            f"{self.platform}, {self.executor}"
        )


@cache
def _versions() -> tuple[str, str, str, str, str]:
    version = importlib.metadata.version
    return (
        version("prunegap"),
        platform.python_version(),
        version("numpy"),
        version("ortools"),
        platform.platform(),
    )


@dataclass(frozen=True)
class Row:
    """A cell with its proven interval (lower, upper], the effort that went in and its provenance.

    `ticket` is the name of the ticket's file, `created` a UTC time in ISO 8601, `seconds` wall clock. `upper_from` is
    there only where the ticket comes from another run than the proof, which `provenance` then is about.
    """

    cell: Cell
    lower: int
    upper: int | None
    seconds: float
    searches: tuple[str, ...]
    reason: str
    error_upper: float | None
    ticket: str | None
    effort: Effort
    created: str
    provenance: Provenance
    upper_from: Provenance | None = None

    @classmethod
    def of(cls, interval: WidthInterval, effort: Effort, made: Provenance | None = None) -> Row:
        """Return the row of an interval that was just computed by `made` (None: serially, by this process)."""
        return cls(
            interval.cell,
            interval.lower,
            interval.upper,
            interval.seconds,
            interval.searches,
            interval.reason,
            None if interval.certificate is None else interval.certificate.error_upper,
            None if interval.upper is None else ticket_name(interval.cell),
            effort,
            datetime.now(UTC).isoformat(timespec="microseconds"),
            made or Provenance.here(),
        )

    @property
    def status(self) -> WidthStatus:
        """closed, open or censored."""
        return WidthStatus.of(self.lower, self.upper)

    @property
    def is_of_this_stream(self) -> bool:
        """Whether the row is about the numbers that this version draws."""
        return self.provenance.stream == STREAM

    def is_settled(self, effort: Effort) -> bool:
        """Whether `effort` could add nothing: the interval is closed, or no more was offered than was spent."""
        if self.status is WidthStatus.CLOSED:
            return True
        spent = self.effort.seconds
        more_time = spent is not None and (effort.seconds is None or effort.seconds > spent)
        return not more_time and effort.max_width <= self.effort.max_width


def ticket_name(cell: Cell) -> str:
    """Return the name of the file that holds a cell's ticket."""
    granularity = cell.granularity.name.replace(":", "-")
    return f"d{cell.dimension}_eps{cell.epsilon:g}_{granularity}_seed{cell.seed}_{cell.key}.safetensors"


def values_of(row: Row) -> tuple[object, ...]:
    """Return the row's values in the order of COLUMNS, its digest last."""
    cell, made = row.cell, row.provenance
    values = (
        cell.key,
        cell.dimension,
        cell.epsilon,
        cell.granularity.name,
        cell.readout.value,
        cell.initialisation.value,
        cell.seed,
        row.lower,
        row.upper,
        row.status.value,
        row.seconds,
        " ".join(row.searches),
        row.reason,
        row.error_upper,
        row.ticket,
        row.effort.seconds,
        row.effort.max_width,
        row.created,
        made.stream,
        made.version,
        made.python,
        made.numpy,
        made.ortools,
        made.platform,
        made.executor,
        None if row.upper_from is None else json.dumps(asdict(row.upper_from), sort_keys=True),
    )
    return (*values, digest_of(values))


def digest_of(values: tuple[object, ...]) -> str:
    """Return the digest of a row's values: 16 hex digits of SHA-256 over their JSON."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def row_from_values(values: tuple[object, ...]) -> Row:
    """Return the row with the given values; raises BadInputError where they do not match their digest."""
    named: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
    if digest_of(tuple(values[:-1])) != named["digest"]:
        raise BadInputError(f"row {named['key']}", "does not match its digest: it was changed", "remove the row")
    cell = Cell(
        named["dimension"],
        named["epsilon"],
        parse_granularity(named["granularity"]),
        named["seed"],
        Readout.parse(named["readout"]),
        Initialisation.parse(named["init"]),
    )
    if cell.key != named["key"] or named["ticket"] not in (None, ticket_name(cell)):
        raise BadInputError(f"row {named['key']}", "its key or ticket is not that of its cell", "remove the row")
    made = ("stream", "version", "python", "numpy", "ortools", "platform", "executor")
    return Row(
        cell,
        named["lower"],
        named["upper"],
        named["seconds"],
        tuple(named["searches"].split()),
        named["reason"],
        named["error_upper"],
        named["ticket"],
        Effort(named["time_limit"], named["max_width"]),
        named["created"],
        Provenance(*(named[name] for name in made)),
        None if named["upper_from"] is None else Provenance(**json.loads(named["upper_from"])),
    )
