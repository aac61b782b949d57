"""Subsets by size: the sums of few of many values, as a tree in which every subset hangs below one with a value less.

All subsets of one value come first, then those of two, and so on, as many as there is room for. So two lists of L
sums, each of one half of the values, join to L^2 subsets of the fewest values that make so many: what meets a sum
within a tolerance of 1 / L^2 and leaves most values to others. At 1e-9 that is 30,000 sums a half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

COLUMNS = 4
"""Sums that one tree adds up: both signs of two inputs."""


@compiled
def listed_few(values: Floats, sides: Integers, most: int) -> tuple[Floats, Integers, Integers]:
    """Return the sums (c, 4) of up to `most` assignments, fewest neurons first, with parents (c,) and choices (c,).

    `values` (k, 2) holds what a neuron adds to each of two inputs (0: nothing), `sides` (k, 2) is 0 or 1; column
    2j + side is the sum of (j, side). A choice 2i + j says that neuron i serves input j beside what the parent
    keeps; entry 0 keeps nothing and has parent and choice -1.
    """
    sums = np.zeros((most, COLUMNS))
    parents, choices = np.full(most, -1, dtype=np.int64), np.full(most, -1, dtype=np.int64)
    begin, size = 0, 1
    while begin < size:
        end = size
        for parent in range(begin, end):
            first = choices[parent] // 2 + 1 if parent > 0 else 0
            for choice in range(2 * first, 2 * values.shape[0]):
                i, j = choice // 2, choice % 2
                if values[i, j] == 0.0:
                    continue
                if size == most:
                    return sums, parents, choices
                sums[size] = sums[parent]
                sums[size, 2 * j + sides[i, j]] += values[i, j]
                parents[size], choices[size] = parent, choice
                size += 1
        begin = end
    return sums[:size], parents[:size], choices[:size]


@compiled
def chain(parents: Integers, choices: Integers, entry: int) -> Integers:
    """Return the choices on the way from an entry to the root."""
    count, at = 0, entry
    while at > 0:
        count, at = count + 1, parents[at]
    found = np.empty(count, dtype=np.int64)
    for k in range(count):
        found[k], entry = choices[entry], parents[entry]
    return found


@compiled
def few_subsets(values: Floats, most: int) -> tuple[Floats, Integers, Integers]:
    """Return the sums (c,) of up to `most` subsets of `values` (k,), small sets first, with parents and choices."""
    sums = np.zeros(most)
    parents, choices = np.full(most, -1, dtype=np.int64), np.full(most, -1, dtype=np.int64)
    begin, size = 0, 1
    while begin < size:
        end = size
        for parent in range(begin, end):
            for i in range(choices[parent] + 1, values.shape[0]):
                if size == most:
                    return sums, parents, choices
                sums[size], parents[size], choices[size] = sums[parent] + values[i], parent, i
                size += 1
        begin = end
    return sums[:size], parents[:size], choices[:size]


@compiled
def sizes_of(parents: Integers) -> Integers:
    """Return how many choices every entry holds."""
    sizes = np.zeros(parents.shape[0], dtype=np.int64)
    for entry in range(1, parents.shape[0]):
        sizes[entry] = sizes[parents[entry]] + 1
    return sizes


@compiled
def few_of_many(values: Floats, goal: float, tolerance: float, most: int) -> tuple[Integers, bool]:
    """Return indices of `values` whose sum is within `tolerance` of `goal`, and whether there are such; few of them.

    The lists grow fourfold up to `most` sums each half until they hold an answer; of their answers one with the
    fewest values is returned. The halves are the first and the second half of `values`: shuffle them for another try.
    A failure proves nothing unless `most` holds all subsets of a half.
    """
    half = values.shape[0] // 2
    # So many sums that, at a density of about 1/2, one pair in two lists falls within the tolerance.
    room = 16
    while room < most and room * room * tolerance < 1.0:
        room *= 2
    while True:
        room = min(room, most)
        one, one_parents, one_choices = few_subsets(values[:half], room)
        other, other_parents, other_choices = few_subsets(values[half:], room)
        order, ranks = np.argsort(one), np.argsort(other)
        one_sizes, other_sizes = sizes_of(one_parents), sizes_of(other_parents)
        first = second = 0
        fewest = values.shape[0] + 1
        start = ranks.shape[0]
        for i in order:
            rest = goal - one[i]
            while start > 0 and other[ranks[start - 1]] >= rest - tolerance:
                start -= 1
            k = start
            while k < ranks.shape[0] and other[ranks[k]] <= rest + tolerance:
                size = one_sizes[i] + other_sizes[ranks[k]]
                if size < fewest:
                    fewest, first, second = size, int(i), int(ranks[k])
                k += 1
        if fewest <= values.shape[0]:
            left, right = chain(one_parents, one_choices, first), chain(other_parents, other_choices, second)
            return np.concatenate((left, right + half)), True
        if room == most or (one.shape[0] < room and other.shape[0] < room):
            return np.zeros(0, dtype=np.int64), False
        room *= 4
