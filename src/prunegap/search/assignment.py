"""Who serves which sum: the state that the separable search works on, and three ways to begin.

A neuron that keeps its weight j adds v_i |W_ij| to the sum of (j, sign of W_ij), whose goal is w*_j on the + side and
-w*_j on the - side. Where mass is scarce, a linear program shares it out, neurons cut into fractions; where it is
plentiful, single neurons are matched to sums. What is left open is met one sum after the other by few neurons, and
mended by meeting several sums at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from prunegap.kernels.few import nearest_few
from prunegap.kernels.joint import error_of, mend
from prunegap.model.mask import Mask
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline
from prunegap.search.matching import PAIR, match_singles

MARGIN = 1e-9
"""Share of epsilon left to the rounding of the certificate."""
ROUNDING = 3.0 * 2.0**-53
"""The slack of `certify.separable`, with half as much again, in shares of (d + 64) times what is kept."""
WORK = 10_000_000
"""Work of mending between two looks at the clock, some 20 ms."""
PRICES = (0.5, 4.0)
"""Range of the price of a neuron while mending; no single one is best everywhere."""

Integers = NDArray[np.int64]


class Assignment:
    """The 2d sums of a problem and who serves them, in the order (0, +), ..., (d - 1, +), (0, -), ..., (d - 1, -)."""

    def __init__(self, problem: Problem, seed: int) -> None:
        pieces = (problem.network.outputs[:, None] * problem.network.weights).T
        positive = problem.network.weights.T > 0.0
        self.contributions = np.concatenate([np.where(positive, pieces, 0.0), np.where(positive, 0.0, -pieces)])
        self.goals = np.concatenate([problem.target, -problem.target])
        self.dimension = problem.dimension
        # What the certificate adds for rounding, about: d times the sum of what is kept tells at epsilon near 1e-9.
        kept = float(np.abs(self.contributions).sum()) / max(1, self.dimension) + 1.0
        rounding = ROUNDING * (self.dimension + 64) * kept
        self.epsilon = max(0.5 * problem.epsilon, problem.epsilon * (1.0 - MARGIN) - rounding)
        self.random = np.random.default_rng(seed)
        self.owner = np.full(problem.width, -1, dtype=np.int64)
        self.residuals = -self.goals

    @property
    def error(self) -> float:
        """The closed form of the error."""
        return float(error_of(self.residuals))

    def mask(self) -> Mask:
        """Return the mask of the present assignment."""
        rows = np.zeros((self.owner.size, self.dimension), dtype=np.bool_)
        kept = np.flatnonzero(self.owner >= 0)
        rows[kept, self.owner[kept] % self.dimension] = True
        return Mask.from_rows(rows)

    def _give(self, place: int, neurons: Integers) -> None:
        self.owner[neurons] = place
        self.residuals[place] += self.contributions[place, neurons].sum()

    def clear(self) -> None:
        """Take all neurons away from their sums."""
        self.owner[:] = -1
        self.residuals[:] = -self.goals

    def share_out(self) -> bool:
        """Give neurons to sums as the linear program does that cuts them into fractions; tell if it could.

        Fewest neurons, with random prices. A neuron that comes out cut is left free. Where the program has no
        solution, no assignment meets every sum within epsilon.
        """
        self.clear()
        place, neuron = np.nonzero(self.contributions)
        if not place.size:
            return bool(np.abs(self.goals).max() <= self.epsilon)
        values, (sums, width) = self.contributions[place, neuron], self.contributions.shape
        columns = np.arange(values.size)
        once = csr_array((np.ones(values.size), (neuron, columns)), shape=(width, values.size))
        reach = csr_array((values, (place, columns)), shape=(sums, values.size))
        room = vstack([once, reach, -reach], format="csr")
        limits = np.concatenate([np.ones(width), self.goals + self.epsilon, self.epsilon - self.goals])
        prices = np.asarray(self.random.uniform(0.5, 1.5, width))[neuron]
        solved = linprog(prices, A_ub=room, b_ub=limits, bounds=(0.0, 1.0), method="highs-ds")
        if solved.x is None:
            return False
        whole = solved.x > 1.0 - 1e-6
        for s, i in zip(place[whole].tolist(), neuron[whole].tolist(), strict=True):
            self._give(s, np.array([i]))
        return True

    def match(self) -> Integers:
        """Give one neuron to each sum for which one will do; return the sums that need more, the hardest first."""
        self.clear()
        budget = float(self.random.uniform(1.2, 1.7)) * self.epsilon**2
        found = match_singles(self.contributions, self.goals, budget)
        for s in np.flatnonzero(found >= 0).tolist():
            self._give(s, found[[s]])
        waiting = np.flatnonzero(found == PAIR)
        noise = np.exp(0.2 * self.random.standard_normal(waiting.size))
        return np.asarray(waiting[np.argsort(-np.abs(self.goals[waiting]) * noise, kind="stable")])

    def meet(self, place: int, tolerance: float) -> None:
        """Meet one sum, its own neurons taken away, by few of the free ones."""
        self.owner[self.owner == place] = -1
        self.residuals[place] = -self.goals[place]
        values = self.contributions[place]
        free = np.flatnonzero((self.owner < 0) & (values != 0.0))
        self._give(place, free[nearest_few(values[free], float(self.goals[place]), tolerance)])

    def meet_all(self, places: Integers, deadline: Deadline) -> None:
        """Meet sums one after the other, each within its share of what the others have left of the error."""
        for k, place in enumerate(places.tolist()):
            if deadline.expired:
                return
            waiting = places[k:]
            settled = float(np.square(self.residuals).sum() - np.square(self.residuals[waiting]).sum())
            left = max(1.8 * self.epsilon**2 - settled, 0.02 * self.epsilon**2)
            self.meet(place, float(np.sqrt(0.5 * left / waiting.size)))

    def mend(self, rounds: int, deadline: Deadline) -> bool:
        """Meet several sums at once, for so many rounds of WORK; tell whether the error is within epsilon."""
        price = float(np.exp(self.random.uniform(*np.log(PRICES))))
        for _ in range(rounds):
            error = mend(
                self.contributions, self.goals, self.owner, self.residuals, self.epsilon, WORK, price, self.random
            )
            if error <= self.epsilon or deadline.expired:
                break
        return self.error <= self.epsilon
