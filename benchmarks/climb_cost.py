"""Claim: what a node of the climb takes at d = 2 and d = 3, and what a whole cell takes where few nodes are needed.

    python benchmarks/climb_cost.py [--repeats 9] [--cell 0]

Microseconds of CPU a node: at d = 2 of walks that begin in the middle of a climb (`kernels.branch`), the least of
`repeats`; at d = 3 of one whole cell (epsilon 0.05, seed `cell`), everything around the nodes included.
Milliseconds of a cell: `minimal_width` with its own choice of search, seeds 0 to 9, the geometric mean of each seed's
least time; in how many windows it made rows, and the nodes of all ten. Peers: benchmarks/neuron_search.py.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from prunegap.kernels.branch import NODES, climb, laid_out, states_of
from prunegap.model.granularity import Neuron
from prunegap.search.base import Budget
from prunegap.search.climb import NeuronClimb, _Walk
from prunegap.search.climb_ball import NeuronClimbBall
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, minimal_width

WALKS = ((0.02, 2, 72, 68, 5000), (0.05, 7, 54, 40, 800), (0.02, 1, 60, 55, 5000))
"""epsilon, seed, neurons of the window, neurons proven, nodes."""
WIDTH = 4096


def least(call: Callable[[], float], repeats: int) -> float:
    return min(call() for _ in range(repeats))


def node_seconds(epsilon: float, seed: int, window: int, proven: int, nodes: int) -> float:
    """Return the seconds of a node at d = 2."""
    problem = Cell(2, epsilon, Neuron(), seed).problem(WIDTH)
    walk = _Walk(problem, window, proven, np.ones(0, dtype=np.float32))
    count, rows = walk._steps.shape
    states = states_of(count + 2, count)
    left = np.zeros((3, count + 2, rows), dtype=np.int32)
    path = np.zeros(count + 2, dtype=np.int64), np.zeros(count + 2, dtype=np.int8)
    weights, acts = np.ones(rows, dtype=np.float32), np.zeros(rows, dtype=np.int64)
    arguments = *laid_out(walk._steps), *walk._room, weights, np.ones(1), acts, states, *left, *path, walk._meta
    climb(*arguments, 10)
    before, start = int(walk._meta[NODES]), time.process_time()
    climb(*arguments, nodes)
    return (time.process_time() - start) / (int(walk._meta[NODES]) - before)


def cell_seconds(epsilon: float, seed: int) -> float:
    start = time.perf_counter()
    minimal_width(Cell(2, epsilon, Neuron(), seed), Effort(60.0, WIDTH))
    return time.perf_counter() - start


def all_nodes(epsilon: float) -> int:
    """Return the nodes of all ten cells."""
    return sum(NeuronClimb().search(Cell(2, epsilon, Neuron(), seed).problem(WIDTH)).nodes for seed in range(10))


def windows(epsilon: float) -> float:
    """Return how many windows a cell takes in the mean."""
    made, original = 0, _Walk.__init__

    def counted(self: _Walk, *arguments: object) -> None:
        nonlocal made
        made += 1
        original(self, *arguments)  # type: ignore[arg-type]

    _Walk.__init__ = counted  # type: ignore[method-assign]
    try:
        for seed in range(10):
            cell_seconds(epsilon, seed)
    finally:
        _Walk.__init__ = original  # type: ignore[method-assign]
    return made / 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--cell", type=int, default=0, help="seed of the cell at d = 3")
    asked = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, one thread")
    for walk in WALKS:
        seconds = least(lambda walk=walk: node_seconds(*walk), asked.repeats)
        print(f"d=2 eps={walk[0]:g} seed {walk[1]}, width {walk[3]}: {1e6 * seconds:.2f} us a node", flush=True)
    for epsilon in (0.1, 0.05, 0.02):
        each = [
            least(lambda seed=seed, epsilon=epsilon: cell_seconds(epsilon, seed), asked.repeats) for seed in range(10)
        ]
        mean = statistics.geometric_mean(each)
        print(
            f"d=2 eps={epsilon:g}: {1e3 * mean:.2f} ms a cell (least {1e3 * min(each):.2f}, greatest "
            f"{1e3 * max(each):.2f}), {windows(epsilon):.1f} windows, {all_nodes(epsilon):,} nodes in all",
            flush=True,
        )
    climb_ball, start = NeuronClimbBall(), time.process_time()
    climb_ball.search(Cell(3, 0.3, Neuron(), 1).problem(60), Budget(60.0))
    start = time.process_time()
    outcome = climb_ball.search(Cell(3, 0.05, Neuron(), asked.cell).problem(400), Budget(300.0))
    seconds = time.process_time() - start
    print(
        f"d=3 eps=0.05 seed {asked.cell}: ({outcome.impossible_width}, {outcome.ticket_width}], "
        f"{outcome.nodes:,} nodes, {seconds:.1f} s, {1e6 * seconds / max(1, outcome.nodes):.1f} us a node"
    )


if __name__ == "__main__":
    main()
