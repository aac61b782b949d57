"""Wanda: |W_ij| times the norm of input j, compared within each output row; values unchanged."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.base import WeightSolver
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.support import top_mask_by_row


@final
class WandaSolver(WeightSolver):
    """Keeps in each row the units with the greatest sum of W_ij^2 H_jj (Sun et al. 2023, arXiv:2306.11695).

    Every row keeps the same number; where the count does not divide, the best-scored rows keep one more.
    """

    name = "wanda"

    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        scores = problem.dense**2 * np.diag(problem.second_moment)
        return problem.dense, top_mask_by_row(scores, granularity, count)
