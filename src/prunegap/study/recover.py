"""What can be saved of a damaged study: every row, on any page, that still matches its own digest.

Nothing is thrown away: the damaged files stay beside the new ones. What is lost are rows, never their truth, so
`prunegap measure` simply finds those cells missing.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.study.database import DATABASE, DamagedError, DirectoryLock, NotAStudyError, check_header, log_of
from prunegap.study.intersection import ContradictionError, merged
from prunegap.study.pages import Record, records
from prunegap.study.row import COLUMNS, Row, digest_of, row_from_values, values_of
from prunegap.study.schema import COLUMNS_OF_1, INSERT, create, upgraded_from_1
from prunegap.study.store import TICKETS, Store

RECOVERED = f"{DATABASE}.recovered"
_NAMES = {len(names): tuple(names) for names in (COLUMNS_OF_1, COLUMNS)}
_REAL = {name for name, kind in COLUMNS.items() if kind.startswith("REAL")}


@dataclass(frozen=True)
class Recovery:
    """What `recover` did: how many rows there are now, how many of them lack their ticket's file, and the backup.

    `backup` is None where nothing was damaged and nothing was changed. `tickets_without_row` counts cells whose row
    is lost, or was never committed. `contradictions` tells of rows left out because an older version of the same row
    cannot be true as well.
    """

    rows: int
    without_ticket: int
    tickets_without_row: int
    contradictions: tuple[str, ...]
    backup: Path | None


def recover(directory: Path | str, on_row: Callable[[int], None] | None = None) -> Recovery:
    """Make the study in `directory` whole again from the rows that match their digest.

    Guarantees that a process killed at any moment loses none of these rows, and that the damaged files are kept.
    Raises BadInputError for what is no study, a study of a newer version, one that another process has open, or one
    without a single readable row; nothing is changed then.
    """
    directory = Path(directory)
    path = directory / DATABASE
    if not path.is_file():
        raise BadInputError(str(directory), "holds no prunegap study", "name the directory of a study")
    lock = DirectoryLock(directory, exclusive=True)
    try:
        damaged = _is_damaged(path)
        if not damaged:
            with Store(directory, read_only=True) as store:
                return _told(directory, (row.ticket for row in store.rows_by_key()), [], None)
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{DATABASE}.") as room:
            new = Path(room) / DATABASE
            contradictions = _rebuild(path, directory / RECOVERED, new, on_row)
            backup = _backup(path)
            _exchange(new, path, directory / RECOVERED)
        with Store(directory, read_only=True) as store:
            return _told(directory, (row.ticket for row in store.rows_by_key()), contradictions, backup)
    finally:
        lock.close()


def _is_damaged(path: Path) -> bool:
    """Return whether anything in the file is; raises BadInputError for a foreign or newer one."""
    if path.with_name(RECOVERED).exists():
        return True
    try:
        check_header(path)
        with Store(path.parent, read_only=True) as store:
            store.check()
            for _ in store.rows_by_key():
                pass
    except (DamagedError, NotAStudyError):  # a foreign file is told by its rows: there are none
        return True
    return False


def _rebuild(path: Path, earlier: Path, new: Path, on_row: Callable[[int], None] | None) -> list[str]:
    """Write a new database of every readable row; return what contradicted."""
    contradictions: list[str] = []
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        create(connection)
        found = 0
        for source in (path, *([earlier] if earlier.exists() else [])):
            for row in rows_in(source):
                both = _met(connection, row, contradictions)
                connection.execute(INSERT, values_of(both))
                found += 1
                if on_row is not None:
                    on_row(found)
        connection.execute("COMMIT")
    if not found:
        raise BadInputError(str(path), "holds no row that can be read", "restore it from a copy")
    return contradictions


def _met(connection: sqlite3.Connection, row: Row, contradictions: list[str]) -> Row:
    stored = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cells WHERE key = ?", (row.cell.key,)).fetchone()
    if stored is None:
        return row
    before = row_from_values(stored)
    try:
        return merged(before, row)
    except ContradictionError as error:
        contradictions.append(str(error))
        return before


def rows_in(path: Path) -> Iterator[Row]:
    """Yield every row on any page of a database file or its log that matches its digest, old versions included."""
    for record in records(path, log_of(path)):
        row = _row(record)
        if row is not None:
            yield row


def _row(record: Record) -> Row | None:
    names = _NAMES.get(len(record))
    if names is None:
        return None
    # A REAL column keeps whole numbers as integers on disk.
    values = tuple(
        float(value) if name in _REAL and isinstance(value, int) else value
        for name, value in zip(names, record, strict=True)
    )
    try:
        if digest_of(values[:-1]) != values[-1]:
            return None
        return row_from_values(values if len(values) == len(COLUMNS) else upgraded_from_1(values))
    except (TypeError, ValueError):  # bytes in place of text, or a cell that cannot be
        return None


def _backup(path: Path) -> Path:
    """Copy the damaged files to names that are free, at once; return the database's."""
    targets = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    target = next(place for place in targets if not place.exists())
    for source, copy in ((log_of(path), log_of(target)), (path, target)):
        if source.exists():
            unfinished = copy.with_name(f".{copy.name}")
            shutil.copyfile(source, unfinished)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(copy)
    return target


def _exchange(new: Path, path: Path, recovered: Path) -> None:
    """Put the new database in the place of the damaged one.

    An old log beside a new database would be replayed into it, so the log goes first; until then, and until the
    last rename, the recovered rows are in a file that the next `recover` reads too.
    """
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(recovered)
    for leftover in (log_of(path), path.with_name(f"{path.name}-shm")):
        leftover.unlink(missing_ok=True)
    recovered.replace(path)


def _told(directory: Path, named: Iterator[str | None], contradictions: list[str], backup: Path | None) -> Recovery:
    folder = directory / TICKETS
    there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    rows = without = 0
    for ticket in named:
        rows += 1
        without += ticket is not None and ticket not in there
        there.discard(ticket or "")
    return Recovery(rows, without, len(there), tuple(contradictions), backup)
