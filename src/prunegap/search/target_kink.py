"""A linear readout has to bend where the target does: a proof from the rows whose kink is near the target's.

Let x be a unit vector with <w*, x> = 0, u = w* / ||w*|| and x_+- = x cos h +- u sin h. The target's second difference
g(x_+) + g(x_-) - 2 cos h g(x) is ||w*|| sin h, and with a linear readout a ticket's p is within epsilon of g at all
three. A kept row w with output v adds v max(0, |<w, u>| sin h - |<w, x>| cos h) to it. So no ticket exists at a width
at which, for some x and h,

    sum over neurons of max(0, v_i) max over supports of max(0, ...) < ||w*|| sin h - (2 + 2 cos h) epsilon.

Only rows whose kink passes within h = O(epsilon) of the target's count, so the bound grows as 1 / epsilon, at any
granularity: a row that has lost weights has its kink on fewer planes, never on more. This is F1, for one draw.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search
from prunegap.search.program import Columns

POINTS = 64
SINES = np.array([1.02, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.4, 2.9, 3.5, 4.5, 6.0, 9.0])
"""Arcs are tried at these multiples of 4 epsilon / ||w*||, the length at which the kink begins to tell."""
ROUNDING = 1e-12
MOST_ENTRIES = 4_000_000
"""Columns times points up to which one length of the arc takes well below a second."""


@final
class TargetKink(Search):
    """Proves that too few rows bend near the target's kink (linear readout, d >= 2); finds no ticket."""

    name: ClassVar[str] = "target-kink"

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless the readout is linear, d >= 2 and the supports can be listed."""
        if problem.readout is not Readout.LINEAR:
            return "a relu readout takes care of the target's kink"
        if problem.dimension < 2:
            return "one input has no direction along the target's kink"
        try:
            supports = len(problem.granularity.row_supports(problem.dimension))
        except BadInputError as error:
            return error.rule
        if supports * problem.width > MOST_ENTRIES // POINTS:
            return f"{supports * problem.width} columns are too many"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width = width_without_kinks(problem)
        return Finding(None, width, "too few rows bend near the target's kink", inputs=inputs)


def width_without_kinks(problem: Problem) -> int:
    """Return the greatest prefix that the bound excludes, or -1; rounded so that it is one."""
    norm = float(np.linalg.norm(problem.target))
    u = problem.target / norm
    columns = Columns.of(problem)
    if not columns.neurons.size:
        return problem.width if norm * (1.0 - ROUNDING) > problem.epsilon else -1
    points = _points(u)
    along, over = np.abs(columns.weights @ u), np.abs(points @ columns.weights.T)
    sizes = np.linalg.norm(columns.weights, axis=1)
    starts = np.flatnonzero(np.diff(columns.neurons, prepend=-1))
    neurons = columns.neurons[starts]
    least = -1
    for sine in 4.0 * problem.epsilon / norm * SINES:
        if sine >= 0.7:
            break
        cosine = float(np.sqrt(1.0 - sine * sine))
        bends = np.maximum(along * sine - over * cosine + ROUNDING * sizes, 0.0) * np.maximum(columns.outputs, 0.0)
        bends[over * cosine > along * sine + ROUNDING * sizes] = 0.0
        reached = np.cumsum(np.maximum.reduceat(bends, starts, axis=1), axis=1)
        wanted = (norm * sine - (2.0 + 2.0 * cosine) * problem.epsilon) * (
            1.0 - ROUNDING
        ) - ROUNDING * problem.epsilon
        enough = reached * (1.0 + ROUNDING) >= wanted
        first = np.where(enough.any(axis=1), neurons[enough.argmax(axis=1)], problem.width)
        least = max(least, int(first.max()) if wanted > 0.0 else -1)
    return least


def _points(u: NDArray[np.float64]) -> Matrix:
    """Return unit vectors orthogonal to the unit vector `u`, shape (k, d): one at d = 2, random ones above."""
    if u.size == 2:
        return np.array([[-u[1], u[0]]])
    points = np.random.default_rng(0).standard_normal((POINTS, u.size))
    points -= (points @ u)[:, None] * u
    return np.asarray(points / np.linalg.norm(points, axis=1)[:, None])
