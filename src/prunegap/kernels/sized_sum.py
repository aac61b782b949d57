"""The best subset of a given size: meeting in the middle, a pair of sorted lists for every way to split the size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def sums_by_size(values: Floats) -> tuple[Floats, Integers, Integers]:
    """Return the subset sums of `values` (h,) by size and ascending in each, their bitmasks, and where sizes begin.

    Shapes (2^h,), (2^h,) and (h + 2,): size c lies in starts[c]..starts[c + 1].
    """
    count = values.shape[0]
    sums, sizes = np.zeros(1 << count), np.zeros(1 << count, dtype=np.int64)
    for i in range(count):
        for mask in range(1 << i):
            sums[mask | (1 << i)] = sums[mask] + values[i]
            sizes[mask | (1 << i)] = sizes[mask] + 1
    order = np.argsort(sums)
    starts = np.zeros(count + 2, dtype=np.int64)
    for size in sizes:
        starts[size + 1] += 1
    starts = np.cumsum(starts)
    place = starts.copy()
    ranked, masks = np.empty(1 << count), np.empty(1 << count, dtype=np.int64)
    for mask in order:
        where = place[sizes[mask]]
        ranked[where], masks[where] = sums[mask], mask
        place[sizes[mask]] += 1
    return ranked, masks, starts


@compiled
def best_of_size_kernel(values: Floats, target: float, size: int) -> int:
    """Return the bitmask of the subset of `size` values whose sum is nearest to `target`, 0 <= size <= n."""
    half = values.shape[0] // 2
    one, one_masks, one_starts = sums_by_size(values[:half])
    other, other_masks, other_starts = sums_by_size(values[half:])
    best, chosen = np.inf, 0
    for k in range(max(0, size - (values.shape[0] - half)), min(size, half) + 1):
        i, j = one_starts[k], other_starts[size - k + 1] - 1
        while i < one_starts[k + 1] and j >= other_starts[size - k]:
            beyond = one[i] + other[j] - target
            if abs(beyond) < best:
                best, chosen = abs(beyond), one_masks[i] | (other_masks[j] << half)
            if beyond < 0.0:
                i += 1
            else:
                j -= 1
    return int(chosen)
