"""Which columns to keep so that their sum is nearest to a goal: min ||A m - t||^2 over masks m in {0, 1}^n.

Everything is done on the Gram matrix G = A'A and b = A't: with the slope s = b - G m, flipping entry k changes the
square by D_k = G_kk -+ 2 s_k (minus where k is added), flipping i and k by D_i + D_k +- 2 G_ik, and either costs
O(n) to carry out. The search flips the best entry until none helps (from nothing, this is the greedy choice), then
looks for the best partner of every entry, swaps included. Up to 20 columns every mask is tried, in Gray code order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined

Gram = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.int8]

MOST_TRIED = 20
"""Columns up to which every mask is tried."""
_NOISE = 1e-10
"""Changes below this part of the largest diagonal entry are taken for rounding."""


@inlined
def flip(k, gram, mask, slope):
    """Flip entry k and bring the slope up to date."""
    if mask[k]:
        mask[k] = 0
        for i in range(slope.shape[0]):
            slope[i] += gram[k, i]
    else:
        mask[k] = 1
        for i in range(slope.shape[0]):
            slope[i] -= gram[k, i]


@inlined
def change(k, gram, mask, slope):
    """Return what flipping entry k adds to the square."""
    return np.float64(gram[k, k]) - (2.0 - 4.0 * mask[k]) * slope[k]


@inlined
def least_change(gram):
    """Return the change that counts as one."""
    largest = 0.0
    for k in range(gram.shape[0]):
        largest = max(largest, np.float64(gram[k, k]))
    return -_NOISE * largest


@compiled
def slope_of(gram: Gram, goal: Floats, mask: Mask) -> Floats:
    """Return b - G m."""
    slope = goal.copy()
    for k in range(mask.shape[0]):
        if mask[k]:
            for i in range(slope.shape[0]):
                slope[i] -= gram[k, i]
    return slope


@compiled
def flip_best(gram: Gram, mask: Mask, slope: Floats) -> int:
    """Flip the entry that helps most until none helps; return how many were flipped. The square never grows."""
    least, flipped = least_change(gram), 0
    while True:
        best, gain = -1, least
        for k in range(mask.shape[0]):
            found = change(k, gram, mask, slope)
            if found < gain:
                best, gain = k, found
        if best < 0:
            return flipped
        flip(best, gram, mask, slope)
        flipped += 1


@compiled
def flip_pairs(gram: Gram, mask: Mask, slope: Floats) -> int:
    """Offer every entry its best partner and flip both where that helps; return how many pairs were flipped."""
    least, flipped = least_change(gram), 0
    for i in range(mask.shape[0]):
        alone, best, gain = change(i, gram, mask, slope), -1, least
        for k in range(mask.shape[0]):
            if k != i:
                cross = 2.0 * np.float64(gram[i, k])
                found = alone + change(k, gram, mask, slope) + (cross if mask[i] == mask[k] else -cross)
                if found < gain:
                    best, gain = k, found
        if best >= 0:
            flip(i, gram, mask, slope)
            flip(best, gram, mask, slope)
            flipped += 1
    return flipped


@compiled
def try_all(gram: Gram, goal: Floats, mask: Mask) -> None:
    """Overwrite `mask` (n <= 20,) with the best of all masks."""
    walk, slope = np.zeros_like(mask), goal.copy()
    value = least = 0.0
    mask[:] = 0
    for step in range(1, 1 << mask.shape[0]):
        k = 0
        while not (step >> k) & 1:
            k += 1
        value += change(k, gram, walk, slope)
        flip(k, gram, walk, slope)
        if value < least:
            least = value
            mask[:] = walk


@compiled
def descend(gram: Gram, goal: Floats, mask: Mask, passes: int) -> None:
    """Improve `mask` (n,) until no flip, and within `passes` passes no pair of flips, makes the square smaller.

    gram (n, n) symmetric, goal (n,). With 20 entries at most the mask becomes the best of all.
    """
    if mask.shape[0] <= MOST_TRIED:
        try_all(gram, goal, mask)
        return
    slope = slope_of(gram, goal, mask)
    flip_best(gram, mask, slope)
    for _ in range(passes):
        if flip_pairs(gram, mask, slope) == 0:
            return
        flip_best(gram, mask, slope)


@compiled
def relaxed_bound(gram: Gram, goal: Floats, passes: int) -> float:
    """Return a lower bound, up to rounding, on m'Gm - 2 b'm over every mask m.

    Coordinate descent over the box [0, 1]^n; a convex function lies above its tangent, whose least value over the box
    is closed: f(m) >= f(x) - 2 sum_k max(s_k (1 - x_k), -s_k x_k) for any x.
    """
    count = goal.shape[0]
    x, slope = np.zeros(count), goal.copy()
    for _ in range(passes):
        for k in range(count):
            if gram[k, k] > 0.0:
                moved = min(1.0, max(0.0, x[k] + slope[k] / gram[k, k])) - x[k]
                if moved != 0.0:
                    x[k] += moved
                    for i in range(count):
                        slope[i] -= moved * gram[k, i]
    bound = 0.0
    for k in range(count):
        # x'Gx - 2 b'x = -sum_k x_k (b_k + s_k).
        bound -= x[k] * (goal[k] + slope[k]) + 2.0 * max(slope[k] * (1.0 - x[k]), -slope[k] * x[k])
    return bound
