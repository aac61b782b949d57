"""A sum met with few values: one, two, three, then four, by sorted neighbours; random among those that will do.

Scarce neurons are worth saving for the sums that come later, and among 150 values there are 11,000 pairs: most sums
need no more than two or three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.network import Vector

Integers = NDArray[np.int64]

MOST_TRIPLES = 120
"""Values from which triples and quadruples are made; a random choice where there are more."""


def few_values(values: Vector, goal: float, tolerance: float, random: np.random.Generator) -> Integers | None:
    """Return the indices of up to four distinct values with |sum - goal| <= tolerance, as few as can be, or None.

    Up to two the answer is complete; for three and four only the nearest partner of each single or pair is tried,
    which misses little. Which of several is returned is drawn from `random`.
    """
    if abs(goal) <= tolerance:
        return np.zeros(0, dtype=np.int64)
    near = np.flatnonzero(np.abs(values - goal) <= tolerance)
    if near.size:
        return np.asarray(near[[random.integers(near.size)]])
    size = values.size
    subset = np.arange(size)
    if size > MOST_TRIPLES:
        subset = np.sort(random.choice(size, MOST_TRIPLES, replace=False))
    first, second = np.triu_indices(subset.size, 1)
    first, second = subset[first], subset[second]
    sums = values[first] + values[second]
    pairs = np.flatnonzero(np.abs(sums - goal) <= tolerance)
    if pairs.size:
        pick = pairs[random.integers(pairs.size)]
        return np.array([first[pick], second[pick]], dtype=np.int64)
    members = np.stack([first, second], axis=1)
    for others, partner in ((subset[:, None], values[subset]), (members, sums)):
        found = _partners(members, sums, others, partner, goal, tolerance)
        if len(found):
            return np.asarray(found[random.integers(len(found))])
    return None


def _partners(
    members: Integers, sums: Vector, others: Integers, partner: Vector, goal: float, tolerance: float
) -> Integers:
    """Return disjoint unions of a set in `members` with a partner next to what it lacks, shape (k, size)."""
    if not partner.size:
        return np.zeros((0, members.shape[1] + others.shape[1]), dtype=np.int64)
    order = np.argsort(partner, kind="stable")
    ranked = partner[order]
    place = np.searchsorted(ranked, goal - sums)
    found = []
    for shift in (-1, 0):
        rank = np.clip(place + shift, 0, ranked.size - 1)
        close = np.flatnonzero(np.abs(ranked[rank] + sums - goal) <= tolerance)
        joined = np.concatenate([members[close], others[order[rank[close]]]], axis=1)
        ordered = np.sort(joined, axis=1)
        found.append(joined[(np.diff(ordered, axis=1) > 0).all(axis=1)])
    return np.concatenate(found)
