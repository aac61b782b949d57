"""The tables of a study, schema by schema, and the chain of migrations from the first to the present one.

A migration is one transaction, so it happened or it did not. Before it starts, a whole copy of the database is put
beside it; the copy is taken under the write lock, so it is the state that the migration starts from.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.study.row import COLUMNS, digest_of

APPLICATION_ID = 0x50474150
"""The bytes "PGAP" in the header of the database: this file is a study."""

SCHEMA = 2

# How loosely an open cell is known, as the factor between the ends of N in [lower + 1, upper]; censored cells have
# no upper end and are ordered by what is excluded.
LOOSENESS = "(CASE WHEN upper IS NULL THEN CAST(lower AS REAL) ELSE upper / max(lower + 1.0, 0.5) END)"

TABLES = (
    f"CREATE TABLE cells ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())}) STRICT",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE INDEX cells_by_question ON cells (dimension, readout, init, granularity, epsilon, status, seconds)",
    f"CREATE INDEX cells_by_looseness ON cells (status, {LOOSENESS})",
)
"""What creates the present schema."""

INSERT = f"INSERT OR REPLACE INTO cells VALUES ({', '.join('?' * len(COLUMNS))})"

COLUMNS_OF_1 = (
    "key", "dimension", "epsilon", "granularity", "readout", "init", "seed", "lower", "upper", "status", "seconds",
    "searches", "reason", "error_upper", "ticket", "time_limit", "max_width", "created", "stream", "version",
    "python", "numpy", "ortools", "platform", "digest",
)  # fmt: skip


def create(connection: sqlite3.Connection) -> None:
    """Create the tables of the present schema and mark the file as a study."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _from_1_to_2(connection: sqlite3.Connection) -> None:
    """Add the executor, the origin of a foreign ticket, notes, and indices; digests are checked, then made anew."""
    connection.execute("ALTER TABLE cells RENAME TO cells_of_1")
    for statement in TABLES:
        connection.execute(statement)
    for values in connection.execute(f"SELECT {', '.join(COLUMNS_OF_1)} FROM cells_of_1 ORDER BY rowid"):
        if digest_of(values[:-1]) != values[-1]:
            raise BadInputError(f"row {values[0]}", "does not match its digest: it was changed", "")
        connection.execute(INSERT, upgraded_from_1(values))
    connection.execute("DROP TABLE cells_of_1")


def upgraded_from_1(values: tuple[object, ...]) -> tuple[object, ...]:
    """Return the values of a row of schema 1 as schema 2 has them, with the digest that belongs to these."""
    told = (*values[:-1], "unknown", None)
    return (*told, digest_of(told))


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1_to_2}
"""The step from each older schema to the next; a later schema freezes the TABLES that this step needs."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema that a study has now."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(path: Path, keep_copy: bool = True) -> None:
    """Bring the study in `path` to the present schema; a copy of the older one stays as NAME.schema-N.

    Guarantees that a process killed at any moment leaves the older schema or the present one, whole, and that of two
    processes one migrates and the other finds it done. Raises BadInputError for a row that does not match its digest,
    and sqlite3.Error where the file cannot be read or written.
    """
    with closing(sqlite3.connect(path, timeout=600.0, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = version_of(connection)
            if version < SCHEMA and keep_copy:
                _copy(path, path.with_name(f"{path.name}.schema-{version}"))
            for step in range(version, SCHEMA):
                MIGRATIONS[step](connection)
                connection.execute(f"PRAGMA user_version = {step + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def copy_database(source: sqlite3.Connection, path: Path) -> None:
    """Write the whole database behind `source` to `path`, as one file without a log."""
    with closing(sqlite3.connect(path)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def _copy(path: Path, target: Path) -> None:
    """Copy the database to `target`, at once, from a connection of its own (the caller holds the write lock)."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as room:
        whole = Path(room) / target.name
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as reader:
            copy_database(reader, whole)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(target)
