"""Optimal brain surgeon for units: remove the cheapest, repair every consumer in closed form, repeat.

Removing unit S from the kept columns costs tr(W_S^T ((H^-1)_SS)^-1 W_S) and moves the other weights by
-H^-1_:S ((H^-1)_SS)^-1 W_S: the exact least squares on what is left, ridge included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from prunegap.trained.solve.gram import Array
from prunegap.trained.solve.units import UnitPart, UnitProblem

ONE_BY_ONE = 256
"""Up to this many units each removal is decided on the updated costs; beyond, 1/128 of the rest go at once."""

MOST_ALIVE = 0.75
"""Part of the columns that are kept, at or below which the others are cut out of the matrix."""


def surgeon_order(problem: UnitProblem, keep: int) -> tuple[NDArray[np.int64], Array]:
    """Return the units removed, first to last, until `keep` are left, and the objective's rise at each: (removed,).

    Exact greedy up to 256 units. Where several go at once, the rise of each is its own cost.
    """
    states = [_State(part) for part in problem.parts]
    alive = np.arange(problem.units)
    order: list[int] = []
    rises: list[float] = []
    while alive.size > keep:
        costs = np.sum([state.costs() for state in states], axis=0)
        batch = min(1 if alive.size <= ONE_BY_ONE else -(-alive.size // 128), alive.size - keep)
        worst = np.argsort(costs, kind="stable")[:batch]
        order += alive[worst].tolist()
        rises += costs[worst].tolist()
        for state in states:
            state.remove(worst)
        alive = np.delete(alive, worst)
    return np.array(order, dtype=np.int64), np.array(rises)


class _State:
    """H^-1 and the weights over the columns still kept.

    Removed columns stay as they are, never looked at again, and are cut out once they are a quarter of all: cutting
    copies the matrix, which costs as much as removing.
    """

    def __init__(self, part: UnitPart) -> None:
        self.weight = part.weight
        # Symmetric, so the transpose is the same matrix in the order of memory that BLAS changes in place.
        self.inverse = part.quadratic.inverse().T
        self.weights = part.quadratic.target.T.copy()
        self.columns = part.columns.copy()
        self.alive = np.ones(self.inverse.shape[0], dtype=np.bool_)

    def costs(self) -> Array:
        picked = self.columns
        blocks = self.inverse[picked[:, :, None], picked[:, None, :]]
        rows = self.weights[picked]
        if picked.shape[1] == 1:
            return np.asarray(self.weight * np.einsum("uko,uko->u", rows, rows) / blocks[:, 0, 0])
        return np.asarray(self.weight * np.einsum("uko,uko->u", rows, np.linalg.solve(blocks, rows)))

    def remove(self, units: NDArray[np.int64]) -> None:
        gone = self.columns[units].ravel()
        across = self.inverse[:, gone]
        spread = np.linalg.solve(across[gone], across.T)
        self.weights -= spread.T @ self.weights[gone]
        self.inverse = blas.dgemm(-1.0, across, spread, 1.0, self.inverse, overwrite_c=1)
        self.columns = np.delete(self.columns, units, axis=0)
        self.alive[gone] = False
        if self.alive.sum() <= MOST_ALIVE * self.alive.size:
            self._cut()

    def _cut(self) -> None:
        stay = np.flatnonzero(self.alive)
        self.inverse = np.ascontiguousarray(self.inverse.T[np.ix_(stay, stay)]).T
        self.weights, self.columns = self.weights[stay], (np.cumsum(self.alive) - 1)[self.columns]
        self.alive = self.alive[stay]
