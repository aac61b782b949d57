"""Exported tables say what the study says, to every tool alike."""

import csv
import sys
from pathlib import Path

import pytest
from quick import cell_of, put

from prunegap.model.errors import BadInputError
from prunegap.study.export import EXPORTED, export_csv, export_parquet
from prunegap.study.row import values_of
from prunegap.study.store import Store


@pytest.fixture
def study(tmp_path: Path) -> Path:
    with Store(tmp_path / "s") as store:
        put(store, 0, 1, 3)
        put(store, 1, 2, None)
        put(store, 2, -1, 2)
    return tmp_path / "s"


def values(study: Path) -> list[tuple[object, ...]]:
    with Store(study, read_only=True) as store:
        return [values_of(row)[:-1] for row in store.rows_by_key()]


def test_csv_reads_back_as_it_was(study: Path, tmp_path: Path) -> None:
    with Store(study, read_only=True) as store:
        assert export_csv(store, tmp_path / "t.csv") == 3
    with (tmp_path / "t.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == EXPORTED
    for row, told in zip(values(study), rows, strict=True):
        for value, text in zip(row, told, strict=True):
            assert text == "" if value is None or value == "" else type(value)(text) == value


def test_parquet_reads_back_as_it_was(study: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with Store(study, read_only=True) as store:
        assert export_parquet(store, tmp_path / "t.parquet") == 3
    table = parquet.read_table(tmp_path / "t.parquet")
    assert tuple(table.column_names) == EXPORTED
    assert [tuple(row.values()) for row in table.to_pylist()] == values(study)


def test_an_empty_study_is_an_empty_table(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with Store(tmp_path / "s") as store:
        assert export_csv(store, tmp_path / "t.csv") == export_parquet(store, tmp_path / "t.parquet") == 0
    assert (tmp_path / "t.csv").read_text() == ",".join(EXPORTED) + "\n"
    assert parquet.read_table(tmp_path / "t.parquet").num_rows == 0


def test_the_documented_columns_are_the_exported_ones() -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert tuple(name.strip(" `") for cell in cells for name in cell.split(",")) == EXPORTED


def test_without_pyarrow_the_extra_is_named(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        Store(study, read_only=True) as store,
        pytest.raises(BadInputError, match=r"prunegap\[parquet\]"),
    ):
        export_parquet(store, tmp_path / "t.parquet")


def test_a_file_that_cannot_be_written_is_named_and_an_old_one_kept(study: Path, tmp_path: Path) -> None:
    with Store(study, read_only=True) as store:
        with pytest.raises(BadInputError, match="nowhere"):
            export_csv(store, tmp_path / "nowhere" / "t.csv")
        (tmp_path / "t.csv").write_text("old")

        def broken(count: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            export_csv(store, tmp_path / "t.csv", broken)
    assert (tmp_path / "t.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "t.csv"]


def test_status_counts_and_worst_cells(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        for seed, (lower, upper) in enumerate([(1, 2), (1, 9), (4, 9), (-1, 4), (3, None), (7, None)]):
            put(store, seed, lower, upper)
        assert {(c.status, c.cells, c.seconds) for c in store.counts()} == {
            ("closed", 1, 1.0),
            ("open", 3, 3.0),
            ("censored", 2, 2.0),
        }
        assert [row.cell.seed for row in store.worst(9)] == [3, 1, 2]
        assert [row.cell.seed for row in store.worst(1)] == [3]
        assert [row.cell.seed for row in store.worst(9, store.rows()[-1].status)] == [5, 4]
        asked = [cell_of(seed) for seed in range(3, 2000)]
        assert set(store.rows_of(asked)) == set(asked[:3])
        store.note("asked", "6")
        store.note("asked", "7")
    with Store(tmp_path / "s", read_only=True) as store:
        assert store.notes() == {"asked": "7"}
