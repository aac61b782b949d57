"""Merging: both studies' proofs in a third, whatever the order; what cannot be true together is named."""

import shutil
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import pytest
from quick import EFFORT, cell_of, checked, data, interval, put

from prunegap.model.errors import BadInputError
from prunegap.study.intersection import ContradictionError, merged
from prunegap.study.merge import merge
from prunegap.study.row import Provenance, Row, row_from_values, values_of
from prunegap.study.store import TICKETS, Store

Study = dict[int, tuple[int, int | None]]
A: Study = {0: (1, 4), 1: (2, 9), 2: (1, None), 3: (1, 5), 4: (0, 3)}
B: Study = {1: (4, 7), 2: (3, 8), 3: (2, 9), 5: (1, 2)}
BOTH: Study = {0: (1, 4), 1: (4, 7), 2: (3, 8), 3: (2, 5), 4: (0, 3), 5: (1, 2)}


def made(directory: Path, rows: Study, executor: str) -> Path:
    with Store(directory) as store:
        for seed, (lower, upper) in rows.items():
            found = interval(seed, lower, upper)
            store.put(Row.of(found, EFFORT, Provenance.here(executor)), found)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Path, Path]:
    return made(tmp_path / "a", A, "processes"), made(tmp_path / "b", B, "dask tcp://there")


def test_the_narrower_interval_wins_and_the_sources_stay(studies: tuple[Path, Path], tmp_path: Path) -> None:
    before = [contents(study) for study in studies]
    done = merge(studies, tmp_path / "c")
    assert (done.rows, done.shared, done.tickets) == (6, 3, 6)
    assert [contents(study) for study in studies] == before
    checked(tmp_path / "c")
    with Store(tmp_path / "c") as store:
        rows = store.rows_of(map(cell_of, BOTH))
    assert {cell.seed: (row.lower, row.upper) for cell, row in rows.items()} == BOTH
    executors = {cell.seed: row.provenance.executor for cell, row in rows.items()}
    assert executors == {0: "processes", 4: "processes", **dict.fromkeys((1, 2, 3, 5), "dask tcp://there")}
    origins = {cell.seed: row.upper_from for cell, row in rows.items()}
    assert origins == {**dict.fromkeys(BOTH), 3: Provenance.here("processes")}


def test_any_order_gives_the_same_study(studies: tuple[Path, Path], tmp_path: Path) -> None:
    third = made(tmp_path / "third", {1: (4, 6), 3: (3, 5), 9: (1, 2)}, "serial")
    merge((*studies, third), tmp_path / "first")
    first = contents(tmp_path / "first" / TICKETS)
    with Store(tmp_path / "first", read_only=True) as store:
        rows = [values_of(row) for row in store.rows_by_key()]
    for number, order in enumerate(permutations((*studies, third))):
        out = tmp_path / str(number)
        merge(order, out)
        with Store(out, read_only=True) as store:
            assert [values_of(row) for row in store.rows_by_key()] == rows
        assert contents(out / TICKETS) == first


def test_merging_again_adds_nothing(studies: tuple[Path, Path], tmp_path: Path) -> None:
    merge(studies, tmp_path / "c")
    merge((tmp_path / "c", *studies), tmp_path / "d")
    assert checked(tmp_path / "d") == checked(tmp_path / "c")


def test_a_contradiction_names_both_rows_and_leaves_nothing(studies: tuple[Path, Path], tmp_path: Path) -> None:
    false = made(tmp_path / "false", {0: (4, 6), 5: (2, None), 7: (1, 2)}, "elsewhere")
    for sources in ((*studies, false), (false, *studies)):
        with pytest.raises(ContradictionError) as raised:
            merge(sources, tmp_path / "c")
        message = str(raised.value)
        assert message.startswith("2 conflicting rows")
        assert message.count(cell_of(0).key) == message.count(cell_of(5).key) == 2
        assert message.count("elsewhere") == 2
        assert not (tmp_path / "c").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_rows_of_different_streams_are_kept_apart(studies: tuple[Path, Path], tmp_path: Path) -> None:
    with Store(tmp_path / "other") as store:
        row = Row.of(interval(0, 1, None), EFFORT)
        store.put_many([replace(row, provenance=replace(row.provenance, stream="another"))])
    with pytest.raises(BadInputError, match="another"):
        merge((studies[0], tmp_path / "other"), tmp_path / "c")
    with Store(tmp_path / "other") as store, pytest.raises(BadInputError, match="another"):
        put(store, 0, 1, 3)


def test_a_ticket_that_is_missing_or_false_stops_the_merge(studies: tuple[Path, Path], tmp_path: Path) -> None:
    with Store(studies[0], read_only=True) as store:
        tickets = {row.cell.seed: store.ticket_path(row) for row in store.rows()}
    assert tickets[0] is not None
    assert tickets[4] is not None
    shutil.copy(tickets[4], tickets[0])
    with pytest.raises(BadInputError, match="another cell"):
        merge(studies, tmp_path / "c")
    tickets[0].unlink()
    with pytest.raises(BadInputError, match="no file for its ticket"):
        merge(studies, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_the_new_directory_must_be_new(studies: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is there already"):
        merge(studies, studies[0])
    with pytest.raises(BadInputError, match="no prunegap study"):
        merge((studies[0], tmp_path / "nowhere"), tmp_path / "c")
    (tmp_path / "c").mkdir()
    merge(studies, tmp_path / "c")
    assert len(checked(tmp_path / "c")) == len(BOTH)


INTERVALS = ((-1, None), (0, 9), (3, 9), (3, None), (1, 6), (5, 6), (0, 4), (3, 4))


def row_of(lower: int, upper: int | None, executor: str = "serial", seconds: float = 1.0) -> Row:
    row = Row.of(interval(0, lower, upper), EFFORT, Provenance.here(executor))
    return replace(row, seconds=seconds, effort=replace(EFFORT, seconds=None if seconds > 2.0 else seconds))


ROWS = [row_of(*ends, name, seconds) for ends, (name, seconds) in product(INTERVALS, (("x", 1.0), ("y", 3.0)))]


@pytest.mark.parametrize("first", ROWS, ids=lambda row: f"{row.lower}-{row.upper}-{row.provenance.executor}")
def test_laws_of_meeting(first: Row) -> None:
    assert merged(first, first) == first
    for second in ROWS:
        lower, upper = max(first.lower, second.lower), min(first.upper or 99, second.upper or 99)
        if lower >= upper:
            with pytest.raises(ContradictionError):
                merged(first, second)
            continue
        both = merged(first, second)
        assert (both.lower, both.upper or 99) == (lower, upper)
        assert both == merged(second, first) == merged(both, first) == merged(second, both)
        assert row_from_values(values_of(both)) == both
        late = replace(second, created="2099-01-01")
        assert data([merged(first, late)]) == data([both])
        pair = (first, second)
        assert both.provenance in [row.provenance for row in pair if row.lower == lower]
        assert (both.upper_from or both.provenance) in [row.provenance for row in pair if row.upper == both.upper]
