"""ALPS: the support by operator splitting, then least squares on it.

min tr((W - T) H (W - T)^T) over W = D with D in the masks: W sees the quadratic, D the masks, and a penalty rho that
grows makes them agree. Columns are first scaled so that H has a unit diagonal, so the projection compares weights by
their effect. SparseGPT's sweep is made too and the better of the two is returned, so the result is never worse.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
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
SETTLED = 1e-3
"""Part of the kept weights below which a change of the support between checks ends the search."""


@final
class AdmmSolver(WeightSolver):
    """ADMM on the support, then conjugate gradients on it (ALPS, Meng et al. 2024, arXiv:2406.07831).

    Guarantees an objective at most that of `second_order` on the same problem.
    """

    name = "admm"

    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        split, mask = split_support(problem, granularity, count)
        weights = on_support(problem, mask, start=split)
        swept, its_mask = SecondOrderSolver()._solve(problem, granularity, count)
        swept = np.where(its_mask, swept, 0.0)
        if problem.objective(weights) <= problem.objective(swept):
            return weights, mask
        return on_support(problem, its_mask, start=swept), its_mask


def split_support(problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
    """Return the split variable D near agreement (out, in) and its mask of exactly `count` units."""
    scale = np.sqrt(np.diag(problem.second_moment))
    # Only the support is sought here, so float32 serves; the weights on it are solved for afterwards.
    unit = (problem.second_moment / np.outer(scale, scale)).astype(np.float32)
    values, vectors = torch.linalg.eigh(torch.from_numpy(unit))
    vectors = vectors.contiguous()
    back = vectors.t().contiguous()
    goal = torch.from_numpy((problem.target * scale).astype(np.float32))
    pulled = (goal @ vectors) * values
    # `dual` is the multiplier over the penalty.
    split, dual, penalty = goal, torch.zeros_like(goal), FIRST_PENALTY
    mask = checked = top_mask((goal * goal).numpy(), granularity, count)
    for round_ in range(1, ROUNDS + 1):
        turned = ((split - dual) @ vectors).mul_(penalty).add_(pulled).div_(values + penalty)
        free = (turned @ back).add_(dual)
        mask = top_mask((free * free).numpy(), granularity, count)
        split = free * torch.from_numpy(mask)
        dual = free - split
        if round_ % CHECK_EVERY == 0:
            changed, kept = int((mask ^ checked).sum()), max(int(mask.sum()), 1)
            if changed <= SETTLED * kept:
                break
            growth = _growth(changed, kept)
            penalty *= growth
            dual.div_(growth)
            checked = mask
    return split.double().numpy() / scale, mask


def _growth(changed: int, kept: int) -> float:
    """Return the published growth of the penalty: slow while the support still moves little."""
    if changed >= 0.1 * kept:
        return 1.3
    return 1.2 if changed >= 0.005 * kept else 1.1
