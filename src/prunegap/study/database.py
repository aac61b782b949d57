"""The database file of a study: how it comes to be, what is refused before SQLite may touch it, and how it is opened.

A file is looked at before it is opened for writing: its first 100 bytes, its length, then its tables through a
connection that cannot write. Small files are checked page by page (`integrity_check`); in a large one that would take
longer than any command, so there a damaged page is noticed when it is read, by SQLite or by a row's digest.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.study.row import COLUMNS
from prunegap.study.schema import APPLICATION_ID, SCHEMA, create, version_of

DATABASE = "study.sqlite"
ELSEWHERE = "choose another --out directory"
RESTORE = "save what can be read: prunegap recover"
CHECKED_WHOLE = 4 << 20
"""Bytes up to which every page is checked on opening (about 10,000 rows, 20 ms)."""

BUSY_SECONDS = 60.0
"""How long a write waits for another process's."""

ENTERING_SECONDS = 10.0
"""How long a writer waits for whoever has the directory alone: another that is just entering, or a repair."""


class DamagedError(BadInputError):
    """A study's database cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(str(path), f"is damaged or cannot be opened ({why})", f"{RESTORE} {path.parent}")


class NotAStudyError(BadInputError):
    """A SQLite database that is not marked as a study."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), "is no prunegap study", ELSEWHERE)


class CannotWriteError(BadInputError):
    """The study could not be written just now; nothing was changed, and the same call may be made again."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(str(path), f"cannot be written ({why})", "make room, or choose another --out directory")


def create_database(path: Path) -> None:
    """Create an empty study: it appears whole or not at all, and never replaces one that another process made."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as room:
        whole = Path(room) / path.name
        try:
            with closing(sqlite3.connect(whole)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                create(connection)
        except sqlite3.OperationalError as error:
            raise BadInputError(f"out {path.parent}", f"cannot be written ({error})", ELSEWHERE) from None
        # A link, unlike a rename, never replaces a study that appeared meanwhile; not every file system has links.
        try:
            os.link(whole, path)
        except FileExistsError:
            pass
        except OSError:
            whole.replace(path)


def check_header(path: Path) -> None:
    """Refuse a file that is no study by its first 100 bytes and its length; raises BadInputError."""
    header = _header(path)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise DamagedError(path, "it is no SQLite database")
    page, pages, application = (_number(header, *place) for place in ((16, 2), (28, 4), (68, 4)))
    if application != APPLICATION_ID:
        raise NotAStudyError(path)
    check_schema(path, _number(header, 60, 4))
    # A log may hold pages that the file has not got yet; and where a writer has just ended, the header is new.
    fits = path.stat().st_size == pages * (65536 if page == 1 else page)
    if not (fits or log_of(path).exists() or _header(path) != header):
        raise DamagedError(path, "it is not as long as its header says")


def check_schema(path: Path, schema: int) -> None:
    """Refuse a study of a newer version; raises BadInputError."""
    if not 1 <= schema <= SCHEMA:
        rule = f"has schema {schema} and this version of prunegap reads schemas up to {SCHEMA}"
        raise BadInputError(str(path), rule, "update prunegap to the version that wrote it, or newer")


def log_of(path: Path) -> Path:
    """Return where SQLite keeps what is committed but not yet in the file."""
    return path.with_name(f"{path.name}-wal")


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, its table checked; raises DamagedError, BadInputError if it is newer."""
    # Without a log left by a writer only the file itself counts, and looking at it must leave no trace.
    alone = not log_of(path).exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            if path.stat().st_size <= CHECKED_WHOLE:
                (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
            check_schema(path, version_of(connection))
            if version_of(connection) == SCHEMA:
                connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cells LIMIT 1").fetchone()
            return connection
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise DamagedError(path, str(error)) from None


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection for writing, in WAL mode; raises CannotWriteError or DamagedError."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing; a power cut the last seconds, and with them less than what was running.
            connection.execute("PRAGMA synchronous = NORMAL")
            return connection
        except BaseException:
            connection.close()
            raise
    except sqlite3.OperationalError as error:
        raise CannotWriteError(path, str(error)) from None
    except sqlite3.DatabaseError as error:
        raise DamagedError(path, str(error)) from None


class DirectoryLock:
    """An advisory lock on a directory, held until closed: shared by every writer, exclusive for repair.

    It dies with its process. Where the system has no such locks it does nothing.
    """

    def __init__(
        self, directory: Path, exclusive: bool = False, when_alone: Callable[[], None] | None = None
    ) -> None:
        """Raise BadInputError where another process holds what excludes this; `when_alone` runs if nobody does."""
        self._handle: int | None = None
        if sys.platform == "win32":
            return
        import fcntl

        self._handle = os.open(directory, os.O_RDONLY)
        try:
            alone = self._try(fcntl.LOCK_EX)
            if alone and when_alone is not None:
                when_alone()
            if not (alone if exclusive else self._share()):
                rule = "is being written by another process" if exclusive else "is being recovered"
                raise BadInputError(str(directory), rule, "wait until it is done")
        except BaseException:
            self.close()
            raise

    def _share(self) -> bool:
        """Share the lock, at the latest in ENTERING_SECONDS: it is lost for a moment even to one who had it alone."""
        import fcntl

        end = time.monotonic() + ENTERING_SECONDS
        while not self._try(fcntl.LOCK_SH):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _try(self, kind: int) -> bool:
        import fcntl

        assert self._handle is not None
        try:
            fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True

    def close(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _number(header: bytes, place: int, size: int) -> int:
    return int(struct.unpack(">H" if size == 2 else ">i", header[place : place + size])[0])
