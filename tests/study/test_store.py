"""The study on disk: what it keeps, and what it refuses without touching it."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from brute import choose

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron
from prunegap.study.cell import Cell
from prunegap.study.row import COLUMNS, Row
from prunegap.study.schema import APPLICATION_ID, SCHEMA
from prunegap.study.store import DATABASE, TICKETS, Store
from prunegap.study.width import Effort, WidthInterval, minimal_width

CELL = Cell(1, 0.45, Neuron(), 0)
EFFORT = Effort(30.0, 10)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A closed study of one cell."""
    directory = tmp_path / "deep" / "study"
    interval = minimal_width(CELL, EFFORT, choose=choose)
    with Store(directory) as store:
        store.put(Row.of(interval, EFFORT), interval)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_a_row_comes_back_with_its_provenance(study: Path) -> None:
    with Store(study) as store:
        (row,) = store.rows()
    assert row.cell == CELL
    assert (row.lower, row.upper, row.status) == (3, 4, "closed")
    assert row.effort == EFFORT
    assert row.searches == ("brute-force",)
    assert row.error_upper is not None
    assert row.error_upper <= 0.45
    assert all(vars(row.provenance).values())
    assert row.created.endswith("+00:00")


def test_what_a_row_proves_can_be_taken_up_again(study: Path) -> None:
    with Store(study) as store:
        (row,) = store.rows()
        known = store.known(row)
        assert (known.lower, known.upper) == (3, 4)
        assert row.ticket is not None
        (study / TICKETS / row.ticket).unlink()
        assert (store.known(row).lower, store.known(row).upper) == (3, None)


def test_a_row_with_a_damaged_ticket_is_not_taken_up(study: Path) -> None:
    with Store(study) as store:
        (row,) = store.rows()
        (ticket,) = (study / TICKETS).iterdir()
        ticket.write_bytes(ticket.read_bytes()[:-1])
        with pytest.raises(BadInputError, match=ticket.name):
            store.known(row)


def test_no_row_is_written_for_a_ticket_that_does_not_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interval = minimal_width(CELL, EFFORT, choose=choose)
    wrong = WidthInterval(CELL, interval.lower, interval.upper, interval.mask, interval.certificate)
    monkeypatch.setattr(type(interval.mask), "resized", lambda mask, width: mask)
    assert wrong.mask is not None
    object.__setattr__(wrong.mask, "kept_weights", ~wrong.mask.kept_weights)
    with Store(tmp_path / "s") as store:
        with pytest.raises(BadInputError):
            store.put(Row.of(wrong, EFFORT), wrong)
        assert store.rows() == []


def test_an_empty_directory_becomes_a_study(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert store.rows() == []
    assert (tmp_path / DATABASE).exists()


def test_a_start_that_was_killed_while_creating_the_database_is_no_foreign_directory(tmp_path: Path) -> None:
    (tmp_path / f".{DATABASE}.k3x").mkdir()
    (tmp_path / f".{DATABASE}.k3x" / DATABASE).write_bytes(b"half")
    with Store(tmp_path) as store:
        assert store.rows() == []


def test_of_two_starts_at_once_neither_replaces_the_study_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval = minimal_width(CELL, EFFORT, choose=choose)
    link, quicker = os.link, []

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr("os.link", link)
        with Store(tmp_path) as other:
            other.put(Row.of(interval, EFFORT), interval)
            quicker.extend(other.rows())
        link(source, target)

    monkeypatch.setattr("os.link", late)
    with Store(tmp_path) as store:
        assert store.rows() == quicker != []


def change(path: Path, place: int, value: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:place] + value + content[place + len(value) :])


def change_value(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello" * 1000),
    "truncated header": lambda path: os.truncate(path, 50),
    "truncated page": lambda path: os.truncate(path, path.stat().st_size - 2048),
    "first byte": lambda path: change(path, 0, b"X"),
    "application": lambda path: change(path, 68, b"\0\0\0\0"),
    "schema": lambda path: change(path, 60, b"\0\0\0\x63"),
    "page size": lambda path: change(path, 16, b"\x01\x01"),
    "tree of the table": lambda path: change(path, 4096, b"\xff" * 64),
    "tree of the schema": lambda path: change(path, 100, b"\xff" * 8),
    "a changed lower end": lambda path: change_value(path, "UPDATE cells SET lower = 2"),
    "a changed text": lambda path: change_value(path, "UPDATE cells SET reason = 'because'"),
    "a lost table": lambda path: change_value(path, "ALTER TABLE cells RENAME TO rows"),
    "a lost column": lambda path: change_value(path, "ALTER TABLE cells RENAME COLUMN reason TO excuse"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_study_is_refused_by_name_and_untouched(study: Path, damage: Callable[[Path], None]) -> None:
    damage(study / DATABASE)
    before = contents(study)
    with pytest.raises(BadInputError, match=DATABASE), Store(study) as store:
        store.rows()
    assert contents(study) == before


def test_no_changed_byte_of_a_row_is_believed(study: Path) -> None:
    with Store(study) as store:
        honest = store.rows()
    path = study / DATABASE
    content = path.read_bytes()
    start = content.index(CELL.key.encode(), 4096)
    for place in range(start - 30, start + 200):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x04]) + content[place + 1 :])
        try:
            with Store(study) as store:
                found = store.rows()
        except BadInputError:
            continue
        assert found == honest, f"byte {place}"


def test_a_foreign_directory_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(BadInputError, match=r"thesis\.tex"):
        Store(tmp_path)
    assert contents(tmp_path) == before


def test_a_foreign_database_is_refused_and_untouched(tmp_path: Path) -> None:
    change_value(tmp_path / DATABASE, "CREATE TABLE cells (key TEXT)")
    before = contents(tmp_path)
    with pytest.raises(BadInputError, match="no prunegap study"):
        Store(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("below", ["", "study", "deep/study"])
def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInputError, match="out"):
        Store(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(BadInputError, match="out /proc"):
        Store("/proc/prunegap")


def test_the_database_says_what_it_is(study: Path) -> None:
    with closing(sqlite3.connect(study / DATABASE)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(cells)")]
    assert columns == list(COLUMNS)
