"""A sum met with few values: one, two, three or four of many, by sorting and two pointers that meet.

Scarce values are worth saving for the sums that come later, and among 150 values there are 11,000 pairs: most sums
need no more than two or three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_FOR_TRIPLES = 3000
MOST_FOR_QUADRUPLES = 80
"""More values than these are not searched for triples (time grows as u^2) and quadruples (u^3)."""


@compiled
def nearest_pair(ranked: Floats, start: int, goal: float) -> tuple[int, int]:
    """Return the places i < j, both at least `start`, whose sum is nearest to `goal`; (-1, -1) below two values."""
    low, high = start, ranked.shape[0] - 1
    best, first, second = np.inf, -1, -1
    while low < high:
        beyond = ranked[low] + ranked[high] - goal
        if abs(beyond) < best:
            best, first, second = abs(beyond), low, high
        if beyond < 0.0:
            low += 1
        else:
            high -= 1
    return first, second


@compiled
def nearest_few(values: Floats, goal: float, tolerance: float) -> Integers:
    """Return the indices of up to four distinct values whose sum is within `tolerance` of `goal`, as few as can be.

    Where no such set exists, the nearest set met on the way. Complete for one and two values, and for three and four
    up to MOST_FOR_TRIPLES and MOST_FOR_QUADRUPLES values.
    """
    order = np.argsort(values)
    ranked = values[order]
    size = ranked.shape[0]
    best, chosen = abs(goal), np.zeros(0, dtype=np.int64)
    if best <= tolerance or size == 0:
        return chosen
    place = min(np.searchsorted(ranked, goal), size - 1)
    for i in range(max(place - 1, 0), place + 1):
        if abs(ranked[i] - goal) < best:
            best, chosen = abs(ranked[i] - goal), np.array([i])
    if best > tolerance:
        i, j = nearest_pair(ranked, 0, goal)
        if i >= 0 and abs(ranked[i] + ranked[j] - goal) < best:
            best, chosen = abs(ranked[i] + ranked[j] - goal), np.array([i, j])
    if best > tolerance and size <= MOST_FOR_TRIPLES:
        for a in range(size - 2):
            i, j = nearest_pair(ranked, a + 1, goal - ranked[a])
            if i >= 0 and abs(ranked[a] + ranked[i] + ranked[j] - goal) < best:
                best, chosen = abs(ranked[a] + ranked[i] + ranked[j] - goal), np.array([a, i, j])
                if best <= tolerance:
                    break
    if best > tolerance and size <= MOST_FOR_QUADRUPLES:
        for a in range(size - 3):
            for b in range(a + 1, size - 2):
                rest = goal - ranked[a] - ranked[b]
                i, j = nearest_pair(ranked, b + 1, rest)
                if i >= 0 and abs(ranked[i] + ranked[j] - rest) < best:
                    best, chosen = abs(ranked[i] + ranked[j] - rest), np.array([a, b, i, j])
    return order[chosen]
