"""A search by brute force over every mask, for networks of a few rows: importable, so worker processes find it."""

from __future__ import annotations

from itertools import product
from typing import ClassVar

import numpy as np

from prunegap.certify import certify
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search

MOST_MASKS = 1 << 14


class BruteForce(Search):
    """Tries every mask on a ring of directions: one that passes is certified, a network without one excluded."""

    name: ClassVar[str] = "brute-force"

    def refusal(self, problem: Problem) -> str | None:
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        rows = np.vstack(
            [np.zeros((1, problem.dimension), bool), problem.granularity.row_supports(problem.dimension)]
        )
        if len(rows) ** problem.width > MOST_MASKS:
            return Finding(reason="too many masks")
        ring = directions(problem.dimension)
        goal = np.maximum(ring @ problem.target, 0.0)
        hidden = np.maximum(np.einsum("kd,sd,nd->nsk", ring, rows, problem.network.weights), 0.0)
        parts = hidden * problem.network.outputs[:, None, None]
        for choice in product(range(len(rows)), repeat=problem.width):
            values = sum((parts[i, s] for i, s in enumerate(choice)), np.zeros(len(ring)))
            if problem.readout is Readout.RELU:
                values = np.maximum(values, 0.0)
            if np.abs(values - goal).max() <= problem.epsilon:
                mask = Mask.from_rows(rows[list(choice)].reshape(problem.width, problem.dimension))
                if certify(problem, mask).proves(problem.epsilon):
                    return Finding(mask=mask, reason="found")
        return Finding(impossible_width=problem.width, reason="no mask passes")


def directions(dimension: int) -> Matrix:
    """Return unit directions, shape (k, dimension): both at d = 1, a ring of 512 at d = 2."""
    if dimension == 1:
        return np.array([[1.0], [-1.0]])
    angles = np.linspace(0.0, 2.0 * np.pi, 512, endpoint=False)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def choose(problem: Problem) -> Search:
    """Return the brute-force search for any problem."""
    return BruteForce()
