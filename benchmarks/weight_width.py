"""Minimal widths of weight pruning against the textbook construction; prints one row for each (d, epsilon).

The textbook width is d k: neurons jk .. (j + 1)k - 1 form the block of coordinate j, and k is the least such that in
every block the neurons with W_ij > 0 hold a subset of v_i W_ij within tau of w*_j, and those with W_ij < 0 one of
v_i |W_ij| within tau of -w*_j. tau = epsilon / sqrt(d), the largest equal share that the certificate allows (its
error is the l2 norm over coordinates). Every subset sum of up to 44 values is solved exactly. The draw is the
canonical one.

Run: python benchmarks/weight_width.py [--dimension 8,64,1024] [--epsilon 0.1,0.01,0.001] [--seeds 10] [--seconds 5]
[--fine 0.01]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np

from prunegap.kernels.subset_sum import MAX_VALUES, best_subset
from prunegap.kernels.trees import few_of_many
from prunegap.model.draw import Draw
from prunegap.model.granularity import Weight
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.mass import width_without_material
from prunegap.search.separable import SeparableSearch
from prunegap.theory.counting import counting_width, estimated_separable_width, separable_choices, weight_choices


def block_is_enough(values: np.ndarray, goal: float, tolerance: float) -> bool:
    """Return whether both sums of one coordinate are met by a block's v_i W_ij on the + and the - side.

    Exact up to MAX_VALUES values a side; of more (epsilon near 1e-9) subsets of many sizes, not all, are looked at.
    """
    for side, wanted in zip(values, (goal, -goal), strict=True):
        if side.size > MAX_VALUES:
            met = few_of_many(side, wanted, tolerance, 1 << 20)[1]
        else:
            met = best_subset(side, wanted, within=tolerance)[1] <= tolerance
        if not met:
            return False
    return True


def textbook_width(dimension: int, epsilon: float, seed: int) -> int:
    """Return d k for the least k that serves every coordinate."""
    draw, k, drawn = Draw(dimension, seed), 2, 16
    target, tolerance = draw.target(), epsilon / np.sqrt(dimension)
    network = draw.network(dimension * drawn)
    while True:
        if k > drawn:
            drawn *= 2
            network = draw.network(dimension * drawn)
        for j in range(dimension):
            block = slice(j * k, (j + 1) * k)
            w, v = network.weights[block, j], network.outputs[block]
            sides = [v[w > 0.0] * w[w > 0.0], v[w < 0.0] * -w[w < 0.0]]
            if not block_is_enough(sides, float(target[j]), tolerance):
                break
        else:
            return dimension * k
        k += 1


def our_width(dimension: int, epsilon: float, seed: int, seconds: float, fine: float) -> tuple[int, float]:
    """Return the narrowest certified ticket found, to a part `fine` of it, and the seconds of the search there."""
    draw, search = Draw(dimension, seed), SeparableSearch()
    low, high, took = 0, None, 0.0
    width = 4 + round(1.6 * estimated_separable_width(dimension, epsilon))
    while high is None or high - low > max(1, fine * high):
        problem = Problem.from_draw(draw, width, epsilon, Weight())
        outcome = search.search(problem, Budget(seconds))
        if outcome.ticket_width is None:
            low = width
        else:
            high, took = outcome.ticket_width, outcome.seconds
        width = int(1.25 * width) + 1 if high is None else (low + high) // 2 if low else int(0.9 * high)
    return high, took


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", default="8,64,1024")
    parser.add_argument("--epsilon", default="0.1,0.01,0.001")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--fine", type=float, default=0.01)
    asked = parser.parse_args()
    head = (
        "d",
        "eps",
        "ours",
        "textbook",
        "ratio",
        "mass",
        "counting",
        "count 1",
        "2d ln/ln",
        "s a ticket",
        "s in all",
    )
    print(("{:>10} " * len(head)).format(*head))
    for dimension in map(int, asked.dimension.split(",")):
        for epsilon in map(float, asked.epsilon.split(",")):
            start, widths, books, masses, times = time.perf_counter(), [], [], [], []
            for seed in range(asked.seeds):
                width, took = our_width(dimension, epsilon, seed, asked.seconds, asked.fine)
                widths.append(width)
                times.append(took)
                books.append(textbook_width(dimension, epsilon, seed))
                masses.append(
                    1 + width_without_material(Problem.from_draw(Draw(dimension, seed), width, epsilon, Weight()))
                )
            ours, book = statistics.median(widths), statistics.median(books)
            numbers = (
                dimension,
                epsilon,
                ours,
                book,
                round(book / ours, 2),
                statistics.median(masses),
                counting_width(dimension, epsilon, weight_choices(dimension)),
                counting_width(dimension, epsilon, separable_choices(dimension)),
                round(estimated_separable_width(dimension, epsilon)),
                round(statistics.median(times), 2),
                round(time.perf_counter() - start),
            )
            print(("{:>10} " * len(head)).format(*numbers), flush=True)
    print(
        f"{asked.seeds} seeds, medians; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
