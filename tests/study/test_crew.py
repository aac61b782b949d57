"""Children under a watchdog: native code that ignores its deadline, dies, or could use an idle core."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from brute import choose
from kin import children
from stubborn import PAUSE, ROOM, deaf, dying, slow, threaded

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron
from prunegap.model.problem import Problem
from prunegap.search.base import Search
from prunegap.study import crew
from prunegap.study.cell import Cell, grid
from prunegap.study.crew import Crew
from prunegap.study.standing import Watch
from prunegap.study.sweep import measure
from prunegap.study.task import Maker, Task
from prunegap.study.width import Effort, WidthInterval
from prunegap.study.workers import AnyExecutor, Processes

CELLS = grid((1,), (0.45, 0.3), seeds=range(3))


def test_a_search_that_ignores_its_deadline_is_killed_and_its_proof_is_kept(tmp_path: Path) -> None:
    events: list[str] = []
    cells = [Cell(1, 0.1, Neuron(), seed) for seed in range(3)]
    effort, watch = Effort(0.5, 64), Watch(event=events.append)
    with Processes(2) as workers:
        rows = measure(cells, tmp_path / "s", effort, workers, choose=deaf, watch=watch, grace=0.5)
        for row in rows:
            assert (row.lower, row.upper, row.status) == (4, None, "censored")
            assert row.reason.startswith("killed 0.5 s after its time limit of 0.5 s")
            assert row.seconds >= 1.0
        assert len(events) == 3
        # The crew goes on with new children.
        assert all(
            row.status == "closed" for row in measure(CELLS[:1], None, Effort(60.0, 8), workers, choose=choose)
        )
    assert measure(cells, tmp_path / "s", effort, choose=slow) == rows


def test_a_cell_whose_process_dies_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOM, str(tmp_path))
    events: list[str] = []
    once, always = Cell(1, 0.1, Neuron(), 0), Cell(1, 0.8, Neuron(), 1)
    with Processes(2) as workers:
        rows = measure([once, always], None, Effort(60.0, 8), workers, choose=dying, watch=Watch(event=events.append))
    assert (rows[0].lower, rows[0].upper) == (8, None)
    assert rows[0].reason.startswith("greatest width")
    assert (rows[1].lower, rows[1].status) == (-1, "censored")
    assert rows[1].reason.startswith("its process died by SIGKILL (out of memory?), 2 times")
    assert len(events) == 2


def test_leaving_the_crew_leaves_no_process_and_no_thread_behind() -> None:
    before = set(children(os.getpid()))
    with Processes(2) as workers:
        task = Task(WidthInterval(CELLS[0]), Effort(None, 64), Maker.here(), deaf)
        futures = [workers.submit(task) for _ in range(3)]
        end = time.monotonic() + 60.0
        while len(set(children(os.getpid())) - before) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert set(children(os.getpid())) == before
    assert all(future.done() for future in futures)


def test_idle_cores_help_the_cells_that_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two cells on four cores the one that goes on alone ends with all four, none ever gets more."""
    monkeypatch.setenv(ROOM, str(tmp_path))
    monkeypatch.setenv(PAUSE, "0.5")
    monkeypatch.setattr(crew, "TICK", 0.1)
    monkeypatch.setattr(crew, "IDLE_FOR", 0.2)
    with Processes(4) as workers:
        measure([Cell(1, 0.1, Neuron(), 0)], None, Effort(60.0, 20), workers, choose=slow)
        measure([Cell(1, 0.1, Neuron(), 0), Cell(1, 0.2, Neuron(), 0)], None, Effort(60.0), workers, choose=threaded)
    for note in ("threads-0.1", "threads-0.2"):
        lent = [int(line) for line in (tmp_path / note).read_text().splitlines()]
        assert lent
        assert set(lent) <= {2, 4}


def test_a_full_crew_lends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOM, str(tmp_path))
    with Processes(2) as workers:
        cells = [Cell(1, 0.1, Neuron(), seed) for seed in range(4)]
        measure(cells, None, Effort(60.0), workers, choose=threaded)
    lent = (tmp_path / "threads-0.1").read_text().split()
    assert "1" in lent
    assert max(map(int, lent)) <= 2


def test_any_executor_will_do() -> None:
    reference = measure(CELLS, None, Effort(60.0, 8), choose=choose)
    with ThreadPoolExecutor(2) as threads:
        rows = measure(CELLS, None, Effort(60.0, 8), AnyExecutor(threads, 2, cores=2), choose=choose)
    assert [(r.cell, r.lower, r.upper) for r in rows] == [(r.cell, r.lower, r.upper) for r in reference]
    assert {row.provenance.executor for row in rows} == {"ThreadPoolExecutor"}


def test_a_search_that_cannot_travel_is_an_error_and_a_bad_input_arrives_whole() -> None:
    def local(problem: Problem) -> Search:
        return choose(problem)

    with Processes(1) as workers:
        with pytest.raises((AttributeError, TypeError), match=r"pickle|local"):
            measure(CELLS, None, Effort(60.0, 8), workers, choose=local)
        stranger = Task(WidthInterval(CELLS[0]), Effort(1.0, 8), Maker("99.0", "a-stream"), choose)
        with pytest.raises(BadInputError, match=r"has prunegap 0.*install the same version"):
            workers.submit(stranger).result()


def test_shares_of_the_cores_never_exceed_them() -> None:
    pool = Crew(5)
    pool._full_until = -1e9
    for busy in range(1, 5):
        pool._busy = dict.fromkeys(range(busy))
        shares = [pool._share(place) for place in range(busy)]
        assert sum(shares) == 5
        assert shares == sorted(shares, reverse=True)
