"""One input: every granularity is one question about one subset sum, decided exactly by meeting in the middle.

At d = 1 a neuron is a weight. On the target's side the network is the sum P of what is kept there, on the other side
nothing need be kept, so the error is |P - |w*|| for either readout (a negative P is no better than none). The
narrowest ticket is the first prefix of the draw whose values v_i |W_i| on that side hold a subset within epsilon of
|w*|.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.subset_sum import MAX_VALUES, best_subset
from prunegap.kernels.trees import few_of_many
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search

MOST_LISTED = 1 << 20
"""Sums a half where there are too many values to decide: any subset will do then."""
STEP = 4


@final
class LineSums(Search):
    """Exact at d = 1, any granularity and readout, up to 44 values on the target's side: the narrowest ticket."""

    name: ClassVar[str] = "line"
    finds_least: ClassVar[bool] = True

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless there is one input."""
        return None if problem.dimension == 1 else f"dimension {problem.dimension} is not 1"

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        goal = abs(float(problem.target[0]))
        if goal <= problem.epsilon:
            return Finding(self._mask(problem, np.zeros(0, dtype=np.int64)), -1, "the empty ticket is good enough")
        weights = problem.network.weights[:, 0] * np.sign(problem.target[0])
        values = problem.network.outputs * np.maximum(weights, 0.0)
        useful = np.flatnonzero(values)
        for count in range(1, min(useful.size, MAX_VALUES) + 1):
            neurons = useful[:count]
            if deadline.expired:
                return Finding(None, int(neurons[-1]), "the time limit was reached", count)
            chosen, error = best_subset(values[neurons], goal, within=problem.epsilon)
            # Products and sums are rounded: by a unit in the last place of what all add up to, each.
            slack = (count + 8) * 2.0**-52 * (float(np.abs(values[neurons]).sum()) + goal)
            if error <= problem.epsilon + slack:
                found = self._mask(problem, neurons[chosen])
                return Finding(found, int(neurons[-1]), f"the first of all widths, {neurons[-1] + 1}", count)
        if useful.size <= MAX_VALUES:
            return Finding(None, problem.width, "no subset of the values on the target's side meets it", useful.size)
        return self._any(problem, values, useful, int(useful[MAX_VALUES]), deadline)

    def _any(
        self,
        problem: Problem,
        values: NDArray[np.float64],
        useful: NDArray[np.int64],
        proven: int,
        deadline: Deadline,
    ) -> Finding:
        """Return some ticket beyond what can be decided, in a network not much wider than the least that holds it."""
        random, goal = np.random.default_rng(deadline.budget.seed), abs(float(problem.target[0]))
        tolerance = problem.epsilon * (1.0 - 1e-9)
        for count in range(MAX_VALUES + STEP, useful.size + STEP, STEP):
            if deadline.expired:
                break
            neurons = random.permutation(useful[:count])
            chosen, met = few_of_many(values[neurons], goal, tolerance, MOST_LISTED)
            if met:
                return Finding(self._mask(problem, neurons[chosen]), proven, "a subset of few values", count)
        return Finding(None, proven, f"more than {MAX_VALUES} values are not decided", useful.size)

    @staticmethod
    def _mask(problem: Problem, kept: NDArray[np.int64]) -> Mask:
        rows = np.zeros((problem.width, 1), dtype=np.bool_)
        rows[kept] = True
        return Mask.from_rows(rows)
