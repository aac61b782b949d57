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


@compiled
def squares_of(gram: Gram) -> Floats:
    """Return the diagonal, in one piece: in the matrix each of its entries lies on another page."""
    squares = np.empty(gram.shape[0])
    for k in range(gram.shape[0]):
        squares[k] = gram[k, k]
    return squares


@inlined
def flip(k, gram, mask, slope):
    """Flip entry k and bring the slope up to date."""
    side = np.float64(2 * mask[k] - 1)
    mask[k] = 1 - mask[k]
    row = gram[k]
    for i in range(slope.shape[0]):
        slope[i] += side * row[i]


@inlined
def change(k, squares, mask, slope):
    """Return what flipping entry k adds to the square."""
    return squares[k] - (2.0 - 4.0 * mask[k]) * slope[k]


@compiled
def slope_of(gram: Gram, goal: Floats, mask: Mask) -> Floats:
    """Return b - G m."""
    slope = goal.copy()
    for k in range(mask.shape[0]):
        if mask[k]:
            row = gram[k]
            for i in range(slope.shape[0]):
                slope[i] -= row[i]
    return slope


@compiled
def flip_best(gram: Gram, mask: Mask, slope: Floats) -> int:
    """Flip the entry that helps most until none helps; return how many were flipped. The square never grows."""
    squares, flipped = squares_of(gram), 0
    least = -_NOISE * squares.max()
    while True:
        best, gain = -1, least
        for k in range(mask.shape[0]):
            found = change(k, squares, mask, slope)
            if found < gain:
                best, gain = k, found
        if best < 0:
            return flipped
        flip(best, gram, mask, slope)
        flipped += 1


@compiled
def flip_pairs(gram: Gram, mask: Mask, slope: Floats) -> int:
    """Offer every entry its best partner and flip both where that helps; return how many pairs were flipped."""
    squares, flipped = squares_of(gram), 0
    least = -_NOISE * squares.max()
    signs = 1.0 - 2.0 * mask
    changes = squares - 2.0 * signs * slope
    for i in range(mask.shape[0]):
        best, gain, row, twice = -1, least - changes[i], gram[i], 2.0 * signs[i]
        for k in range(mask.shape[0]):
            found = changes[k] + twice * signs[k] * row[k]
            if found < gain and k != i:
                best, gain = k, found
        if best >= 0:
            flip(i, gram, mask, slope)
            flip(best, gram, mask, slope)
            signs[i], signs[best] = -signs[i], -signs[best]
            for k in range(mask.shape[0]):
                changes[k] = squares[k] - 2.0 * signs[k] * slope[k]
            flipped += 1
    return flipped


@compiled
def try_all(gram: Gram, goal: Floats, mask: Mask) -> None:
    """Overwrite `mask` (n <= 20,) with the best of all masks."""
    walk, slope, squares = np.zeros_like(mask), goal.copy(), squares_of(gram)
    value = least = 0.0
    mask[:] = 0
    for step in range(1, 1 << mask.shape[0]):
        k = 0
        while not (step >> k) & 1:
            k += 1
        value += change(k, squares, walk, slope)
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


@compiled
def add_products(gram: Gram, one: Gram, other: Gram) -> None:
    """Add the products of the entries of two matrices to the upper triangle of `gram` (n, n)."""
    for i in range(gram.shape[0]):
        for j in range(i, gram.shape[0]):
            gram[i, j] += one[i, j] * other[i, j]


@compiled
def symmetrise(gram: Gram) -> None:
    """Replace `gram` (n, n) by the sum of its upper triangle and its transposed lower one, on both sides."""
    count, tile = gram.shape[0], 64
    for a in range(0, count, tile):
        for b in range(a, count, tile):
            for i in range(a, min(a + tile, count)):
                for j in range(max(b, i + 1), min(b + tile, count)):
                    gram[i, j] += gram[j, i]
                    gram[j, i] = gram[i, j]
