"""Magnitude pruning: the largest weights stay as they are. The baseline that looks at no input."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.base import WeightSolver
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.support import top_mask


@final
class MagnitudeSolver(WeightSolver):
    """Keeps the units with the greatest sum of W_ij^2 in the layer (Han et al. 2015); values unchanged."""

    name = "magnitude"

    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        return problem.dense, top_mask(problem.dense**2, granularity, count)
