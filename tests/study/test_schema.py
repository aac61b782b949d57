"""Older studies come along, whole or not at all; newer ones are left alone."""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from quick import EFFORT, cell_of, checked, interval

from prunegap.model.errors import BadInputError
from prunegap.study import schema
from prunegap.study.row import COLUMNS, ticket_name
from prunegap.study.store import DATABASE, TICKETS, Store
from prunegap.study.ticket_file import save_ticket

SCHEMA_1 = """
CREATE TABLE cells (
    key TEXT PRIMARY KEY, dimension INTEGER NOT NULL, epsilon REAL NOT NULL, granularity TEXT NOT NULL,
    readout TEXT NOT NULL, init TEXT NOT NULL, seed INTEGER NOT NULL, lower INTEGER NOT NULL, upper INTEGER,
    status TEXT NOT NULL, seconds REAL NOT NULL, searches TEXT NOT NULL, reason TEXT NOT NULL, error_upper REAL,
    ticket TEXT, time_limit REAL, max_width INTEGER NOT NULL, created TEXT NOT NULL, stream TEXT NOT NULL,
    version TEXT NOT NULL, python TEXT NOT NULL, numpy TEXT NOT NULL, ortools TEXT NOT NULL, platform TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT
"""
ROWS = 40
MADE = ("2026-11-01T10:00:00.000000+00:00", "numpy-pcg64-rows-1", "0.1.0", "3.11.7", "2.4.6", "9.15", "Linux")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A study of schema 1, written by SQL alone."""
    directory = tmp_path / "old"
    (directory / TICKETS).mkdir(parents=True)
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        connection.execute(f"PRAGMA application_id = {0x50474150}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(SCHEMA_1)
        for seed in range(ROWS):
            connection.execute(f"INSERT INTO cells VALUES ({', '.join('?' * 25)})", row_of_schema_1(seed))
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")
    found = interval(0, 1, 3)
    assert found.ticket is not None
    save_ticket(directory / TICKETS / ticket_name(found.cell), found.ticket)
    return directory


def row_of_schema_1(seed: int) -> tuple[object, ...]:
    upper, ticket, error = (3, ticket_name(cell_of(0)), 99.0) if seed == 0 else (None, None, None)
    status = "open" if seed == 0 else "censored"
    values = (
        cell_of(seed).key, 1, 100.0, "neuron", "relu", "uniform", seed, 1, upper, status, 2.0, "sweep program",
        "because", error, ticket, 60.0, 100, *MADE,
    )  # fmt: skip
    return (*values, hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16])


def test_schema_1_becomes_schema_2_with_every_row_and_a_copy(old: Path) -> None:
    before = (old / DATABASE).read_bytes()
    with Store(old) as store:
        rows = store.rows()
        assert store.known(rows[0]).upper == 3
    assert [row.cell.seed for row in rows] == list(range(ROWS))
    assert {row.provenance.executor for row in rows} == {"unknown"}
    assert all((row.seconds, row.searches, row.effort) == (2.0, ("sweep", "program"), EFFORT) for row in rows)
    assert all(row.created == MADE[0] and row.provenance.platform == "Linux" for row in rows)
    assert all(row.upper_from is None for row in rows)
    copy = old / f"{DATABASE}.schema-1"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        kept = connection.execute("SELECT * FROM cells ORDER BY seed").fetchall()
    assert kept == [row_of_schema_1(seed) for seed in range(ROWS)]
    assert before != (old / DATABASE).read_bytes()
    assert checked(old).keys() == {cell_of(seed).key for seed in range(ROWS)}


def test_the_tables_are_the_same_as_those_of_a_new_study(old: Path, tmp_path: Path) -> None:
    told = []
    for directory in (old, tmp_path / "new"):
        Store(directory).__exit__(None, None, None)
        with closing(sqlite3.connect(directory / DATABASE)) as connection:
            names = [name for _, name, *_ in connection.execute("PRAGMA table_info(cells)")]
            told.append((names, connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()))
    assert told[0] == told[1]
    assert told[0][0] == list(COLUMNS)


def test_reading_an_old_study_changes_nothing(old: Path) -> None:
    before = {path.name: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    assert len(checked(old)) == ROWS
    assert {path.name: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_a_changed_row_is_not_vouched_for(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE)) as connection:
        connection.execute("UPDATE cells SET lower = 2 WHERE seed = 7")
        connection.commit()
    before = (old / DATABASE).read_bytes()
    with pytest.raises(BadInputError, match=cell_of(7).key):
        Store(old)
    assert (old / DATABASE).read_bytes() == before


@pytest.mark.parametrize("at", [1, ROWS // 2, ROWS])
def test_a_migration_that_is_interrupted_did_not_happen(old: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    upgrade, calls = schema.upgraded_from_1, []

    def interrupted(values: tuple[object, ...]) -> tuple[object, ...]:
        calls.append(values)
        if len(calls) == at:
            raise KeyboardInterrupt
        return upgrade(values)

    monkeypatch.setattr(schema, "upgraded_from_1", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store(old)
    with closing(sqlite3.connect(old / DATABASE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT * FROM cells ORDER BY seed").fetchall() == [
            row_of_schema_1(seed) for seed in range(ROWS)
        ]
    monkeypatch.undo()
    assert len(checked(old)) == ROWS
    with Store(old) as store:
        assert len(store.rows()) == ROWS


KILLED = """
import os, shutil, signal, sys, time
from prunegap.study import schema
from prunegap.study.store import Store
old, room, slow = sys.argv[1], sys.argv[2], schema.upgraded_from_1
def slower(values):
    time.sleep(0.001)
    return slow(values)
schema.upgraded_from_1 = slower
for turn in range(12):
    study = os.path.join(room, str(turn))
    shutil.copytree(old, study)
    child = os.fork()
    if child == 0:
        Store(study)
        os._exit(0)
    if turn < 11:  # the last one lives
        time.sleep(0.01 * turn)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_migration_killed_at_any_moment_loses_no_row(old: Path, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(old), str(tmp_path / "room")], check=True)
    versions = set()
    for study in sorted((tmp_path / "room").iterdir()):
        with closing(sqlite3.connect(study / DATABASE)) as connection:
            versions.add(connection.execute("PRAGMA user_version").fetchone()[0])
        with Store(study) as store:
            assert len(store.rows()) == ROWS
        assert len(checked(study)) == ROWS
    assert versions == {1, 2}


def test_two_starts_migrate_once(old: Path) -> None:
    code = "import sys; from prunegap.study.store import Store; print(len(Store(sys.argv[1]).rows()))"
    starts = [subprocess.Popen([sys.executable, "-c", code, str(old)], stdout=subprocess.PIPE) for _ in range(3)]
    assert [start.communicate()[0].split() for start in starts] == [[str(ROWS).encode()]] * 3
    with closing(sqlite3.connect(old / f"{DATABASE}.schema-1")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(checked(old)) == ROWS


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_study_is_refused_and_untouched(tmp_path: Path, read_only: bool) -> None:
    Store(tmp_path / "s").__exit__(None, None, None)
    with closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 3")
    before = (tmp_path / "s" / DATABASE).read_bytes()
    with pytest.raises(BadInputError, match=r"schema 3 .*update prunegap"):
        Store(tmp_path / "s", read_only)
    assert (tmp_path / "s" / DATABASE).read_bytes() == before


def test_a_newer_schema_that_is_only_in_the_log_is_seen(tmp_path: Path) -> None:
    with Store(tmp_path / "s"), closing(sqlite3.connect(tmp_path / "s" / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 3")
        killed = shutil.copytree(tmp_path / "s", tmp_path / "killed")
    with pytest.raises(BadInputError, match="schema 3"):
        Store(killed)
