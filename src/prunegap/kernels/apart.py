"""The first of a list of points that keep a distance from each other."""

from __future__ import annotations

import numpy as np

from prunegap.kernels.jit import compiled


@compiled
def first_apart(points, order, most, distance):
    """Return up to `most` indices of points (k, d), in the given order: some coordinates `distance` apart."""
    chosen = np.empty(min(most, order.size), np.int64)
    count = 0
    for index in order:
        if count == most:
            break
        clear = True
        for other in chosen[:count]:
            if np.abs(points[index] - points[other]).max() <= distance:
                clear = False
                break
        if clear:
            chosen[count] = index
            count += 1
    return chosen[:count]
