"""Running a grid: nothing twice, nothing lost, the same rows however it was interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brute import GATE, choose, choose_forbidden
from kin import children
from scripted import Scripted

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.problem import Problem
from prunegap.search.base import Search
from prunegap.study.cell import Cell, grid
from prunegap.study.row import Row
from prunegap.study.store import DATABASE, TICKETS, Store
from prunegap.study.sweep import measure
from prunegap.study.ticket_file import load_ticket
from prunegap.study.width import Effort

CELLS = grid((1,), (0.45, 0.3), seeds=range(3))
EFFORT = Effort(60.0, 8)


def proven(rows: list[Row]) -> list[tuple[str, int, int | None]]:
    return [(row.cell.key, row.lower, row.upper) for row in rows]


@pytest.fixture(scope="module")
def reference() -> list[tuple[str, int, int | None]]:
    return proven(measure(CELLS, None, EFFORT, choose=choose))


def test_rows_come_in_the_order_of_the_cells(reference: list[tuple[str, int, int | None]]) -> None:
    assert [key for key, _, _ in reference] == [cell.key for cell in CELLS]


def test_worker_processes_find_the_same_rows(reference: list[tuple[str, int, int | None]], tmp_path: Path) -> None:
    rows = measure(CELLS, tmp_path / "s", EFFORT, workers=2, choose=choose)
    assert proven(rows) == reference
    for row in rows:
        if row.ticket is not None:
            assert load_ticket(tmp_path / "s" / TICKETS / row.ticket).verify().proves(row.cell.epsilon)
    tickets = {path.name for path in (tmp_path / "s" / TICKETS).iterdir()}
    assert tickets == {row.ticket for row in rows if row.ticket}


def test_a_second_run_computes_nothing_anew(tmp_path: Path) -> None:
    first = measure(CELLS, tmp_path / "s", EFFORT, choose=choose)
    assert any(row.upper is None for row in first)
    again = measure(CELLS, tmp_path / "s", EFFORT, choose=choose_forbidden)
    assert again == first


def test_only_missing_cells_are_run(tmp_path: Path) -> None:
    first = measure(CELLS[:4], tmp_path / "s", EFFORT, choose=choose)
    seen: list[tuple[int, int]] = []
    rows = measure(CELLS, tmp_path / "s", EFFORT, choose=choose, on_row=lambda row, n, total: seen.append((n, total)))
    assert rows[:4] == first
    assert seen == [(n, len(CELLS)) for n in range(1, len(CELLS) + 1)]


@pytest.mark.parametrize(
    ("effort", "asks"),
    [
        (Effort(60.0, 100), False),
        (Effort(5.0, 100), False),
        (Effort(61.0, 100), True),
        (Effort(None, 100), True),
        (Effort(60.0, 101), True),
        (Effort(60.0, 50), False),
    ],
)
def test_an_open_cell_is_tried_again_exactly_with_more_effort(tmp_path: Path, effort: Effort, asks: bool) -> None:
    cell = Cell(2, 0.1, Neuron(), 0)
    script = Scripted(200)
    (first,) = measure([cell], tmp_path / "s", Effort(60.0, 100), choose=script)
    assert (first.lower, first.upper, first.status) == (100, None, "censored")
    count = len(script.asked)
    (second,) = measure([cell], tmp_path / "s", effort, choose=script)
    assert (second != first) is asks
    assert second.lower >= first.lower
    assert all(width > first.lower for width in script.asked[count:])


def test_a_closed_cell_is_never_tried_again(tmp_path: Path) -> None:
    first = measure(CELLS[:1], tmp_path / "s", EFFORT, choose=choose)
    assert first[0].status == "closed"
    assert measure(CELLS[:1], tmp_path / "s", Effort(None, 9999), choose=choose_forbidden) == first


def test_rows_of_another_bit_stream_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(CELLS[:1], tmp_path / "s", EFFORT, choose=choose)
    monkeypatch.setattr("prunegap.study.row.STREAM", "another")
    with pytest.raises(AssertionError, match="asked about"):
        measure(CELLS[:1], tmp_path / "s", EFFORT, choose=choose_forbidden)


def test_a_cell_without_a_search_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    def picky(problem: Problem) -> Search:
        if isinstance(problem.granularity, Weight):
            raise BadInputError("granularity weight", "is not handled", "ask for neuron")
        return choose(problem)

    with pytest.raises(BadInputError, match="not handled"):
        measure(CELLS, tmp_path / "s", EFFORT, choose=picky)
    assert not (tmp_path / "s").exists()


def test_an_error_in_a_worker_is_raised_and_what_is_done_is_stored(tmp_path: Path) -> None:
    measure(CELLS[:2], tmp_path / "s", EFFORT, choose=choose)
    with pytest.raises(AssertionError, match="asked about"):
        measure(CELLS, tmp_path / "s", EFFORT, workers=2, choose=choose_forbidden)
    with Store(tmp_path / "s") as store:
        assert {row.cell for row in store.rows()} == set(CELLS[:2])


DRIVER = """
import sys
sys.path[:0] = {paths!r}
from brute import choose_gated
from prunegap.study.cell import grid
from prunegap.study.sweep import measure
from prunegap.study.width import Effort

if __name__ == "__main__":
    cells = grid((1,), (0.45, 0.3), seeds=range(3))
    measure(cells, sys.argv[1], Effort(60.0, 8), workers=2, choose=choose_gated)
"""


def stored(directory: Path) -> list[Row]:
    if not (directory / DATABASE).exists():
        return []
    try:
        with Store(directory) as store:
            return store.rows()
    except BadInputError:
        return []


def wait_until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_in_the_middle_and_run_again_it_ends_with_the_same_rows(
    how: signal.Signals, tmp_path: Path, reference: list[tuple[str, int, int | None]]
) -> None:
    here = Path(__file__).parent
    script, out, gate = tmp_path / "driver.py", tmp_path / "study", tmp_path / "gate"
    script.write_text(DRIVER.format(paths=[str(here), str(here.parent)]))
    command, environment = [sys.executable, str(script), str(out)], os.environ | {GATE: str(gate)}

    # A shell makes its background jobs deaf to Ctrl-C, and the tests among them.
    listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    study = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, preexec_fn=listen)
    try:
        wait_until(lambda: len(stored(out)) == 6)
        workers = children(study.pid)
        assert workers
        study.send_signal(how)
        assert study.wait(60) != 0
        wait_until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))
    finally:
        study.kill()
    before = stored(out)
    assert len(before) == 6

    gate.touch()
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    after = {row.cell: row for row in stored(out)}
    assert proven([after[cell] for cell in CELLS]) == reference
    assert all(after[row.cell] == row for row in before)
