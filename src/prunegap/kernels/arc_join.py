"""Join the kept sets of neighbouring arcs of an opened circle whose linear parts add up to a chosen one.

A leaf is one of `half_circle`, with a linear readout, all in one frame: where the other arcs' sums may lie, and its
own sums alpha and beta. Its linear part is alpha + beta, and its jump beta - alpha is what it adds to a state on the
way through. Two neighbours belong together if some state fits both; then they make a leaf of the two arcs. Nothing
is concluded from what is not found here, so nothing is rounded outward.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.half_circle import (
    ALPHA0,
    ALPHA1,
    BETA0,
    BETA1,
    Y_HIGH0,
    Y_HIGH1,
    Y_LOW0,
    Y_LOW1,
    Z_HIGH0,
    Z_HIGH1,
    Z_LOW0,
    Z_LOW1,
)
from prunegap.kernels.jit import compiled
from prunegap.kernels.screen import screen

Leaves = NDArray[np.float32]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

MOST_SEEN = 1 << 28
"""Pairs after which a join is cut short: about a second."""


@compiled
def join_arcs(
    first: Leaves,
    second: Leaves,
    starts: Integers,
    low: Floats,
    counts: Integers,
    side: float,
    reach: float,
    centre: Floats,
    half: float,
    joined: Leaves,
    pairs: NDArray[np.int32],
) -> tuple[int, int]:
    """Fill `joined` and `pairs` with neighbours whose linear part is within `half` of `centre` on both axes.

    `second` is sorted by squares of its linear part, `side` wide from `low` on, `counts` (2,) of them, bounded by
    `starts`; within a square by the middle of its states on the first axis, which are at most `reach` from it.
    Returns how many were joined, and the leaf of `first` before which there was no room left, or at which MOST_SEEN
    pairs had been looked at, or their number.
    """
    found, seen = 0, 0
    for i in range(first.shape[0]):
        if seen > MOST_SEEN:
            return found, i
        part0 = centre[0] - (first[i, ALPHA0] + first[i, BETA0])
        part1 = centre[1] - (first[i, ALPHA1] + first[i, BETA1])
        # The states behind the first arc.
        low0, high0 = first[i, Z_LOW0] + first[i, BETA0], first[i, Z_HIGH0] + first[i, BETA0]
        low1, high1 = first[i, Z_LOW1] + first[i, BETA1], first[i, Z_HIGH1] + first[i, BETA1]
        least, most = 2.0 * (low0 - reach), 2.0 * (high0 + reach)
        column, columns = math.floor((part0 - half - low[0]) / side), math.floor((part0 + half - low[0]) / side)
        row, rows = math.floor((part1 - half - low[1]) / side), math.floor((part1 + half - low[1]) / side)
        before = found
        for a in range(max(0, column), min(counts[0] - 1, columns) + 1):
            for b in range(max(0, row), min(counts[1] - 1, rows) + 1):
                k, end = starts[a * counts[1] + b], starts[a * counts[1] + b + 1]
                above = end
                while k < above:
                    middle = (k + above) >> 1
                    if second[middle, Z_LOW0] + second[middle, Z_HIGH0] + 2.0 * second[middle, ALPHA0] < least:
                        k = middle + 1
                    else:
                        above = middle
                seen -= k
                while k < end:
                    alpha0, alpha1 = second[k, ALPHA0], second[k, ALPHA1]
                    z_low0, z_high0 = second[k, Z_LOW0] + alpha0, second[k, Z_HIGH0] + alpha0
                    if z_low0 + z_high0 > most:
                        break
                    fits = z_low0 <= high0 and z_high0 >= low0
                    fits = fits and second[k, Z_LOW1] + alpha1 <= high1 and second[k, Z_HIGH1] + alpha1 >= low1
                    fits = fits and abs(alpha0 + second[k, BETA0] - part0) <= half
                    if fits and abs(alpha1 + second[k, BETA1] - part1) <= half:
                        if found >= joined.shape[0]:
                            return before, i
                        _joined(first, i, second, k, joined, found)
                        pairs[found, 0], pairs[found, 1] = i, k
                        found += 1
                    k += 1
                seen += k
    return found, first.shape[0]


@compiled
def _joined(first: Leaves, i: int, second: Leaves, k: int, joined: Leaves, to: int) -> None:
    """Write the leaf of two neighbouring arcs: the sums of all others that suit both, and the sums of the two."""
    for column in (ALPHA0, ALPHA1, BETA0, BETA1):
        joined[to, column] = first[i, column] + second[k, column]
    for low, high, ours, theirs in (
        (Z_LOW0, Z_HIGH0, ALPHA0, BETA0),
        (Z_LOW1, Z_HIGH1, ALPHA1, BETA1),
        (Y_LOW0, Y_HIGH0, BETA0, ALPHA0),
        (Y_LOW1, Y_HIGH1, BETA1, ALPHA1),
    ):
        joined[to, low] = max(first[i, low] - second[k, ours], second[k, low] - first[i, theirs])
        joined[to, high] = min(first[i, high] - second[k, ours], second[k, high] - first[i, theirs])


@compiled
def passing(
    found: Integers,
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    masks: tuple[Words, ...],
    cuts: Integers,
    opened: int,
    kept: Integers,
    angles: Floats,
    strengths: Floats,
    is_b: NDArray[np.bool_],
    tube: float,
) -> int:
    """Write to `kept` the kinks of the first of `found` (k, 2), pairs of joined leaves, whose error is within the
    tube all round; return how many, or 0 if there is none.

    `left` and `right` (., 2) name the leaves of the four arcs, whose kept kinks are `masks`, counted from `cuts` on
    in the circle that was opened at the kink `opened`; the other arrays are those of the circle of n kinks that was
    not, where the target is none. The target is kink n of the opened one.
    """
    count = angles.size
    for pair in range(found.shape[0]):
        ours, theirs = found[pair, 0], found[pair, 1]
        sets = (left[ours, 0], left[ours, 1], right[theirs, 0], right[theirs, 1])
        size = 0
        for kink in range(count):
            place = (count + 1 - opened + kink) % (count + 1)
            arc = 0
            while place >= cuts[arc + 1]:
                arc += 1
            place -= cuts[arc]
            if (masks[arc][sets[arc], place >> 6] >> np.uint64(place & 63)) & np.uint64(1):
                kept[size] = kink
                size += 1
        if screen(angles, strengths, is_b, kept[:size], tube, True):
            return size
    return 0
