"""More values than can be searched exactly: large ones greedily, the smallest exactly, in bounded memory.

Signs are flipped so that all values are positive. The largest come first and are taken as long as they leave half of
what the POOL smallest can reach together; what is left is a question about these alone. For every target in reach the
rest stays within the reach of the pool, whose steps are its values: the error is at most the largest |value|.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Masks = NDArray[np.bool_]

POOL = 36
"""Values left to the exact search: 34 MB for each thread."""


def pooled(row: Floats, target: float) -> tuple[Masks, Integers, float]:
    """Return which of `row` (n,), n >= POOL, are taken so far, the pool (POOL,) and what its |values| have to meet.

    With `chosen` of the pool the answer is `taken`, where `taken[pool] ^= chosen`: flipped values are taken at first.
    """
    sizes, taken = np.abs(row), row < 0.0
    rest = math.fsum([target, *sizes[taken].tolist()])
    order = np.argsort(-sizes, kind="stable")
    pool = order[-POOL:]
    reserve = 0.5 * float(sizes[pool].sum())
    for i in order[:-POOL].tolist():
        if sizes[i] <= rest - reserve:
            taken[i] = not taken[i]
            rest -= float(sizes[i])
    return taken, pool, rest
