"""Claim (F1): with a linear readout weight pruning, too, needs about 1 / epsilon neurons; proven lower ends.

For each cell the least width that the target's kink does not exclude (`search/target_kink.py`, a proof a draw):
median and range over the seeds, and epsilon times the median. No ticket is looked for.

    python benchmarks/linear_readout.py --dimension 2 --epsilon 0.1,0.05,0.02,0.01,0.005,0.002,0.001,0.0001 --seeds 10
    python benchmarks/linear_readout.py --dimension 3 --epsilon 0.1,0.05,0.02,0.01,0.005,0.002 --seeds 10
"""

from __future__ import annotations

import argparse
import statistics

from prunegap import Draw, Granularity, Neuron, Problem, Weight
from prunegap.model.network import Readout
from prunegap.search.target_kink import width_without_kinks


def least_width(dimension: int, seed: int, epsilon: float, granularity: Granularity) -> int:
    """Return the least width that is not excluded, in a draw wide enough to hold it."""
    width = 256
    while True:
        draw = Draw(dimension=dimension, seed=seed)
        excluded = width_without_kinks(Problem.from_draw(draw, width, epsilon, granularity, Readout.LINEAR))
        if excluded < width:
            return excluded + 1
        width *= 2


def main() -> None:
    """Print one line for each epsilon and granularity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=2)
    parser.add_argument("--epsilon", default="0.1,0.01,0.001")
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    for epsilon in map(float, asked.epsilon.split(",")):
        for granularity in (Weight(), Neuron()):
            widths = [least_width(asked.dimension, seed, epsilon, granularity) for seed in range(asked.seeds)]
            median = statistics.median(widths)
            print(
                f"d={asked.dimension} eps={epsilon:g} {granularity}: {median:g} ({min(widths)}-{max(widths)}), "
                f"eps x median {epsilon * median:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
