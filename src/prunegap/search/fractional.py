"""Neurons cut into fractions: where even those cannot imitate the target, no mask can, and a few numbers prove it.

At finitely many inputs the conditions are linear in the masks (F5). Allowing fractions leaves a linear program; its
dual is a weight y_k >= 0 for every condition. Weak duality needs nothing of the solver: for the conditions
a_k . m <= b_k and any y >= 0, every mask breaks one of them if

    sum over neurons of min(0, least over supports of sum_k y_k a_k) > sum_k y_k b_k.

That is what is checked here, rounded outward.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, hstack, vstack

from prunegap.model.network import Matrix, Network, Readout, Vector
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.ascent import spread_directions, unit, violated_inputs
from prunegap.search.base import Deadline, Search
from prunegap.search.program import Columns, first_inputs

MOST_ENTRIES = 4_000_000
"""Columns times inputs up to which a program takes seconds."""
NEW_INPUTS = 24
ROUNDS = 8
STARTS = 2048
ROUNDING = 2.0**-52


class Conditions:
    """What every ticket meets at some inputs, as coefficients @ m <= limits; shapes (k, c), (k,)."""

    def __init__(self, problem: Problem, columns: Columns, inputs: Matrix) -> None:
        values = np.maximum(inputs @ columns.weights.T, 0.0) * columns.outputs
        goal, band = inputs @ problem.target, problem.epsilon * np.linalg.norm(inputs, axis=1)
        # Dot products of length d over numbers of this size err by less.
        size = np.abs(inputs) @ np.abs(problem.target) + band
        error = (problem.dimension + 8) * ROUNDING
        firm = goal - band > 4.0 * error * size
        if problem.readout is Readout.LINEAR:
            firm, goal = np.ones_like(firm), np.maximum(goal, 0.0)
        self.coefficients = np.concatenate([values, -values[firm]])
        self.limits = np.concatenate([np.maximum(goal, 0.0) + band, (band - goal)[firm]])
        self.limit_errors = 4.0 * error * np.concatenate([size, size[firm]]) + 1e-300
        reach = (np.abs(inputs) @ np.abs(columns.weights).T) * np.abs(columns.outputs)
        self.coefficient_errors = 4.0 * error * np.concatenate([reach, reach[firm]]) + 1e-300

    def are_broken_by_all(self, columns: Columns, weights: Vector) -> bool:
        """Return whether the non-negative `weights` (k,) prove, rounded outward, that every mask breaks one."""
        combined = weights @ self.coefficients - weights @ self.coefficient_errors
        least = -columns.sum_of_greatest(np.maximum(-combined, 0.0)[None, :])[0]
        limit = float(weights @ self.limits)
        terms = np.abs(weights) @ (np.abs(self.coefficients).max(axis=1, initial=0.0) + np.abs(self.limits))
        summing = (self.limits.size + 2 * columns.neurons.size + 8) * ROUNDING * float(terms)
        slack = float(weights @ self.limit_errors) + (1.0 + problem_neurons(columns)) * summing
        return bool(least - limit > slack)


def problem_neurons(columns: Columns) -> int:
    """Return how many neurons have a column."""
    return int(np.unique(columns.neurons).size)


@final
class FractionalBound(Search):
    """Proves that there is no ticket where even fractions of neurons fail; finds none itself."""

    name: ClassVar[str] = "fractional"

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason where the supports are too many to list."""
        if problem.dimension > 12:
            return "its supports are too many to list"
        columns = len(problem.granularity.row_supports(problem.dimension)) * problem.width
        inputs = len(first_inputs(problem))
        return f"{columns} columns are too many" if columns * inputs > MOST_ENTRIES else None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        columns = Columns.of(problem)
        inputs = first_inputs(problem) if inputs is None or not len(unit(inputs)) else unit(inputs)
        starts = spread_directions(problem.dimension, STARTS, deadline.budget.seed)
        rounds = 0
        while rounds < ROUNDS and not deadline.expired and columns.neurons.size:
            rounds += 1
            conditions = Conditions(problem, columns, inputs)
            shares, weights = _least_violation(conditions, columns)
            if conditions.are_broken_by_all(columns, weights):
                reason = f"not even fractions of neurons meet the conditions at {len(inputs)} inputs"
                return Finding(None, problem.width, reason, rounds, inputs)
            used = shares > 1e-9
            cut = Network(columns.weights[used], columns.outputs[used] * shares[used])
            found = violated_inputs(problem, cut, starts, NEW_INPUTS)
            if not len(found) or columns.neurons.size * len(inputs) > MOST_ENTRIES:
                break
            inputs = np.concatenate([inputs, found])
        return Finding(None, -1, "fractions of neurons would do", rounds, inputs)


def _least_violation(conditions: Conditions, columns: Columns) -> tuple[Vector, Vector]:
    """Return fractions (c,) that break the worst condition least, and the dual weights (k,) that go with them."""
    count, width = columns.neurons.size, problem_neurons(columns)
    rank: NDArray[np.int64] = np.unique(columns.neurons, return_inverse=True)[1]
    once = coo_array((np.ones(count), (rank, np.arange(count))), shape=(width, count + 1))
    excess = csr_array(-np.ones((conditions.limits.size, 1)))
    rows = vstack([once, hstack([csr_array(conditions.coefficients), excess])], format="csr")
    limits = np.concatenate([np.ones(width), conditions.limits])
    prices = np.concatenate([np.zeros(count), np.ones(1)])
    solved = linprog(prices, A_ub=rows, b_ub=limits, bounds=(0.0, None), method="highs")
    if solved.x is None:
        return np.zeros(count), np.zeros(conditions.limits.size)
    return np.asarray(solved.x[:-1]), np.maximum(-solved.ineqlin.marginals[width:], 0.0)
