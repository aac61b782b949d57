"""The ridge, chosen by rows that were held out: least squares on few rows repairs the rows and breaks the layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.gram import Array, Moments
from prunegap.trained.solve.least_squares import descend, exact_on_columns
from prunegap.trained.solve.second_order import SecondOrderSolver

RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
WITHOUT_HELD_OUT = 1e-1
"""The ridge where no row is held out (fewer than four samples)."""
ROWS_TRIED = 64
"""Outputs of the layer that the choice looks at; the ridge belongs to the inputs."""
TOLERANCE = 1e-4
"""Of conjugate gradients while ridges are compared: errors are then right to about 1e-8, and LEAST_FALL decides."""
LEAST_FALL = 1e-3
"""A smaller ridge must lower the held-out error by this part of it."""


def ridge_for_weights(
    fit: Moments, held: Moments, weights: Array, bias: bool, granularity: Granularity, keep_fraction: float | None
) -> float:
    """Return the ridge with the least held-out error of the repaired SparseGPT mask, over at most 64 outputs."""
    if held.rows == 0:
        return WITHOUT_HELD_OUT
    rows = np.linspace(0, weights.shape[0] - 1, min(ROWS_TRIED, weights.shape[0])).astype(np.int64)
    fit, held, weights = _outputs(fit, rows), _outputs(held, rows), weights[rows]
    mask = np.ones(weights.shape, dtype=np.bool_)
    if keep_fraction is not None and keep_fraction < 1.0:
        mask = SecondOrderSolver().solve(fit.quadratic(weights, bias), granularity, keep_fraction).mask
    return _best(fit, held, weights, bias, mask)


def ridge_for_units(fit: Moments, held: Moments, weights: Array, bias: bool, mask: NDArray[np.bool_]) -> float:
    """Return the ridge with the least held-out error of the repair on the kept columns `mask` (in,)."""
    if held.rows == 0:
        return WITHOUT_HELD_OUT
    return _best(fit, held, weights, bias, np.broadcast_to(mask, weights.shape))


def _best(fit: Moments, held: Moments, weights: Array, bias: bool, mask: NDArray[np.bool_]) -> float:
    """Return the ridge from which no smaller one lowers the held-out error by a thousandth: where rows cannot tell,
    nothing should move. Each ridge starts from the weights of the one before."""
    xx, xy, _ = fit.means(bias)
    size = float(np.trace(xx)) / xx.shape[0] or 1.0
    moment, diagonal = (xx + xx.T) / 2, np.diag(xx)
    columns = np.flatnonzero(mask[0]) if (mask == mask[:1]).all() else None
    best, least, now = RIDGES[-1], np.inf, np.where(mask, weights, 0.0)
    for ridge in reversed(RIDGES):
        np.fill_diagonal(moment, diagonal + ridge * size)
        right = xy.T + ridge * size * weights
        if columns is None:
            now = descend(moment, right, mask, now, TOLERANCE, kind=np.float32)
        else:
            now = exact_on_columns(moment, right, columns)
        error = held_out_error(fit, held, now, bias)
        if error > (1.0 - LEAST_FALL) * least - 1e-10 * held.energy(bias):
            break
        best, least = ridge, error
    return best


def held_out_error(fit: Moments, held: Moments, weights: Array, bias: bool) -> float:
    """Return the mean squared error on the held-out rows, with the bias that the rows to fit gave."""
    if not bias:
        return held.error(weights, False)
    shift = fit.best_bias(weights)
    centred = held.error(weights, True)
    return centred + float(((held.best_bias(weights) - shift) ** 2).sum())


def _outputs(moments: Moments, rows: NDArray[np.int64]) -> Moments:
    return Moments(moments.rows, moments.xx, moments.xy[:, rows], moments.yy[rows], moments.x, moments.y[rows])
