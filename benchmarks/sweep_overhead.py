"""What a sweep costs beside its cells: overhead a cell, and the speed-up of two workers, with cells that only sleep.

    python benchmarks/sweep_overhead.py

A sleeping cell takes no core, so its length is exact and other work on the machine disturbs little. Every cell goes
the whole way: task, child process, result, ticket-free row, store. Printed are

* the overhead of one worker on cells of 1 s: wall time beyond the sleep, per cell and in percent, first cell excluded
  (it starts the child process), and the CPU time of the driver per cell;
* the same on cells of 0 s, where nothing hides behind anything: the greatest rate of rows;
* the wall time of two workers on 400 equal cells against the ideal, half the time that one would take.

The same cells in a plain concurrent.futures.ProcessPoolExecutor, without store, stand beside it as the peer.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from prunegap.model.granularity import Neuron
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding, Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Deadline, Search
from prunegap.study.cell import Cell
from prunegap.study.row import Row
from prunegap.study.sweep import measure
from prunegap.study.width import Effort
from prunegap.study.workers import Processes

SECONDS = "PRUNEGAP_BENCHMARK_SECONDS"


class Sleeping(Search):
    """Takes its time and proves that there is nothing."""

    name = "sleeping"
    finds_least = True

    def refusal(self, problem: Problem) -> str | None:
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        raise NotImplementedError

    def search(self, problem: Problem, budget: Budget | None = None, inputs: Matrix | None = None) -> Outcome:
        time.sleep(float(os.environ[SECONDS]))
        return Outcome(problem.width, None, None, problem.width, "slept", self.name, 0.0)


def asleep(problem: Problem) -> Search:
    """Return the search for any problem."""
    return Sleeping()


def sleep(seconds: float) -> None:
    """Do what a cell does, for the peer."""
    time.sleep(seconds)


def timed(cells: int, seconds: float, workers: int, room: Path, from_cell: int = 1) -> tuple[float, float]:
    """Return wall and driver CPU seconds from the moment that `from_cell` rows were stored to the last row."""
    from sweep_overhead import asleep  # by a name that child processes can import

    os.environ[SECONDS] = str(seconds)
    marks: list[tuple[float, float]] = []

    def mark(row: Row, done: int, total: int) -> None:
        if done in (from_cell, total):
            marks.append((time.perf_counter(), time.process_time()))

    asked = [Cell(2, 0.1, Neuron(), seed) for seed in range(cells)]
    with Processes(workers) as crew:
        measure(asked, room / f"{cells}-{seconds}-{workers}", Effort(600.0, 8), crew, mark, choose=asleep)
    return marks[-1][0] - marks[0][0], marks[-1][1] - marks[0][1]


def peer(cells: int, seconds: float, workers: int) -> float:
    """Return the wall seconds of a plain process pool, its start excluded."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(sleep, [0.2] * workers))
        start = time.perf_counter()
        list(pool.map(sleep, [seconds] * cells))
        return time.perf_counter() - start


def say(name: str, count: int, seconds: float, wall: float, cpu: float, workers: int = 1) -> None:
    """Print one line."""
    ideal = count * seconds / workers
    beyond = (wall - ideal) * workers / count
    share = f", {100.0 * (wall / ideal - 1.0):.2f}% over the ideal" if ideal else ""
    cost = f"{1e3 * beyond:.2f} ms a cell; driver {1e3 * cpu / count:.2f} ms CPU"
    print(f"{name}: {wall:.3f} s for {count} cells{share}; {cost}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=400, help="equal cells for two workers")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of each of them")
    parser.add_argument("--long", type=int, default=20, help="cells of 1 s for one worker")
    options = parser.parse_args()
    if options.cells < 8 or options.long < 2 or options.seconds <= 0.0:
        parser.error("ask for at least 8 cells, 2 long ones and a length above 0")
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        wall, cpu = timed(options.long + 1, 1.0, 1, room)
        say("one worker, cells of 1 s", options.long, 1.0, wall, cpu)
        wall, cpu = timed(options.cells, 0.0, 1, room)
        say("one worker, cells of 0 s", options.cells - 1, 0.0, wall, cpu)
        # Two rows of a start-up round apart: both children are running by then.
        wall, cpu = timed(options.cells + 4, options.seconds, 2, room, from_cell=4)
        say(f"two workers, cells of {options.seconds:g} s", options.cells, options.seconds, wall, cpu, 2)
        wall = peer(options.cells, options.seconds, 2)
        say("peer: process pool of two, no store", options.cells, options.seconds, wall, 0.0, 2)


if __name__ == "__main__":
    main()
