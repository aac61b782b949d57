"""A study on disk: one directory, one SQLite row a cell, one ticket file a row.

This file owns every file name inside the directory. A row is written only after its ticket has been read back from
its file and verified, so whatever is killed, whenever, what is there is true. A directory that is not a study, or a
study that is damaged, is refused and left untouched.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import TracebackType

from prunegap.model.errors import BadInputError
from prunegap.study.cell import Cell
from prunegap.study.row import COLUMNS, Row, row_from_values, values_of
from prunegap.study.ticket_file import load_ticket, save_ticket
from prunegap.study.width import WidthInterval

DATABASE = "study.sqlite"
TICKETS = "tickets"
APPLICATION_ID = 0x50474150
"""The bytes "PGAP" in the header of the database: this file is a study."""

SCHEMA = 1
_CREATE = f"""
CREATE TABLE cells (
    {", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())}
) STRICT
"""
_ELSEWHERE = "choose another --out directory"
_REMEDY = "restore it from a copy, or choose another --out directory"


class Store:
    """An open study; use it as a context manager. Raises BadInputError where `directory` cannot be one."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.database = self.directory / DATABASE
        try:
            self._make_room()
            _check_header(self.database)
            self._connection = self._connect()
            (self.directory / TICKETS).mkdir(exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise BadInputError(f"out {self.directory}", f"cannot be used ({reason})", _ELSEWHERE) from None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self) -> list[Row]:
        """Return every row, oldest first."""
        found = self._connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cells ORDER BY created, key")
        return [self._row(values) for values in found]

    def rows_of(self, cells: Iterable[Cell]) -> dict[Cell, Row]:
        """Return the rows that exist for `cells`."""
        wanted = {cell.key: cell for cell in cells}
        return {row.cell: row for row in self.rows() if row.cell.key in wanted}

    def known(self, row: Row) -> WidthInterval:
        """Return what a row proves, its ticket read and verified again; without its file only the lower end."""
        if row.ticket is None or not (self.directory / TICKETS / row.ticket).exists():
            return WidthInterval(row.cell, row.lower, seconds=row.seconds, searches=row.searches)
        ticket = load_ticket(self.directory / TICKETS / row.ticket)
        certificate, upper = ticket.verify(), ticket.mask.least_width
        return WidthInterval(row.cell, row.lower, upper, ticket.mask, certificate, row.seconds, row.searches)

    def put(self, row: Row, interval: WidthInterval) -> None:
        """Write a row, its ticket first; the ticket is verified from its file before the row says that it exists."""
        if interval.ticket is not None and row.ticket is not None:
            path = self.directory / TICKETS / row.ticket
            save_ticket(path, interval.ticket)
            load_ticket(path).verify()
        places = ", ".join("?" * len(COLUMNS))
        try:
            with self._connection:
                self._connection.execute(f"INSERT OR REPLACE INTO cells VALUES ({places})", values_of(row))
        except sqlite3.OperationalError as error:
            raise BadInputError(str(self.database), f"cannot be written ({error})", _ELSEWHERE) from None

    def _row(self, values: tuple[object, ...]) -> Row:
        try:
            return row_from_values(values)
        except BadInputError as error:
            raise BadInputError(f"{self.database}: {error.value}", error.rule, _REMEDY) from None

    def _make_room(self) -> None:
        """Create directory and database if there is nothing yet; the database appears whole or not at all."""
        if self.directory.exists() and not self.directory.is_dir():
            raise BadInputError(f"out {self.directory}", "is a file", _ELSEWHERE)
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.database.exists():
            strangers = sorted(p.name for p in self.directory.iterdir() if not p.name.startswith(f".{DATABASE}"))
            if strangers:
                raise BadInputError(
                    f"out {self.directory}", f"holds {strangers[0]} but no prunegap study", _ELSEWHERE
                )
            _create_database(self.database)

    def _connect(self) -> sqlite3.Connection:
        # Without a log left by a killed writer only the file itself counts, and looking at it must leave no trace.
        alone = not self.database.with_name(f"{DATABASE}-wal").exists()
        address = f"{self.database.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as reader:
                (verdict,) = reader.execute("PRAGMA integrity_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
                reader.execute(f"SELECT {', '.join(COLUMNS)} FROM cells LIMIT 1")
            connection = sqlite3.connect(self.database, timeout=60.0)
            connection.execute("PRAGMA journal_mode = WAL")
            return connection
        except sqlite3.DatabaseError as error:
            raise BadInputError(str(self.database), f"is damaged or cannot be opened ({error})", _REMEDY) from None


def _create_database(path: Path) -> None:
    """Create an empty study at once, unless another process is quicker."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as room:
        whole = Path(room) / path.name
        try:
            with closing(sqlite3.connect(whole)) as connection:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
                connection.execute(_CREATE)
        except sqlite3.OperationalError as error:
            raise BadInputError(f"out {path.parent}", f"cannot be written ({error})", _ELSEWHERE) from None
        # A link, unlike a rename, never replaces a study that appeared meanwhile; not every file system has links.
        try:
            os.link(whole, path)
        except FileExistsError:
            pass
        except OSError:
            whole.replace(path)


def _check_header(path: Path) -> None:
    """Refuse a file that is no study by its first 100 bytes, before SQLite may touch it."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise BadInputError(str(path), "is damaged or is no SQLite database", _REMEDY)
    (schema,) = struct.unpack(">i", header[60:64])
    (application,) = struct.unpack(">i", header[68:72])
    if application != APPLICATION_ID:
        raise BadInputError(str(path), "is no prunegap study", _ELSEWHERE)
    if schema != SCHEMA:
        rule = f"has schema {schema} and this version of prunegap reads schema {SCHEMA}"
        raise BadInputError(str(path), rule, "choose another --out directory, or the version that wrote it")
