"""The contract of the weight solvers: the public call validates, counts and re-checks; an algorithm only solves."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.solution import WeightSolution
from prunegap.trained.solve.support import kept_units


class WeightSolver(ABC):
    """Chooses a mask of a layer's weights and the weights on it."""

    name: str

    @abstractmethod
    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        """Return weights (out, in) and the mask (out, in) of exactly `count` units of the granularity."""

    def solve(self, problem: Quadratic, granularity: Granularity, keep_fraction: float | None) -> WeightSolution:
        """Return the pruned weights with exactly round(keep_fraction * units) units kept and their objective.

        Deterministic: same problem, same bits. Raises BadInputError for a fraction that the granularity cannot keep.
        """
        count = kept_units(problem.shape, granularity, keep_fraction)
        weights, mask = self._solve(problem, granularity, count)
        weights = np.where(mask, weights, 0.0)
        return WeightSolution(weights, mask, problem.objective(weights), self.name)
