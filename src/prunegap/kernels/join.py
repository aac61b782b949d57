"""Find which left and right leaves of the half-circle walks belong together, and screen the pairs.

Two leaves match if each one's sums lie in the other one's boxes: four (linear readout: eight) interval tests. The
stored leaves are sorted into cells of three coordinates, and by a fourth within a cell, so that a query touches
little more than its matches. Everything is a superset of the truth; the certificate decides.
"""

from __future__ import annotations

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

Leaves = NDArray[np.float32]

MAX_CELLS = 1 << 22

AXES = 3
"""Cell coordinates: alpha's first and two of the beta side; alpha's second orders the leaves within a cell."""


def mirror(leaves: Leaves) -> None:
    """Turn leaves of the mirror image into this side's frame, in place.

    Alpha and beta swap, second coordinates change sign.
    """
    leaves[:, [ALPHA0, BETA0]] = leaves[:, [BETA0, ALPHA0]]
    leaves[:, [ALPHA1, BETA1]] = -leaves[:, [BETA1, ALPHA1]]
    leaves[:, [Z_LOW1, Z_HIGH1]] = -leaves[:, [Z_HIGH1, Z_LOW1]]
    if leaves.shape[1] > Y_LOW0:
        leaves[:, [Y_LOW1, Y_HIGH1]] = -leaves[:, [Y_HIGH1, Y_LOW1]]


@compiled
def _coordinate(leaves, k, axis, linear):
    """Return a cell coordinate of leaf k.

    On the beta side: with a linear readout the stored beta, which a query has a box for; with a relu readout the
    centre of the stored box for the query's beta, so that a query looks as far as the widest such box reaches.
    """
    if axis == 0:
        return leaves[k, ALPHA0]
    if linear:
        return leaves[k, BETA0 + axis - 1]
    low = Z_LOW0 if axis == 1 else Z_LOW1
    return np.float32(0.5) * (leaves[k, low] + leaves[k, low + 1])


@compiled
def _limits(leaves, linear):
    """Return the least and greatest of each cell coordinate and the greatest half extents of the boxes."""
    low, high, far = np.full(AXES, np.inf), np.full(AXES, -np.inf), np.zeros(2)
    for k in range(leaves.shape[0]):
        for axis in range(AXES):
            value = _coordinate(leaves, k, axis, linear)
            low[axis], high[axis] = min(low[axis], value), max(high[axis], value)
        if not linear:
            far[0] = max(far[0], 0.5 * (leaves[k, Z_HIGH0] - leaves[k, Z_LOW0]))
            far[1] = max(far[1], 0.5 * (leaves[k, Z_HIGH1] - leaves[k, Z_LOW1]))
    return low, high, far


@compiled
def _sort(leaves, grid, linear):
    """Return (order, starts): the leaves by cell, a counting sort, and ascending in alpha's second within a cell."""
    count = leaves.shape[0]
    cells = np.empty(count, np.int32)
    starts = np.zeros(int(grid[2].prod()) + 1, np.int64)
    for k in range(count):
        cell = 0
        for axis in range(AXES):
            place = int((_coordinate(leaves, k, axis, linear) - grid[0, axis]) / grid[1, axis])
            cell = cell * int(grid[2, axis]) + min(max(place, 0), int(grid[2, axis]) - 1)
        cells[k] = cell
        starts[cell + 1] += 1
    for cell in range(starts.size - 1):
        starts[cell + 1] += starts[cell]
    heads = starts[:-1].copy()
    order = np.empty(count, np.int64)
    for k in range(count):
        order[heads[cells[k]]] = k
        heads[cells[k]] += 1
    for cell in range(starts.size - 1):
        if starts[cell + 1] - starts[cell] > 1:
            inside = order[starts[cell] : starts[cell + 1]]
            seconds = np.empty(inside.size, np.float32)
            for k in range(inside.size):
                seconds[k] = leaves[inside[k], ALPHA1]
            order[starts[cell] : starts[cell + 1]] = inside[np.argsort(seconds)]
    return order, starts


class Cells:
    """The order in which stored leaves are searched: `order` sorts them by cell, `starts` bounds the cells.

    `grid` has rows low, size, count for the three coordinates; `far` is how far beyond its own beta a query looks.
    """

    def __init__(self, leaves: Leaves, extent: float) -> None:
        linear = leaves.shape[1] > Y_LOW0
        low, high, self.far = _limits(leaves, linear)
        # Centres and half extents are rounded to single precision.
        self.far += 1e-9 + 2.0**-20 * np.maximum(np.abs(low[1:]), np.abs(high[1:]))
        size = max(extent, 1e-9)
        most = max(1, min(MAX_CELLS, leaves.shape[0]))
        while np.prod(counts := np.floor((high - low) / size) + 1.0) > most:
            size *= 1.2
        self.grid = np.array([low, np.full(AXES, size), counts])
        self.order, self.starts = _sort(leaves, self.grid, linear)


@compiled
def _range(low, high, grid, axis):
    """Return the first and the last cell of an axis that an interval touches."""
    # Sorting rounds once more than this does; a thousandth of a cell is far more than that.
    first = int(np.floor((low - grid[0, axis]) / grid[1, axis] - 1e-3))
    last = int(np.floor((high - grid[0, axis]) / grid[1, axis] + 1e-3))
    return max(0, first), min(int(grid[2, axis]) - 1, last)


@compiled
def _fits(query, stored, i, k, part, target, least, linear):
    """Return whether query leaf i and stored leaf k match; alpha's second coordinate has been tested."""
    if stored[k, ALPHA0] < query[i, Z_LOW0] or stored[k, ALPHA0] > query[i, Z_HIGH0]:
        return False
    if query[i, BETA0] < stored[k, Z_LOW0] or query[i, BETA0] > stored[k, Z_HIGH0]:
        return False
    if query[i, BETA1] < stored[k, Z_LOW1] or query[i, BETA1] > stored[k, Z_HIGH1]:
        return False
    if not linear:
        along, across = stored[k, ALPHA0] + stored[k, BETA0], stored[k, ALPHA1] + stored[k, BETA1]
        return part + along * target[0] + across * target[1] >= least
    if stored[k, BETA0] < query[i, Y_LOW0] or stored[k, BETA0] > query[i, Y_HIGH0]:
        return False
    if stored[k, BETA1] < query[i, Y_LOW1] or stored[k, BETA1] > query[i, Y_HIGH1]:
        return False
    if query[i, ALPHA0] < stored[k, Y_LOW0] or query[i, ALPHA0] > stored[k, Y_HIGH0]:
        return False
    return query[i, ALPHA1] >= stored[k, Y_LOW1] and query[i, ALPHA1] <= stored[k, Y_HIGH1]


@compiled
def match(query, query_widths, stored, stored_widths, starts, grid, far, target, least, bound, begin, pairs):
    """Write matching (query, stored) indices to `pairs`; return (pairs written, the query to go on with).

    `stored` is in cell order. With a relu readout the whole network's linear part must reach `least` along `target`,
    or the back half circle would exceed the tube. Only tickets of a width below `bound` count.
    """
    linear = query.shape[1] > Y_LOW0
    found = 0
    for i in range(begin, query.shape[0]):
        if query_widths[i] >= bound:
            continue
        if linear:
            a0, a1 = _range(query[i, Y_LOW0], query[i, Y_HIGH0], grid, 1)
            b0, b1 = _range(query[i, Y_LOW1], query[i, Y_HIGH1], grid, 2)
        else:
            a0, a1 = _range(query[i, BETA0] - far[0], query[i, BETA0] + far[0], grid, 1)
            b0, b1 = _range(query[i, BETA1] - far[1], query[i, BETA1] + far[1], grid, 2)
        c0, c1 = _range(query[i, Z_LOW0], query[i, Z_HIGH0], grid, 0)
        y0, y1 = query[i, Z_LOW1], query[i, Z_HIGH1]
        part = (query[i, ALPHA0] + query[i, BETA0]) * target[0] + (query[i, ALPHA1] + query[i, BETA1]) * target[1]
        before = found
        for c in range(c0, c1 + 1):
            for a in range(a0, a1 + 1):
                for b in range(b0, b1 + 1):
                    cell = (c * int(grid[2, 1]) + a) * int(grid[2, 2]) + b
                    k, end = starts[cell], starts[cell + 1]
                    above = end
                    while k < above:
                        middle = (k + above) >> 1
                        if stored[middle, ALPHA1] < y0:
                            k = middle + 1
                        else:
                            above = middle
                    while k < end and stored[k, ALPHA1] <= y1:
                        if stored_widths[k] < bound and _fits(query, stored, i, k, part, target, least, linear):
                            if found >= pairs.shape[0]:
                                return before, i
                            pairs[found, 0], pairs[found, 1] = i, k
                            found += 1
                        k += 1
    return found, query.shape[0]
