"""Sums met by one neuron each: a matching of least cost, in which a neuron has its price.

Leaving a sum alone costs the square of its goal, meeting it by one neuron the square of what remains and a price.
A sum that neither suits waits for a pair of neurons: two prices. The price is raised as long as the squares that are
spent stay within the budget, so that few neurons are used, and each where it is worth most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from prunegap.model.network import Matrix, Vector

Integers = NDArray[np.int64]

RATES = 12
"""Bisections of the price; a factor of 2^-12 of its range is left."""
PAIR = -2
ALONE = -1


def match_singles(contributions: Matrix, goals: Vector, budget: float) -> Integers:
    """Return for every sum the neuron that meets it, ALONE where none need do, or PAIR where one is not enough.

    `contributions` (sums, width) and `goals` (sums,). The squares of what remains at sums that are ALONE or met by
    one neuron add up to at most `budget`. No neuron is named twice.
    """
    low, high = 0.0, float(np.square(goals).max(initial=0.0))
    best = np.where(goals == 0.0, ALONE, PAIR).astype(np.int64)
    if high == 0.0:
        return best
    low = 1e-6 * budget / goals.size
    high = max(high, low)
    for _ in range(RATES):
        price = np.sqrt(low * high)
        found, spent = _matched(contributions, goals, float(price))
        if spent <= budget:
            low, best = price, found
        else:
            high = price
    return best


def _matched(contributions: Matrix, goals: Vector, price: float) -> tuple[Integers, float]:
    """Return the matching at one price with the squares that it spends."""
    sums, width = contributions.shape
    left_alone = np.square(goals)
    without = np.minimum(left_alone, 2.0 * price)
    place, neuron = np.nonzero((np.abs(contributions - goals[:, None]) <= np.sqrt(price)) & (contributions != 0.0))
    remains = np.square(contributions[place, neuron] - goals[place])
    useful = remains + price < without[place]
    place, neuron, remains = place[useful], neuron[useful], remains[useful]
    rows = np.concatenate([place, np.arange(sums)])
    columns = np.concatenate([neuron, width + np.arange(sums)])
    # The matching takes explicit zeros for missing edges, so every cost is lifted by the same amount.
    costs = np.concatenate([remains + price, without]) + price
    graph = csr_array((costs, (rows, columns)), shape=(sums, width + sums))
    taken = min_weight_full_bipartite_matching(graph)[1].astype(np.int64)
    single = taken < width
    alone = ~single & (left_alone <= 2.0 * price)
    found = np.where(single, taken, np.where(alone, ALONE, PAIR))
    chosen = contributions[np.arange(sums), np.where(single, taken, 0)] if width else np.zeros(sums)
    spent = np.square(chosen - goals)[single].sum() + left_alone[alone].sum()
    return found, float(spent)
