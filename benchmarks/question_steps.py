"""Claim: what remains below a ticket is refused with fewer nodes by one question than by several up to its width.

    python benchmarks/question_steps.py [--step 12]

d = 3, epsilon 0.05, one thread: the neurons behind a proven width are asked for four at a time, then all together
(`search.climb_windows`); nodes and seconds of CPU of both, with the rows they make. The other way is the peer.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

from prunegap.model.granularity import Neuron
from prunegap.search import climb_windows
from prunegap.search.base import Budget, Deadline
from prunegap.search.climb_windows import HARD_STEP, STEP, Climb
from prunegap.study.cell import Cell

PROVEN = ((3, 97), (2, 105), (4, 105), (1, 105), (7, 105), (8, 109))
"""Seeds, and a width that holds no ticket; nor do the twelve neurons behind it."""


def refused(seed: int, proven: int, end: int, step: int) -> tuple[int, float]:
    """Return the nodes and seconds of CPU that refuse the widths up to `end`, `step` neurons at a time."""
    climb_windows.STEP = step
    problem = Cell(3, 0.05, Neuron(), seed).problem(end)
    climb, start = Climb(problem, Deadline(Budget())), time.process_time()
    climb.proven = proven
    climb.run(proven + HARD_STEP if step < HARD_STEP else end)
    if climb.proven != end:
        raise SystemExit(f"seed {seed}: refused up to {climb.proven}, not {end}: {climb.stopped or 'a ticket'}")
    return climb.nodes, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", type=int, default=12, help="neurons of the one question")
    asked = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, one thread")
    refused(9, 60, 72, STEP)  # loads and compiles
    nodes, seconds = [], []
    for seed, proven in PROVEN:
        few, one = (refused(seed, proven, proven + asked.step, step) for step in (STEP, asked.step))
        nodes.append(one[0] / few[0])
        seconds.append(one[1] / few[1])
        print(
            f"seed {seed}, {proven + 1} to {proven + asked.step}: {STEP} at a time {few[0]:,} nodes, {few[1]:.1f} s; "
            f"at once {one[0]:,} nodes, {one[1]:.1f} s: {nodes[-1]:.2f} and {seconds[-1]:.2f} of it",
            flush=True,
        )
    of_nodes, of_cpu = statistics.geometric_mean(nodes), statistics.geometric_mean(seconds)
    print(f"geometric means: {of_nodes:.2f} of the nodes, {of_cpu:.2f} of the CPU")


if __name__ == "__main__":
    main()
