"""Small subsets that meet many sums in turn, so that what one misses the next ones mend.

Every sum has a hard tolerance. Within it a subset is chosen for its price and for what it leaves: with c the error
carried over from earlier sums of the same output and e its own, size * price + (c + e)^2 is least among all subsets
of up to two values. Only where none of these is within the tolerance a larger one is taken, of the least size that
is: three or four values by listing, more only after the search over all subsets, whose failure is a proof that no
mask meets the sum.

All values are integers below 2^48 held as doubles (products of two draws in units of 2^-48), so that sums of up to 32
of them are exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled
from prunegap.kernels.sized_sum import best_of_size_kernel
from prunegap.kernels.subset_sum import best_subset_kernel

Floats = NDArray[np.float64]
Draws = NDArray[np.int32]
Integers = NDArray[np.int64]

MOST_CANDIDATES = 40
"""Most values of one sum: the search over all subsets takes 34 MB then, and a mask fits a signed word."""
IMPOSSIBLE = -1
"""The mask of a sum that no subset meets."""


@compiled
def best_pair(values: Floats, first: int, goal: float) -> tuple[float, int, int]:
    """Return the least |v_a + v_b - goal| over first <= a < b, with a and b; infinite below two values."""
    best, i, j = np.inf, -1, -1
    for a in range(first, values.shape[0] - 1):
        rest = goal - values[a]
        for b in range(a + 1, values.shape[0]):
            error = abs(values[b] - rest)
            if error < best:
                best, i, j = error, a, b
    return best, i, j


@compiled
def best_up_to_four(values: Floats, goal: float, within: float) -> int:
    """Return the mask of the smallest subset within `within` of `goal`, the nearest of its size; -1 if above four."""
    if abs(goal) <= within:
        return 0
    count = values.shape[0]
    best, mask = np.inf, 0
    for a in range(count):
        error = abs(values[a] - goal)
        if error < best:
            best, mask = error, 1 << a
    if best <= within:
        return mask
    best, i, j = best_pair(values, 0, goal)
    if best <= within:
        return (1 << i) | (1 << j)
    best = np.inf
    for a in range(count - 2):
        error, i, j = best_pair(values, a + 1, goal - values[a])
        if error < best:
            best, mask = error, (1 << a) | (1 << i) | (1 << j)
    if best <= within:
        return mask
    best = np.inf
    for a in range(count - 3):
        for b in range(a + 1, count - 2):
            error, i, j = best_pair(values, b + 1, goal - values[a] - values[b])
            if error < best:
                best, mask = error, (1 << a) | (1 << b) | (1 << i) | (1 << j)
    return mask if best <= within else IMPOSSIBLE


@compiled
def masked_sum(values: Floats, mask: int) -> float:
    """Return the sum of the values in the mask."""
    total = 0.0
    for i in range(values.shape[0]):
        if (mask >> i) & 1:
            total += values[i]
    return total


@compiled
def best_above_four(values: Floats, goal: float, within: float, left: Floats, right: Floats) -> int:
    """As `best_up_to_four`, for a goal that no four values meet."""
    reach = 0.0
    for value in values:
        reach += value if (value > 0.0) == (goal > 0.0) else 0.0
    if abs(goal) - abs(reach) > within:
        return IMPOSSIBLE
    mask = best_subset_kernel(values, goal, within, left, right)
    if not abs(masked_sum(values, mask) - goal) <= within:
        return IMPOSSIBLE
    for size in range(5, values.shape[0]):
        smaller = best_of_size_kernel(values, goal, size)
        if abs(masked_sum(values, smaller) - goal) <= within:
            return smaller
    return mask


@compiled
def smallest_within(values: Floats, goal: float, within: float, left: Floats, right: Floats) -> int:
    """Return the mask of the smallest subset within `within` of `goal`, -1 where none is: a proof.

    `left` and `right` are the work space of `best_subset_kernel` for as many values.
    """
    mask = best_up_to_four(values, goal, within)
    return mask if mask >= 0 else best_above_four(values, goal, within, left, right)


@compiled
def best_single(values: Floats, goal: float, within: float, carried: float) -> tuple[float, int]:
    """Return the least (carried + e)^2 of one value with |e| <= within, and its mask; infinite if there is none."""
    best, mask = np.inf, 0
    for a in range(values.shape[0]):
        error = values[a] - goal
        left_over = abs(carried + error)
        if left_over < best and abs(error) <= within:
            best, mask = left_over, 1 << a
    return best * best, mask


@compiled
def best_double(values: Floats, goal: float, within: float, carried: float) -> tuple[float, int]:
    """As `best_single`, for two values."""
    best, i, j = np.inf, 0, 0
    for a in range(values.shape[0]):
        rest = goal - values[a]
        for b in range(a + 1, values.shape[0]):
            error = values[b] - rest
            left_over = abs(carried + error)
            if left_over < best and abs(error) <= within:
                best, i, j = left_over, a, b
    return best * best, (1 << i) | (1 << j)


@compiled
def frugal_subset(values: Floats, goal: float, within: float, price: float, carried: float) -> int:
    """Return the mask of the subset of up to two values that costs least, -1 where none is within the tolerance."""
    cost, mask = np.inf, IMPOSSIBLE
    if abs(goal) <= within:
        cost, mask = (carried - goal) ** 2, 0
    if cost > price:
        left_over, single = best_single(values, goal, within, carried)
        if left_over + price < cost:
            cost, mask = left_over + price, single
    if cost > 2.0 * price:
        left_over, double = best_double(values, goal, within, carried)
        if left_over + 2.0 * price < cost:
            mask = double
    return mask


@compiled
def shaped_subsets(
    factors: Floats,
    draws: Draws,
    goals: Floats,
    within: float,
    price: float,
    carried: Floats,
    start: int,
    stop: int,
    space: tuple[Floats, Floats],
    masks: Integers,
) -> None:
    """Write into `masks` (m,) the subset of its own values for each goal start..stop - 1, or -1: there is none.

    The values of goal g are factors (k,) times draws[:, g] (k, m). Goals come in m / o runs of equal length, one for
    each entry of `carried` (o,), which holds the sum of all errors so far and is brought up to date.
    """
    values = np.empty(factors.shape[0])
    taps = goals.shape[0] // carried.shape[0]
    for g in range(start, stop):
        for k in range(factors.shape[0]):
            values[k] = factors[k] * draws[k, g]
        goal, output = goals[g], g // taps
        mask = frugal_subset(values, goal, within, price, carried[output])
        if mask < 0:
            mask = smallest_within(values, goal, within, space[0], space[1])
        masks[g] = mask
        if mask >= 0:
            carried[output] += masked_sum(values, mask) - goal


@compiled
def summed(factors: Floats, draws: Draws, masks: Integers, sums: Floats) -> int:
    """Write into `sums` (m,) the exact sum of factors[k] draws[k, g] over each mask (m,); return the bits set."""
    bits = 0
    for g in range(masks.shape[0]):
        total = 0.0
        for k in range(factors.shape[0]):
            if (masks[g] >> k) & 1:
                total += factors[k] * draws[k, g]
                bits += 1
        sums[g] = total
    return bits
