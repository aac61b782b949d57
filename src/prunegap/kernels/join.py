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


def mirrored(leaves: Leaves) -> Leaves:
    """Return leaves of the mirror image in this side's frame: alpha and beta swap, second coordinates change sign."""
    out = leaves.copy()
    out[:, ALPHA0], out[:, BETA0] = leaves[:, BETA0], leaves[:, ALPHA0]
    out[:, ALPHA1], out[:, BETA1] = -leaves[:, BETA1], -leaves[:, ALPHA1]
    out[:, Z_LOW1], out[:, Z_HIGH1] = -leaves[:, Z_HIGH1], -leaves[:, Z_LOW1]
    if leaves.shape[1] > Y_LOW0:
        out[:, Y_LOW1], out[:, Y_HIGH1] = -leaves[:, Y_HIGH1], -leaves[:, Y_LOW1]
    return out


class Cells:
    """The order in which stored leaves are searched.

    Coordinates: alpha, and what is held against the query's beta side: with a relu readout the centre of the box for
    it (so a query looks as far as the widest box goes), with a linear readout the stored beta. `order` sorts the
    leaves by cell of coordinates 0, 2, 3 and within a cell by coordinate 1; `starts` bounds the cells; `grid` has
    rows low, size, count for the three cell coordinates; `far` is how far beyond its own box a query must look.
    """

    def __init__(self, leaves: Leaves, extent: float) -> None:
        linear = leaves.shape[1] > Y_LOW0
        points = [leaves[:, ALPHA0].astype(np.float64)]
        if linear:
            points += [leaves[:, BETA0].astype(np.float64), leaves[:, BETA1].astype(np.float64)]
            self.far = np.zeros(2)
        else:
            boxes = leaves[:, [Z_LOW0, Z_HIGH0, Z_LOW1, Z_HIGH1]].astype(np.float64)
            points += [(boxes[:, 0] + boxes[:, 1]) / 2, (boxes[:, 2] + boxes[:, 3]) / 2]
            self.far = np.array([np.max(boxes[:, 1] - boxes[:, 0]), np.max(boxes[:, 3] - boxes[:, 2])]) / 2 + 1e-6
        low = np.array([p.min() for p in points])
        span = np.array([p.max() for p in points]) - low
        size = np.maximum(extent, 1e-9)
        most = max(1, min(MAX_CELLS, leaves.shape[0]))
        while np.prod(counts := np.floor(span / size).astype(np.int64) + 1, dtype=np.float64) > most:
            size *= 1.2
        cell = np.zeros(leaves.shape[0], dtype=np.int64)
        for axis in range(3):
            cell = cell * counts[axis] + ((points[axis] - low[axis]) / size).astype(np.int64)
        second = leaves[:, ALPHA1].astype(np.float64)
        width = float(np.ptp(second)) * 1.001 + 1e-9
        self.order = np.argsort(cell + (second - second.min()) / width)
        self.starts = np.searchsorted(cell[self.order], np.arange(int(np.prod(counts)) + 1)).astype(np.int64)
        self.grid = np.array([low, np.full(3, size), counts.astype(np.float64)])
        # Sorting by a sum of cell and fraction resolves the fraction to 2^-52 cells only.
        self.blur = width * counts.astype(np.float64).prod() * 2.0**-51


@compiled
def _range(low, high, grid, axis):
    """Return the first and the last cell of an axis that an interval touches."""
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
def match(query, query_widths, stored, stored_widths, starts, grid, far, blur, target, least, bound, begin, pairs):
    """Write matching (query, stored) indices to `pairs`; return (pairs written, the query to go on with).

    `stored` is in cell order. With a relu readout the whole network's linear part must reach `least` along `target`,
    or the back half circle would exceed the tube. Only tickets of a width below `bound` count.
    """
    linear = query.shape[1] > Y_LOW0
    found = 0
    for i in range(begin, query.shape[0]):
        if query_widths[i] >= bound:
            continue
        y0, y1 = query[i, Z_LOW1] - blur, query[i, Z_HIGH1] + blur
        if linear:
            a0, a1 = _range(query[i, Y_LOW0], query[i, Y_HIGH0], grid, 1)
            b0, b1 = _range(query[i, Y_LOW1], query[i, Y_HIGH1], grid, 2)
        else:
            a0, a1 = _range(query[i, BETA0] - far[0], query[i, BETA0] + far[0], grid, 1)
            b0, b1 = _range(query[i, BETA1] - far[1], query[i, BETA1] + far[1], grid, 2)
        c0, c1 = _range(query[i, Z_LOW0], query[i, Z_HIGH0], grid, 0)
        part = (query[i, ALPHA0] + query[i, BETA0]) * target[0] + (query[i, ALPHA1] + query[i, BETA1]) * target[1]
        before = found
        for c in range(c0, c1 + 1):
            for a in range(a0, a1 + 1):
                for b in range(b0, b1 + 1):
                    cell = (c * int(grid[2, 1]) + a) * int(grid[2, 2]) + b
                    k, end = starts[cell], starts[cell + 1]
                    top = end
                    while top - k > 8:
                        middle = (k + top) >> 1
                        if stored[middle, ALPHA1] < y0:
                            k = middle + 1
                        else:
                            top = middle
                    while k < end and stored[k, ALPHA1] <= y1:
                        if (
                            stored[k, ALPHA1] >= y0
                            and stored_widths[k] < bound
                            and _fits(query, stored, i, k, part, target, least, linear)
                        ):
                            if found >= pairs.shape[0]:
                                return before, i
                            pairs[found, 0], pairs[found, 1] = i, k
                            found += 1
                        k += 1
    return found, query.shape[0]


@compiled
def screen(angles, strengths, is_b, kept, limit, linear):
    """Return whether the kept kinks (ascending) have error at most `limit` at every kept kink, front and back.

    Angles are measured from the target. The error at finitely many inputs is a lower bound of the error.
    """
    for j in kept:
        front, back = 0.0, 0.0
        for i in kept:
            value = strengths[i] * np.sin(angles[j] - angles[i])
            right = angles[i] < angles[j]
            if is_b[i]:
                front += value if right else 0.0
                back -= 0.0 if right else value
            else:
                front -= 0.0 if right else value
                back += value if right else 0.0
        goal = np.cos(angles[j])
        if linear:
            if abs(front - goal) > limit or abs(back) > limit:
                return False
        elif front > goal + limit or back > limit or (goal > limit and front < goal - limit):
            return False
    return True
