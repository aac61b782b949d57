"""A study on disk: one directory, one SQLite row a cell, one ticket file a row.

This file owns every file name inside the directory. A row is written only after its ticket has been read back from
a file and verified, so whatever is killed, whenever, what is there is true. Storing never replaces: what is stored
is the intersection of all proven intervals, decided under the write lock, so any number of processes may write one
study. A directory that is not a study, or a study that is damaged, is refused and left untouched.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

from prunegap.model.errors import BadInputError
from prunegap.study.cell import Cell
from prunegap.study.database import (
    DATABASE,
    ELSEWHERE,
    CannotWriteError,
    DamagedError,
    DirectoryLock,
    check_header,
    connect_to_read,
    connect_to_write,
    create_database,
    log_of,
)
from prunegap.study.intersection import merged
from prunegap.study.row import COLUMNS, Row, row_from_values, values_of
from prunegap.study.schema import APPLICATION_ID, INSERT, LOOSENESS, SCHEMA, copy_database, migrate, version_of
from prunegap.study.ticket_file import load_ticket, ticket_bytes
from prunegap.study.width import WidthInterval, WidthStatus

__all__ = ["APPLICATION_ID", "DATABASE", "TICKETS", "CannotWriteError", "Count", "DamagedError", "Store"]

TICKETS = "tickets"
_UNFINISHED = ".ticket."
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM cells"
_KEYS_AT_ONCE = 500


@dataclass(frozen=True)
class Count:
    """How many cells of one question have one status, and the wall-clock seconds that went into them."""

    dimension: int
    readout: str
    initialisation: str
    granularity: str
    epsilon: float
    status: WidthStatus
    cells: int
    seconds: float


class Store:
    """An open study; use it as a context manager, from one thread.

    With `read_only` nothing is created or changed, so a study on a read-only medium, or one that is being written,
    can be read; a study of an older schema is read from a copy. Otherwise what is missing is created and an older
    schema migrated. Raises BadInputError where `directory` is no study and cannot become one.
    """

    def __init__(self, directory: Path | str, read_only: bool = False) -> None:
        self.directory = Path(directory)
        self.database = self.directory / DATABASE
        self._lock: DirectoryLock | None = None
        self._room: tempfile.TemporaryDirectory[str] | None = None
        self._seen: tuple[int, int] | None = None
        try:
            self._connection = self._open_to_read() if read_only else self._open_to_write()
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError):
                reason = error.strerror or str(error)
                raise BadInputError(f"out {self.directory}", f"cannot be used ({reason})", ELSEWHERE) from None
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._leave()
        if kind is None and self._seen is not None and self._seen != _state(self.database):
            raise BadInputError(str(self.database), "changed while it was read", "run the command again")

    def rows(self) -> list[Row]:
        """Return every row, in the order in which they were last written."""
        return list(self._rows("ORDER BY rowid"))

    def rows_by_key(self) -> Iterator[Row]:
        """Yield every row in the order of the keys; holds one at a time."""
        return self._rows("ORDER BY key")

    def rows_of(self, cells: Iterable[Cell]) -> dict[Cell, Row]:
        """Return the rows that exist for `cells`; reads no other row."""
        keys = iter(dict.fromkeys(cell.key for cell in cells))
        found: dict[Cell, Row] = {}
        while batch := list(islice(keys, _KEYS_AT_ONCE)):
            places = ", ".join("?" * len(batch))
            found |= {row.cell: row for row in self._rows(f"WHERE key IN ({places})", batch)}
        return found

    def worst(self, limit: int = 5, status: WidthStatus = WidthStatus.OPEN) -> list[Row]:
        """Return the cells of one status known least: greatest upper / (lower + 1); censored: greatest lower end."""
        return list(self._rows(f"WHERE status = ? ORDER BY {LOOSENESS} DESC LIMIT ?", (status.value, limit)))

    def counts(self) -> list[Count]:
        """Return how many cells there are of each question and status, without reading a row."""
        question = "dimension, readout, init, granularity, epsilon, status"
        sql = f"SELECT {question}, COUNT(*), SUM(seconds) FROM cells GROUP BY {question}"
        with self._reading():
            return [
                Count(d, readout, init, granularity, epsilon, WidthStatus(status), cells, seconds)
                for d, readout, init, granularity, epsilon, status, cells, seconds in self._connection.execute(sql)
            ]

    def check(self) -> None:
        """Go through every page and index of the database; raises DamagedError. Takes 6 s at 10^6 rows."""
        with self._reading():
            found = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != ("ok",):
            raise DamagedError(self.database, str(found[0]))

    def note(self, name: str, value: str) -> None:
        """Write down a small fact about the study that no row depends on; raises CannotWriteError."""
        with self._writing():
            self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def notes(self) -> dict[str, str]:
        """Return every fact that was noted."""
        with self._reading():
            return dict(self._connection.execute("SELECT name, value FROM notes ORDER BY name").fetchall())

    def ticket_path(self, row: Row) -> Path | None:
        """Return where a row's ticket is, or None where the row has none."""
        return None if row.ticket is None else self.directory / TICKETS / row.ticket

    def known(self, row: Row) -> WidthInterval:
        """Return what a row proves, its ticket read and verified again; without its file only the lower end."""
        path = self.ticket_path(row)
        # A power cut may leave a row without its ticket, or with an empty file in its place.
        if path is None or not path.exists() or path.stat().st_size == 0:
            return WidthInterval(row.cell, row.lower, seconds=row.seconds, searches=row.searches)
        ticket = load_ticket(path)
        certificate, upper = ticket.verify(), ticket.mask.least_width
        return WidthInterval(row.cell, row.lower, upper, ticket.mask, certificate, row.seconds, row.searches)

    def put(self, row: Row, interval: WidthInterval) -> Row:
        """Store what `row` proves and return the row that is stored now: both it and what was stored before.

        The ticket is written to a file of its own and verified from there; under the write lock it takes its place
        only if it is narrower than the stored one, and the row is committed after it. Raises ContradictionError where
        the stored row cannot be true as well, CannotWriteError where the disk does not take it, BadInputError for a
        ticket that does not verify; whichever is raised, nothing was stored.
        """
        path = self.ticket_path(row)
        unfinished = self.directory / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            if path is not None and interval.ticket is not None:
                try:
                    unfinished.write_bytes(ticket_bytes(interval.ticket))
                except OSError as error:
                    raise CannotWriteError(path, error.strerror or str(error)) from None
                load_ticket(unfinished).verify()
            with self._writing():
                stored = self.rows_of((row.cell,)).get(row.cell)
                both = row if stored is None else merged(row, stored)
                if both == stored:
                    return both
                if path is not None and unfinished.exists() and _is_narrower(row, stored):
                    unfinished.replace(path)
                self._connection.execute(INSERT, values_of(both))
            return both
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def put_many(self, rows: Iterable[Row]) -> None:
        """Write rows of cells that are not stored yet, tickets already in place, in one transaction."""
        with self._writing():
            self._connection.executemany(INSERT, map(values_of, rows))

    def _rows(self, where: str, values: Iterable[object] = ()) -> Iterator[Row]:
        with self._reading():
            for found in self._connection.execute(f"{_SELECT} {where}", tuple(values)):
                yield row_from_values(found)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise DamagedError(self.database, str(error)) from None
        except BadInputError as error:
            raise DamagedError(self.database, f"{error.value} {error.rule}") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, which happens as a whole or not at all."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except (sqlite3.OperationalError, OSError) as error:
            raise CannotWriteError(self.database, str(error)) from None
        except sqlite3.DatabaseError as error:
            raise DamagedError(self.database, str(error)) from None

    def _open_to_read(self) -> sqlite3.Connection:
        if not self.database.is_file():
            raise BadInputError(str(self.directory), "holds no prunegap study", "name the directory of a study")
        check_header(self.database)
        connection = connect_to_read(self.database)
        if version_of(connection) == SCHEMA:
            self._seen = None if log_of(self.database).exists() else _state(self.database)
            return connection
        self._room = tempfile.TemporaryDirectory(prefix="prunegap-")
        copy = Path(self._room.name) / DATABASE
        try:
            copy_database(connection, copy)
            self._migrate(copy, keep_copy=False)
        finally:
            connection.close()
        return connect_to_read(copy)

    def _open_to_write(self) -> sqlite3.Connection:
        self._make_room()
        check_header(self.database)
        probe = connect_to_read(self.database)
        version = version_of(probe)
        probe.close()
        (self.directory / TICKETS).mkdir(exist_ok=True)
        for place in (self.directory, self.directory / TICKETS, self.database):
            if not os.access(place, os.W_OK):
                raise CannotWriteError(place, "it is read-only")
        if version < SCHEMA:
            self._migrate(self.database)
        return connect_to_write(self.database)

    def _migrate(self, path: Path, keep_copy: bool = True) -> None:
        try:
            migrate(path, keep_copy)
        except (sqlite3.OperationalError, OSError) as error:
            raise CannotWriteError(path, str(error)) from None
        except (sqlite3.DatabaseError, BadInputError) as error:
            raise DamagedError(self.database, str(error).rstrip("; ")) from None

    def _make_room(self) -> None:
        """Create directory and database if there is nothing yet; the database appears whole or not at all."""
        if self.directory.exists() and not self.directory.is_dir():
            raise BadInputError(f"out {self.directory}", "is a file", ELSEWHERE)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = DirectoryLock(self.directory, when_alone=self._clear_unfinished)
        if not self.database.exists():
            ours = (f".{DATABASE}", _UNFINISHED)
            strangers = sorted(p.name for p in self.directory.iterdir() if not p.name.startswith(ours))
            if strangers and not self.database.exists():  # another driver may have made the study meanwhile
                raise BadInputError(f"out {self.directory}", f"holds {strangers[0]} but no prunegap study", ELSEWHERE)
            create_database(self.database)

    def _clear_unfinished(self) -> None:
        """Remove what killed processes left behind; called only while no other process writes here."""
        for place in self.directory.iterdir():
            if place.name.startswith(_UNFINISHED):
                place.unlink(missing_ok=True)
            elif place.name.startswith(f".{DATABASE}."):
                shutil.rmtree(place, ignore_errors=True)

    def _leave(self) -> None:
        if self._lock is not None:
            self._lock.close()
        if self._room is not None:
            self._room.cleanup()


def _is_narrower(row: Row, stored: Row | None) -> bool:
    """Whether the row's ticket is to take the place of the stored one."""
    return stored is None or stored.upper is None or (row.upper is not None and row.upper < stored.upper)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
