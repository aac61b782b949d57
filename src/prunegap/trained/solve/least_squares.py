"""The best weights on a given support: exact where one factor serves all rows or rows are few, else iterated.

Conjugate gradients on all rows at once are products of whole matrices, which is what processors are quickest at. The
first residual is taken in float64, what is added to the start in float32: errors of the sum are those of float64.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunegap.trained.solve.gram import Array, Quadratic

EXACT = 1e-10
TOLERANCE = 1e-5
"""Residual, relative to the right side, at which iterations end."""
SMALL = 1e6
"""out in^2 up to which every row is given a factor of its own: exact, and no slower."""
MOST_STEPS = 200
LEAST_FALL = 1e-4
"""A step that lowers the objective by less than this part of it is the last one."""


def on_support(problem: Quadratic, mask: NDArray[np.bool_], start: Array | None = None) -> Array:
    """Return the minimiser of the quadratic with zeros off `mask`, (out, in).

    Exact where no start is given, all rows share a support, or out in^2 is small. Else conjugate gradients from
    `start`, which end at an objective some 1e-3 above the least at most, and never above the start's.
    """
    outputs, inputs = problem.shape
    if start is None or outputs * inputs**2 <= SMALL or (mask == mask[:1]).all():
        return problem.repair(mask)
    start = np.where(mask, start, 0.0)
    moment, right = problem.second_moment, problem.target @ problem.second_moment
    objective = problem.objective(start)
    found = descend(moment, right, mask, start, TOLERANCE, LEAST_FALL * objective, np.float32)
    return found if problem.objective(found) <= objective else start


def conjugate_gradients(problem: Quadratic, mask: NDArray[np.bool_], start: Array, tolerance: float = EXACT) -> Array:
    """Return the minimiser on `mask` by conjugate gradients in float64, to the tolerance."""
    return descend(problem.second_moment, problem.target @ problem.second_moment, mask, start, tolerance)


def descend(
    moment: Array,
    right: Array,
    mask: NDArray[np.bool_],
    start: Array,
    tolerance: float,
    least_fall: float = 0.0,
    kind: type[np.floating] = np.float64,
) -> Array:
    """Return W near the minimiser of tr(W H W^T) - 2 tr(W right^T) with W = 0 off `mask`.

    Conjugate gradients, each row its own, preconditioned by diag(H). Ends when every row's residual is within the
    tolerance of its right side, or when a step lowers the objective by less than `least_fall`. `kind` is the
    precision of what is added to `start`.
    """

    def tensor(array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=kind))

    kept, scale, matrix = tensor(mask), tensor(np.diag(moment)), tensor(moment)
    enough = tensor(tolerance**2 * np.maximum((right * right * mask / np.diag(moment)).sum(axis=1), 1e-30))
    residual = tensor((right - start @ moment) * mask)
    added, conditioned = torch.zeros_like(residual), residual / scale
    direction, power = conditioned, (residual * conditioned).sum(1)
    for _ in range(MOST_STEPS):
        if bool((power <= enough).all()):
            break
        image = (direction @ matrix).mul_(kept)
        step = _quotient(power, (direction * image).sum(1))
        added.addcmul_(step[:, None], direction)
        if float(step @ power) < least_fall:
            break
        residual.addcmul_(step[:, None], image, value=-1)
        conditioned = residual / scale
        fresh = (residual * conditioned).sum(1)
        direction = torch.addcmul(conditioned, _quotient(fresh, power)[:, None], direction)
        power = fresh
    return np.asarray(start + added.numpy(), dtype=np.float64)


def exact_on_columns(moment: Array, right: Array, columns: NDArray[np.int64]) -> Array:
    """Return the exact minimiser with zeros outside the columns, the same for every row, (out, in)."""
    weights = np.zeros(right.shape)
    if columns.size:
        factor = scipy.linalg.cho_factor(moment[np.ix_(columns, columns)], lower=True, overwrite_a=True)
        weights[:, columns] = scipy.linalg.cho_solve(factor, right[:, columns].T).T
    return weights


def _quotient(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, and 0 where `below` is not positive."""
    return torch.where(below > 0.0, above / below, 0.0)
