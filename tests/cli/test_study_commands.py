"""merge, export, audit and recover as a user runs them, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prunegap.cli import run
from prunegap.study.store import DATABASE

Printed = Callable[[], tuple[str, str]]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two studies that share a cell."""
    room = tmp_path_factory.mktemp("studies")
    for name, seeds in (("a", "0,1"), ("b", "1,2")):
        grid = ["--dimension", "1", "--epsilon", "0.3", "--granularity", "neuron", "--seeds", seeds]
        assert run(["measure", *grid, "--workers", "1", "--out", str(room / name), "--json"]) == 0
    return room / "a", room / "b"


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    capsys.readouterr()
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


def test_merge_then_export_then_audit(studies: tuple[Path, Path], tmp_path: Path, printed: Printed) -> None:
    both = str(tmp_path / "both")
    assert run(["merge", *map(str, studies), "-o", both, "--json"]) == 0
    assert json.loads(printed()[0]) == {"schema": 1, "rows": 3, "shared": 1, "tickets": 3}
    table = tmp_path / "table.csv"
    assert run(["export", both, "--csv", str(table)]) == 0
    assert len(table.read_text().splitlines()) == 4
    assert run(["audit", both, "--sample", "2", "--seed", "3"]) == 0
    assert "2 sampled, 2 agree" in printed()[0]


def test_recover_says_what_it_did(studies: tuple[Path, Path], tmp_path: Path, printed: Printed) -> None:
    both = tmp_path / "both"
    assert run(["merge", *map(str, studies), "-o", str(both)]) == 0
    printed()
    assert run(["recover", str(both), "--json"]) == 0
    assert json.loads(printed()[0])["damaged"] is False
    content = (both / DATABASE).read_bytes()
    (both / DATABASE).write_bytes(b"x" * 100 + content[100:])
    assert run(["audit", str(both)]) == 2
    assert f"prunegap recover {both}" in printed()[1]
    assert run(["recover", str(both), "--json"]) == 0
    told = json.loads(printed()[0])
    assert told == {
        "schema": 1,
        "damaged": True,
        "rows": 3,
        "rows_without_ticket": 0,
        "tickets_without_row": 0,
        "backup": str(both / f"{DATABASE}.damaged-1"),
    }
    assert run(["audit", str(both)]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["merge", "A", "nowhere", "-o", "OUT"],
        ["merge", "A", "B", "-o", "A"],
        ["merge", "A", "B"],
        ["export", "A"],
        ["export", "A", "--csv", "nowhere/table.csv"],
        ["export", "nowhere", "--csv", "OUT"],
        ["audit", "nowhere"],
        ["audit", "A", "--sample", "-1"],
        ["audit", "A", "--time-limit", "0"],
        ["audit", "A", "--time-limit", "nan"],
        ["recover", "nowhere"],
        ["recover", "file"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_writes_nothing(
    studies: tuple[Path, Path], tmp_path: Path, printed: Printed, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    places = {"A": str(studies[0]), "B": str(studies[1]), "OUT": "out"}
    assert run([places.get(word, word) for word in command]) == 2
    out, err = printed()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert ";" in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
