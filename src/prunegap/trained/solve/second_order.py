"""SparseGPT: one sweep over the columns; what a removed weight did is handed to the columns still to come.

The optimal-brain-surgeon update with a Hessian shared by all rows: column by column, the inverse of the remaining
second moment is a row of one Cholesky factor of H^-1, so the whole layer costs O(in^3 + out in^2).
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.base import WeightSolver
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.support import group_of, most_kept, top_mask, unit_length

BLOCK = 128
"""Columns whose mask is chosen at once, as published."""


@final
class SecondOrderSolver(WeightSolver):
    """SparseGPT with adaptive mask selection (Frantar and Alistarh 2023, arXiv:2301.00774).

    The mask is chosen block of columns by block, from the weights as updated so far, by the removal cost
    w^2 / (H^-1)_jj; each block keeps its share of the count. For n:m the block is the group.
    """

    name = "second_order"

    def _solve(self, problem: Quadratic, granularity: Granularity, count: int) -> tuple[Array, NDArray[np.bool_]]:
        weights = problem.target.copy()
        factor = problem.inverse_root
        outputs, inputs = problem.shape
        mask = np.zeros((outputs, inputs), dtype=np.bool_)
        step = _block(granularity)
        given = 0
        for start in range(0, inputs, step):
            stop = min(start + step, inputs)
            share = _share((outputs, inputs), granularity, count, stop)
            block = slice(start, stop)
            scores = weights[:, block] ** 2 / np.diag(factor)[block] ** 2
            mask[:, block] = top_mask(scores, granularity, share - given)
            given = share
            errors = _sweep(weights, mask, factor, start, stop)
            weights[:, stop:] -= errors @ factor[block, stop:]
        return weights, mask


def _block(granularity: Granularity) -> int:
    length, (kept, group) = unit_length(granularity), group_of(granularity)
    if group > kept:
        return group
    return max(BLOCK // length, 1) * length


def _share(shape: tuple[int, int], granularity: Granularity, count: int, stop: int) -> int:
    """Return how many units the columns before `stop` keep: the count in proportion to what they could keep."""
    room = most_kept((shape[0], stop), granularity)
    return min(room, math.floor(count * room / max(most_kept(shape, granularity), 1) + 0.5))


def _sweep(weights: Array, mask: NDArray[np.bool_], factor: Array, start: int, stop: int) -> Array:
    """Remove the masked weights of columns start..stop in place; return what the later columns must make up for."""
    errors = np.zeros((weights.shape[0], stop - start))
    for column in range(start, stop):
        error = np.where(mask[:, column], 0.0, weights[:, column]) / factor[column, column]
        weights[:, column:stop] -= np.outer(error, factor[column, column:stop])
        errors[:, column - start] = error
    return errors
