"""The swept matrix of one consumer: cost of every removal and gain of every return, kept exact by rank-k updates.

With kept columns K and the rest R, T holds -H_KK^-1, H_KK^-1 H_KR and the Schur complement of R; B holds the
least-squares weights on K and the residuals c_R - H_RK W_K on R. Removing unit S of K costs
tr(W_S^T (H_KK^-1)_SS^-1 W_S); taking S of R back gains tr(r_S^T (T_SS)^-1 r_S).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.trained.solve.gram import Array
from prunegap.trained.solve.units import UnitPart

Indices = NDArray[np.int64]


class Tableau:
    """Swept matrix of a part with the given units kept; `change` holds the cost or gain of flipping each unit."""

    def __init__(self, part: UnitPart, kept: NDArray[np.bool_]) -> None:
        self.weight = part.weight
        self.columns = part.columns
        moment = part.quadratic.second_moment
        inside = np.ones(moment.shape[0], dtype=np.bool_)
        inside[part.columns[~kept].ravel()] = False
        self.table = moment.copy()
        self.right = moment @ part.quadratic.target.T
        self._sweep_in(np.flatnonzero(inside))

    def _sweep_in(self, pivots: Indices) -> None:
        if not pivots.size:
            return
        inverse = np.linalg.inv(self.table[np.ix_(pivots, pivots)])
        self._update(pivots, (inverse + inverse.T) / 2, 1.0)

    def _update(self, pivots: Indices, inverse: Array, sign: float) -> None:
        across = self.table[:, pivots]
        ahead = inverse @ self.right[pivots]
        spread = across @ inverse
        self.right -= across @ ahead
        self.right[pivots] = sign * ahead
        self.table -= spread @ across.T
        self.table[:, pivots] = sign * spread
        self.table[pivots] = sign * spread.T
        self.table[np.ix_(pivots, pivots)] = -inverse

    def flip(self, unit: int, kept: bool) -> None:
        """Sweep one unit out (it is kept now) or in (it is not)."""
        pivots = self.columns[unit]
        inverse = np.linalg.inv(self.table[np.ix_(pivots, pivots)])
        self._update(pivots, (inverse + inverse.T) / 2, -1.0 if kept else 1.0)

    def changes(self, units: Indices) -> Array:
        """Return by how much the objective changes, in size, when each of the units is flipped, (len(units),)."""
        picked = self.columns[units]
        blocks = self.table[picked[:, :, None], picked[:, None, :]]
        return self.weight * np.abs(_quadratic_forms(blocks, self.right[picked]))

    def gains_without(self, unit: int, outside: Indices) -> Array:
        """Return the gain of taking back each unit of `outside` after the kept `unit` has been removed."""
        gone, picked = self.columns[unit], self.columns[outside]
        inverse = np.linalg.inv(self.table[np.ix_(gone, gone)])
        across = self.table[picked[:, :, None], gone[None, None, :]]
        spread = across @ inverse
        blocks = self.table[picked[:, :, None], picked[:, None, :]] - spread @ across.transpose(0, 2, 1)
        residual = self.right[picked] - spread @ self.right[gone]
        return self.weight * _quadratic_forms(blocks, residual)


def _quadratic_forms(blocks: Array, residual: Array) -> Array:
    """Return tr(r^T A^-1 r) for each block A (units, k, k) and right side r (units, k, out)."""
    if blocks.shape[1] == 1:
        return np.asarray(np.einsum("uko,uko->u", residual, residual) / blocks[:, 0, 0])
    return np.asarray(np.einsum("uko,uko->u", residual, np.linalg.solve(blocks, residual)))
