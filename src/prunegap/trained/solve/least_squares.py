"""The best weights on a given support: exact row by row where that is cheap, else conjugate gradients on all rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.trained.solve.gram import Array, Quadratic

EXACT = 1e-10
TOLERANCE = 1e-6
"""Residual, relative to the right side, at which the search for a support stops asking: the objective is then right
to about 1e-12."""
DIRECT = 80.0
"""Work of the rows' own factors, in units of out in^2, up to which they are made: conjugate gradients need some tens
of products of that size."""
MOST_STEPS = 200
LEAST_FALL = 1e-6
"""There, a step that lowers the objective by less than this part of it is the last one."""


def on_support(
    problem: Quadratic, mask: NDArray[np.bool_], start: Array | None = None, tolerance: float = TOLERANCE
) -> Array:
    """Return the minimiser of the quadratic with zeros off `mask`, (out, in).

    Exact (one Cholesky for all rows of the same support) where that costs less than some 40 products of (out, in) and
    (in, in); else conjugate gradients from `start`, which never end above the start's objective.
    """
    outputs, inputs = problem.shape
    if start is None or (mask == mask[:1]).all():
        return problem.repair(mask)
    direct = float((mask.sum(axis=1).astype(np.float64) ** 3).sum()) / 3.0
    if direct <= DIRECT * outputs * inputs**2:
        return problem.repair(mask)
    return conjugate_gradients(problem, mask, np.where(mask, start, 0.0), tolerance, LEAST_FALL)


def conjugate_gradients(
    problem: Quadratic, mask: NDArray[np.bool_], start: Array, tolerance: float = EXACT, least_fall: float = 0.0
) -> Array:
    """Return the minimiser on `mask` by conjugate gradients, every row its own, preconditioned by diag(H)."""
    moment = problem.second_moment
    scale = np.diag(moment)
    weights = start.copy()
    residual = np.where(mask, (problem.target - weights) @ moment, 0.0)
    conditioned = residual / scale
    direction = conditioned.copy()
    power = np.einsum("oi,oi->o", residual, conditioned)
    enough = tolerance**2 * np.maximum(np.einsum("oi,oi->o", problem.target @ moment, problem.target), 1e-300)
    objective = problem.objective(weights)
    for _ in range(MOST_STEPS):
        if (power <= enough).all():
            break
        image = np.where(mask, direction @ moment, 0.0)
        curvature = np.einsum("oi,oi->o", direction, image)
        step = np.divide(power, curvature, out=np.zeros_like(power), where=curvature > 0.0)
        weights += step[:, None] * direction
        fall = float(step @ power)
        objective -= fall
        if fall < least_fall * objective:
            break
        residual -= step[:, None] * image
        conditioned = residual / scale
        fresh = np.einsum("oi,oi->o", residual, conditioned)
        turn = np.divide(fresh, power, out=np.zeros_like(power), where=power > 0.0)
        direction = conditioned + turn[:, None] * direction
        power = fresh
    return weights
