"""How a sweep would run on 1,000 workers: the driver's cost a cell is measured, the rest is simulated.

    python benchmarks/schedule_simulation.py

Measured: the real driver, store and all, with workers that hand every cell back unmeasured, 1,000 in flight. That
cost is what limits one driver: it takes results in one after the other. Measured too, where Dask is installed, is
what the Dask scheduler and client add, on a cluster of one worker in this process with empty tasks.

Simulated: cells of every question cost what the model guesses times a log-normal factor (sigma 0.7, as seeds spread
in docs/studies/neuron-width.md), at most the time limit. The driver hands out by estimates that know the question and
not the seed. Printed for each order: the time to the last cell over the least possible, max(sum / workers, longest
cell), and the part of that time in which the workers had cells.
"""

from __future__ import annotations

import argparse
import heapq
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np

from prunegap.model.granularity import Neuron, Weight
from prunegap.study.cell import Cell, grid
from prunegap.study.row import Provenance
from prunegap.study.schedule import CostModel, guessed_seconds
from prunegap.study.sweep import measure
from prunegap.study.task import Done, Task
from prunegap.study.width import Effort
from prunegap.study.workers import Workers

LIMIT = 600.0


class Instant(Workers):
    """Hands cells back unmeasured, the oldest first, and keeps `slots` in flight as long as cells keep coming."""

    name = "instant"
    slots = 0

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._flying: deque[tuple[Future[Done], Done]] = deque()
        self._submitted = time.monotonic()
        threading.Thread(target=self._land, daemon=True).start()

    def submit(self, task: Task) -> Future[Done]:
        future: Future[Done] = Future()
        self._flying.append((future, Done(replace(task.known, lower=1), Provenance.here(self.name))))
        self._submitted = time.monotonic()
        return future

    def _land(self) -> None:
        while True:
            if len(self._flying) > self.slots or (self._flying and time.monotonic() - self._submitted > 0.1):
                future, done = self._flying.popleft()
                future.set_result(done)
            else:
                time.sleep(1e-4)


def driver_seconds(cells: int, slots: int) -> tuple[float, float]:
    """Return the wall and CPU seconds that the driver spends on one cell with `slots` in flight."""
    asked = grid((2, 3), (0.2, 0.1, 0.05, 0.02, 0.01), seeds=range(-(-cells // 20)))
    with tempfile.TemporaryDirectory() as room, Instant(slots) as workers:
        wall, cpu = time.perf_counter(), time.process_time()
        measure(asked, Path(room) / "study", Effort(60.0), workers)
        return (time.perf_counter() - wall) / len(asked), (time.process_time() - cpu) / len(asked)


def dask_seconds(cells: int) -> float | None:
    """Return the seconds a cell that Dask's scheduler, one worker and its client take, None without Dask."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        return None
    with (
        LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        futures = [executor.submit(int, 0) for _ in range(100)]
        for future in futures:
            future.result()
        start = time.perf_counter()
        for future in [executor.submit(int, 0) for _ in range(cells)]:
            future.result()
        return (time.perf_counter() - start) / cells


def simulated(costs: Sequence[float], workers: int, driver: float) -> tuple[float, float]:
    """Return when the last cell ends, and the part of the time in which the workers had cells.

    A worker that ends waits until the driver, one result at a time, has handed it the next cell.
    """
    free = [0.0] * workers
    heapq.heapify(free)
    served = end = 0.0
    for cost in costs:
        served = max(served, heapq.heappop(free)) + driver
        heapq.heappush(free, served + cost)
        end = max(end, served + cost)
    return end, sum(costs) / (end * workers)


def orders(cells: Sequence[Cell]) -> dict[str, list[int]]:
    """Return the places of the cells in the order of the agenda, at random, and as they are read."""
    costs = CostModel(Effort(LIMIT))
    expected = [costs.seconds(cell) for cell in cells]
    return {
        "longest first": sorted(range(len(cells)), key=lambda place: -expected[place]),
        "at random": list(np.random.default_rng(1).permutation(len(cells))),
        "as read": list(range(len(cells))),
        "shortest first": sorted(range(len(cells)), key=lambda place: expected[place]),
    }


def main() -> None:
    """Measure, simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--measured-cells", type=int, default=6000, help="cells over which the driver is timed")
    options = parser.parse_args()
    if options.workers < 1 or options.measured_cells < 20:
        parser.error("ask for at least 1 worker and 20 measured cells")
    wall, cpu = driver_seconds(options.measured_cells, options.workers)
    print(f"driver and store: {1e3 * wall:.2f} ms a cell ({1e3 * cpu:.2f} ms CPU), {options.workers} in flight")
    dask = dask_seconds(2000)
    print("Dask: not installed" if dask is None else f"Dask scheduler, worker and client: {1e3 * dask:.2f} ms a cell")
    driver = wall + (dask or 0.0)
    busy_from = driver * options.workers
    print(f"one driver takes in {1.0 / driver:.0f} cells a second, enough for cells of {busy_from:.2g} s and more\n")
    cells = grid((1, 2, 3, 4), (0.2, 0.1, 0.05, 0.02, 0.01, 0.005), (Weight(), Neuron()), seeds=range(1000))
    spread = np.exp(np.random.default_rng(0).normal(0.0, 0.7, len(cells)))
    costs = np.minimum(LIMIT, spread * [guessed_seconds(cell) for cell in cells])
    least = max(float(costs.sum()) / options.workers, float(costs.max()))
    print(
        f"{len(cells)} cells, {costs.sum() / 3600:.0f} h of work, longest {costs.max():.0f} s, at least {least:.0f} s"
    )
    for name, order in orders(cells).items():
        end, busy = simulated([float(costs[place]) for place in order], options.workers, driver)
        print(f"{name:15s} {end:7.0f} s, {end / least:.3f} of the least possible, workers busy {100 * busy:.1f}%")


if __name__ == "__main__":
    main()
