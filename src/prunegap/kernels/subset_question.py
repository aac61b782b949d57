"""One question about one sum: is there a subset within epsilon, which one, and if not, why not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.kernels.subset_sum import Method, best_subset
from prunegap.model.errors import BadInputError
from prunegap.model.outcome import Status


@dataclass(frozen=True, eq=False)
class SubsetAnswer:
    """A subset, its error, and what is proven: found (error <= epsilon), impossible (no subset is), undecided.

    `chosen` (n,) is the best subset met even where the status is impossible, `error` |sum - target| exact up to one
    final rounding. `reason` begins with mass, sign or search where the status is impossible.
    """

    chosen: NDArray[np.bool_]
    error: float
    status: Status
    reason: str


def find_subset(values: ArrayLike, target: float, epsilon: float, method: Method = "exact") -> SubsetAnswer:
    """Return a subset of `values` (n,) whose sum is within `epsilon` of `target`, or why there is none.

    exact: up to 44 values, decides every question but those closer to epsilon than rounding can tell. bounded: any n
    in 34 MB (`best_subsets`). Guaranteed is an error of at most the largest |value| for every target in reach, and
    epsilon or the least among all subsets that agree on the other values; only mass and sign are proven impossible.
    Raises BadInputError for bad numbers, an epsilon that is not above 0, or more than 44 values with the method
    exact.
    """
    row = np.asarray(values, dtype=np.float64)
    if not (math.isfinite(epsilon) and epsilon > 0.0):
        raise BadInputError(f"epsilon {epsilon}", "must be a finite number above 0", "use for example 1e-3")
    chosen, error = best_subset(row, target, within=epsilon, method=method)
    if error <= epsilon:
        return SubsetAnswer(chosen, error, Status.FOUND, f"error {error:.3g}")
    if reason := _out_of_reach(row, target, epsilon):
        return SubsetAnswer(chosen, error, Status.IMPOSSIBLE, reason)
    slack = (row.size + 4) * 2.0**-52 * (float(np.abs(row).sum()) + abs(target))
    if method == "exact" and error > epsilon + slack:
        return SubsetAnswer(chosen, error, Status.IMPOSSIBLE, f"search: the best of all subsets is {error:.3g} away")
    why = "closer to epsilon than rounding can tell" if method == "exact" else "the bounded search tries few subsets"
    return SubsetAnswer(chosen, error, Status.UNDECIDED, why)


def _out_of_reach(row: NDArray[np.float64], target: float, epsilon: float) -> str:
    """Return a proof from the sum of all values of the target's sign, or nothing."""
    helpful = np.maximum(math.copysign(1.0, target) * row, 0.0)
    if not helpful.any():
        return f"sign: no value has the sign of the target {target:g}" if abs(target) > epsilon else ""
    mass = math.fsum(helpful.tolist())
    # One rounding in the sum and one in the difference.
    if abs(target) - mass > epsilon + 2.0**-51 * (abs(target) + mass):
        return f"mass: all values of the right sign add up to {mass:g} of {abs(target):g}"
    return ""
