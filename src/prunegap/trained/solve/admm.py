"""ALPS: the support by operator splitting, then exact least squares on it.

min tr((W - T) H (W - T)^T) over W = D with D in the masks: W sees the quadratic, D the masks, and a penalty rho that
grows makes them agree. Columns are first scaled so that H has a unit diagonal, so the projection compares weights by
their effect. The sweep of SparseGPT is a second start, and the best of all is returned, so the result is never worse.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.base import WeightSolver
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.least_squares import on_support
from prunegap.trained.solve.second_order import SecondOrderSolver
from prunegap.trained.solve.support import top_mask

ROUNDS = 300
FIRST_PENALTY = 0.1
CHECK_EVERY = 3


@final
class AdmmSolver(WeightSolver):
    """ADMM on the support, then conjugate gradients on it (ALPS, Meng et al. 2024, arXiv:2406.07831).

    Guarantees an objective at most that of `second_order` on the same problem.
    """

    name = "admm"

    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        swept = SecondOrderSolver()._solve(problem, granularity, count)
        split = split_support(problem, granularity, count)
        starts = [(np.where(swept[1], swept[0], 0.0), swept[1])]
        starts += [(on_support(problem, mask, start=start), mask) for start, mask in [*starts, split]]
        objectives = [problem.objective(weights) for weights, _ in starts]
        return starts[int(np.argmin(objectives))]


def split_support(problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
    """Return the split variable D at agreement (out, in) and its mask of exactly `count` units."""
    scale = np.sqrt(np.diag(problem.second_moment))
    values, vectors = np.linalg.eigh(problem.second_moment / np.outer(scale, scale))
    # Only the support is sought here, so float32 serves; the weights on it are solved for in float64.
    values, vectors = values.astype(np.float32), np.ascontiguousarray(vectors, dtype=np.float32)
    goal = (problem.target * scale).astype(np.float32)
    pulled = (goal @ vectors) * values
    split, dual, penalty = goal, np.zeros_like(goal), FIRST_PENALTY
    mask = top_mask(goal**2, granularity, count)
    checked = mask
    for round_ in range(1, ROUNDS + 1):
        weights = ((pulled + (penalty * split - dual) @ vectors) / (values + penalty)) @ vectors.T
        free = weights + dual / penalty
        mask = top_mask(free**2, granularity, count)
        split = np.where(mask, free, 0.0)
        dual = dual + penalty * (weights - split)
        if round_ % CHECK_EVERY == 0:
            changed = int((mask ^ checked).sum())
            if changed == 0:
                break
            penalty *= _growth(changed, max(int(mask.sum()), 1))
            checked = mask
    return np.asarray(split / scale, dtype=np.float64), mask


def _growth(changed: int, kept: int) -> float:
    """Return the published growth of the penalty: slow while the support still moves little."""
    if changed >= 0.1 * kept:
        return 1.3
    return 1.2 if changed >= 0.005 * kept else 1.1
