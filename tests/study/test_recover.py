"""A damaged page costs the rows on it and nothing else; what comes back is true, and nothing is thrown away."""

import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from quick import bare, cell_of, checked, data, put

from prunegap.model.errors import BadInputError
from prunegap.study.recover import RECOVERED, recover
from prunegap.study.row import COLUMNS, digest_of
from prunegap.study.store import DATABASE, Store

ROWS = 2500
TABLE_LEAF, TABLE_BRANCH, INDEX_LEAF = 13, 5, 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of thousands of rows, some of them longer than a page."""
    directory = tmp_path_factory.mktemp("recover") / "whole"
    with Store(directory) as store:
        store.put_many(bare(range(ROWS)))
        store.put_many(bare(range(ROWS, ROWS + 20), reason="long " * 3000))
        for seed in range(ROWS + 20, ROWS + 24):
            put(store, seed, 1, 3)
    return directory


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(whole, tmp_path / "study"))


def pages(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[start : start + 4096] for start in range(0, len(content), 4096)]


def overwrite(path: Path, page: int, seed: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(random.Random(seed).randbytes(4096))


@pytest.mark.parametrize("kind", [TABLE_LEAF, TABLE_BRANCH, INDEX_LEAF])
@pytest.mark.parametrize("seed", range(3))
def test_a_page_of_garbage_costs_the_rows_on_it_and_nothing_else(study: Path, kind: int, seed: int) -> None:
    before = checked(study)
    numbers = [n for n, page in enumerate(pages(study / DATABASE)) if n > 20 and page[0] == kind]
    damaged = random.Random(seed).choice(
        numbers or [n for n, p in enumerate(pages(study / DATABASE)) if p[0] == kind]
    )
    on_page = {key for key in before if key.encode() in pages(study / DATABASE)[damaged]}
    overwrite(study / DATABASE, damaged, seed)
    with pytest.raises(BadInputError, match=f"recover {re.escape(str(study))}"), Store(study) as store:
        store.check()
    ruined = (study / DATABASE).read_bytes()
    found = recover(study)
    after = checked(study)
    assert after == {key: before[key] for key in before if kind != TABLE_LEAF or key not in on_page}
    assert on_page or kind != TABLE_LEAF
    assert found.rows == len(after)
    assert found.backup is not None
    assert found.backup.read_bytes() == ruined
    digests_match(study)


def digests_match(study: Path) -> None:
    """Read every row without the store and compute its digest."""
    with closing(sqlite3.connect(study / DATABASE)) as connection:
        for values in connection.execute(f"SELECT {', '.join(COLUMNS)} FROM cells"):
            assert digest_of(values[:-1]) == values[-1]


def test_many_pages_of_garbage(study: Path) -> None:
    before, content = checked(study), pages(study / DATABASE)
    damaged = random.Random(5).sample(range(len(content)), len(content) // 10)
    lost = {key for n in damaged if content[n][0] == TABLE_LEAF for key in before if key.encode() in content[n]}
    for n in damaged:
        overwrite(study / DATABASE, n, n)
    recover(study)
    after = checked(study)
    long_rows = {cell_of(seed).key for seed in range(ROWS, ROWS + 20)}  # a page of their own may be hit as well
    assert after.keys() - long_rows == before.keys() - lost - long_rows
    assert all(after[key] == before[key] for key in after)
    assert len(after) > 0.8 * len(before)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "header": lambda path: overwrite(path, 0),
    "application": lambda path: change(path, 68, b"\0\0\0\0"),
    "page size": lambda path: change(path, 16, b"\x01\x01"),
    "schema tree": lambda path: change(path, 100, b"\xff" * 8),
}


def change(path: Path, place: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(value)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_without_a_readable_header_every_row_comes_back(study: Path, damage: Callable[[Path], None]) -> None:
    before = checked(study)
    damage(study / DATABASE)
    with pytest.raises(BadInputError, match=DATABASE):
        Store(study)
    assert recover(study).rows == len(before)
    assert checked(study) == before


def test_a_file_cut_in_two_gives_back_the_first_part(study: Path) -> None:
    before, content = checked(study), pages(study / DATABASE)
    left = content[: len(content) // 2]
    os.truncate(study / DATABASE, 4096 * len(left))
    recover(study)
    after = checked(study)
    assert after.keys() >= {
        k for k in before if any(k.encode() in page for page in left if page[0] == TABLE_LEAF)
    } - {cell_of(seed).key for seed in range(ROWS, ROWS + 20)}
    assert all(before[key] == after[key] for key in after)


def test_rows_that_are_only_in_the_log_come_back_too(study: Path, tmp_path: Path) -> None:
    with Store(study) as store:
        for seed in range(ROWS + 30, ROWS + 60):
            put(store, seed, 1, 3)
        rows = data(store.rows())
        killed = Path(shutil.copytree(study, tmp_path / "killed"))
    leaf = max(n for n, page in enumerate(pages(killed / DATABASE)) if page[0] == TABLE_LEAF)
    overwrite(killed / DATABASE, 1)
    overwrite(killed / DATABASE, leaf // 2)
    recover(killed)
    after = checked(killed)
    assert {cell_of(seed).key for seed in range(ROWS + 30, ROWS + 60)} <= after.keys()
    assert all(rows[key] == after[key] for key in after)
    assert len(after) > len(rows) - 40


def test_a_kill_between_log_and_database_loses_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checked(study)
    overwrite(study / DATABASE, 0)
    replace = Path.replace

    def killed(source: Path, target: Path) -> Path:
        if source.name == RECOVERED:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        recover(study)
    monkeypatch.undo()
    for n in range(1, len(pages(study / DATABASE))):
        overwrite(study / DATABASE, n, n)
    recover(study)
    assert checked(study) == before
    assert not (study / RECOVERED).exists()


def test_a_row_with_a_changed_value_is_left_out(study: Path) -> None:
    before, lost = checked(study), cell_of(77).key
    with closing(sqlite3.connect(study / DATABASE)) as connection:
        connection.execute("UPDATE cells SET lower = 50 WHERE key = ?", (lost,))
        connection.commit()
    recover(study)
    assert checked(study) == {key: before[key] for key in before if key != lost}


def test_a_whole_study_is_left_alone(study: Path) -> None:
    before = (study / DATABASE).read_bytes()
    found = recover(study)
    assert (found.backup, found.rows, found.without_ticket, found.tickets_without_row) == (None, ROWS + 24, 0, 0)
    assert (study / DATABASE).read_bytes() == before


def test_a_study_that_is_open_elsewhere_is_not_recovered(study: Path) -> None:
    with Store(study), pytest.raises(BadInputError, match="written by another process"):
        recover(study)


def test_what_is_no_study_is_not_recovered(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no prunegap study"):
        recover(tmp_path)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("CREATE TABLE photographs (name TEXT)")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BadInputError, match="no row that can be read"):
        recover(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_newer_study_is_not_recovered(study: Path) -> None:
    change(study / DATABASE, 60, b"\0\0\0\x63")
    with pytest.raises(BadInputError, match="schema 99"):
        recover(study)
