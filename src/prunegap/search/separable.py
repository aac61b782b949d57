"""Weight pruning in any dimension: one weight a row at most, so that a ticket is 2d subset sums that share neurons.

With a relu readout the pre-activation need only be close to the linear function <w*, x>, and w x_j = relu(w x_j) -
relu(-w x_j) builds it coordinate by coordinate: a neuron that keeps its weight j adds v_i |W_ij| to the sum of
(j, sign of W_ij), whose goal is w*_j on the + side and -w*_j on the - side. Every neuron chooses its sum freely. The
sums are met one after the other, those with little material first, each with the fewest neurons that do; what is
left over goes to the next. Sums that came out badly are met again with the free neurons; then all is begun anew in
another random order.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from prunegap.kernels.subset_sum import best_subset
from prunegap.model.granularity import NOfM, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search
from prunegap.search.few import few_values

MARGIN = 1e-9
"""Share of epsilon left to the rounding of the certificate."""
PATIENCE = 40
HOPELESS = 4.0
"""After PATIENCE attempts without an error below HOPELESS epsilon the search gives up."""
REPAIRS = 12
POOL = 22
"""Most neurons that one meeting in the middle chooses from."""


def material_bound(problem: Problem) -> float:
    """Return a lower bound of the error of every weight ticket under a relu readout, from the mass there is.

    Let s_j be the sign of w*_j and M_j the sum of v_i |W_ij| over v_i > 0 with W_ij of sign s_j. Where x_j s_j >= 0,
    a row of any support gives at most v_i sum_j relu(W_ij x_j), so p(x) <= sum_j M_j |x_j| for every ticket. With
    u = max(|w*| - M, 0), the direction x_j = s_j u_j has f(x) <= g(x) - ||u|| ||x||: the error is at least ||u||.
    Rounded downward. It holds at every granularity, since every ticket is a weight ticket.
    """
    rounding = (problem.width + problem.dimension + 8) * 2.0**-52
    mass = np.maximum(problem.network.weights * np.sign(problem.target), 0.0)
    greatest = (np.maximum(problem.network.outputs, 0.0)[:, None] * mass).sum(axis=0)
    lacking = np.maximum(np.abs(problem.target) - (1.0 + rounding) * greatest - 1e-300, 0.0)
    return float(np.linalg.norm(lacking)) * (1.0 - rounding)


@final
class SeparableSearch(Search):
    """Finds tickets that keep at most one weight a row, in any dimension; it proves only a lack of material."""

    name: ClassVar[str] = "separable"

    def __init__(self, attempts: int = 400) -> None:
        self.attempts = attempts

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless single weights may be kept and the readout is relu."""
        if not isinstance(problem.granularity, Weight | NOfM):
            return f"granularity {problem.granularity} may not keep single weights"
        if problem.readout is not Readout.RELU:
            return "a linear readout needs more than single weights (it keeps the kink of the target)"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width = _width_without_material(problem)
        if width >= problem.width:
            return Finding(impossible_width=width, reason="the weights of the right sign are too small in sum")
        sums = _Sums(problem, np.random.default_rng(deadline.budget.seed))
        attempt, best = 0, np.inf
        while attempt < self.attempts and not deadline.expired:
            attempt += 1
            best = min(best, sums.attempt(deadline))
            if attempt == PATIENCE and best > HOPELESS * problem.epsilon:
                break
            if best <= sums.epsilon:
                reason = f"one weight a row, attempt {attempt}"
                return Finding(sums.mask(), width, reason, attempt)
        return Finding(None, width, f"no ticket of single weights in {attempt} attempts", attempt)


def _width_without_material(problem: Problem) -> int:
    """Return the greatest prefix that the material bound excludes, or -1."""
    if material_bound(problem.prefix(0)) <= problem.epsilon:
        return -1
    low, high = 0, problem.width + 1
    while high - low > 1:
        middle = (low + high) // 2
        if material_bound(problem.prefix(middle)) > problem.epsilon:
            low = middle
        else:
            high = middle
    return low


class _Sums:
    """The 2d sums of a problem and who serves them, in the order (0, +), ..., (d - 1, +), (0, -), ..., (d - 1, -)."""

    def __init__(self, problem: Problem, random: np.random.Generator) -> None:
        weights, outputs = problem.network.weights, problem.network.outputs[:, None]
        self.shape = weights.shape
        self.dimension = problem.dimension
        self.contributions = np.concatenate(
            [outputs * np.maximum(weights, 0.0), outputs * np.maximum(-weights, 0.0)], 1
        ).T
        self.goals = np.concatenate([problem.target, -problem.target])
        self.epsilon = problem.epsilon * (1.0 - MARGIN)
        self.random = random
        self.owner = np.full(problem.width, -1, dtype=np.int64)
        right_sign = self.contributions * np.sign(self.goals)[:, None] > 0.0
        mass = np.where(right_sign, np.abs(self.contributions), 0.0).sum(axis=1)
        self.strain = np.abs(self.goals) / (mass + 1e-12)

    def residuals(self) -> Vector:
        """Return what the sums reach beyond their goals, shape (2d,)."""
        owned = self.owner[None, :] == np.arange(self.goals.size)[:, None]
        return np.asarray((self.contributions * owned).sum(axis=1) - self.goals)

    def error(self, residuals: Vector) -> tuple[float, Vector]:
        """Return the closed form of the error and the share of each sum in it."""
        both = residuals.reshape(2, self.dimension)
        over, under = np.maximum(both.max(axis=0), 0.0), np.maximum((-both).max(axis=0), 0.0)
        total_over, total_under = float((over**2).sum()), float((under**2).sum())
        signed = residuals if total_over >= total_under else -residuals
        return float(np.sqrt(max(total_over, total_under))), np.maximum(signed, 0.0)

    def mask(self) -> Mask:
        """Return the mask of the present assignment."""
        rows = np.zeros(self.shape, dtype=np.bool_)
        kept = np.flatnonzero(self.owner >= 0)
        rows[kept, self.owner[kept] % self.dimension] = True
        return Mask.from_rows(rows)

    def attempt(self, deadline: Deadline) -> float:
        """Assign the neurons afresh in a random order; return the closed form of the error."""
        self.owner[:] = -1
        noise = np.exp(0.5 * self.random.standard_normal(self.goals.size))
        spent = np.zeros(self.dimension)
        open_coordinates = np.ones(self.dimension, dtype=np.bool_)
        for place in np.argsort(-self.strain * noise, kind="stable"):
            if deadline.expired:
                return float(np.inf)
            coordinate = int(place) % self.dimension
            open_coordinates[coordinate] = False
            others = float((spent**2).sum() - spent[coordinate] ** 2)
            share = max(self.epsilon**2 - others, 0.0) / (1 + int(open_coordinates.sum()))
            residual = self._meet(int(place), float(np.sqrt(share)))
            spent[coordinate] = max(spent[coordinate], abs(residual))
        return self._repair(deadline)

    def _meet(self, place: int, tolerance: float) -> float:
        """Give the sum at `place` free neurons, few if few come within the tolerance; return its residual."""
        values = self.contributions[place]
        free = np.flatnonzero((self.owner < 0) & (values != 0.0))
        goal = float(self.goals[place])
        chosen = few_values(values[free], goal, tolerance, self.random)
        if chosen is None:
            if free.size > POOL:
                free = self.random.choice(free, POOL, replace=False)
            kept, _ = best_subset(values[free], goal)
            chosen = np.flatnonzero(kept)
        self.owner[free[chosen]] = place
        return float(values[free[chosen]].sum() - goal)

    def _repair(self, deadline: Deadline) -> float:
        """Meet the worst sums again with the neurons that are free, as long as the error falls; return it."""
        error, shares = self.error(self.residuals())
        for _ in range(REPAIRS):
            if error <= self.epsilon or deadline.expired:
                break
            for place in np.argsort(-shares, kind="stable")[:3]:
                before = self.owner.copy()
                self.owner[self.owner == place] = -1
                self._meet(int(place), 0.0)
                after, new_shares = self.error(self.residuals())
                if after < error:
                    error, shares = after, new_shares
                    break
                self.owner[:] = before
            else:
                break
        return error
