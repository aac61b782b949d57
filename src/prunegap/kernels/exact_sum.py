"""Sums without rounding errors: every partial sum is kept as a few doubles that do not overlap (Shewchuk 1997).

What math.fsum does, without the lock that Python holds while it runs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]


@compiled
def exact_error(values: Floats, chosen: NDArray[np.bool_], target: float) -> float:
    """Return |sum of the chosen values - target|, correct to one unit in the last place.

    `values` and `chosen` have shape (n,); all sums must stay below the largest double.
    """
    parts = np.zeros(values.shape[0] + 1)
    parts[0] = -target
    count = 1
    for i in range(values.shape[0]):
        if not chosen[i]:
            continue
        carried = values[i]
        kept = 0
        for k in range(count):
            part = parts[k]
            # Two-Sum (Knuth): total + rest is the sum of both, exactly.
            total = carried + part
            shadow = total - carried
            rest = (carried - (total - shadow)) + (part - shadow)
            if rest != 0.0:
                parts[kept] = rest
                kept += 1
            carried = total
        parts[kept] = carried
        count = kept + 1
    # From the least: what is rounded away is less than a unit of the greatest, since they do not overlap.
    error = 0.0
    for k in range(count):
        error += parts[k]
    return float(abs(error))
