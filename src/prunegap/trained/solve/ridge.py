"""The ridge, chosen by rows that were held out: least squares on few rows repairs the rows and breaks the layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve.gram import Array, Moments
from prunegap.trained.solve.least_squares import on_support
from prunegap.trained.solve.second_order import SecondOrderSolver

RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
WITHOUT_HELD_OUT = 1e-1
"""The ridge where no row is held out (fewer than four samples)."""
ROWS_TRIED = 64
"""Outputs of the layer that the choice looks at; the ridge belongs to the inputs."""

TOLERANCE = 1e-4
"""Of conjugate gradients while ridges are compared: errors are then right to about 1e-8, and 1e-3 decides."""


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
    """Return the largest ridge whose held-out error is within a thousandth of the least: where rows cannot tell,
    nothing should move."""
    errors = {}
    for ridge in RIDGES:
        repaired = on_support(fit.quadratic(weights, bias, ridge), mask, start=weights, tolerance=TOLERANCE)
        errors[ridge] = held_out_error(fit, held, repaired, bias)
    enough = min(errors.values()) * 1.001 + 1e-10 * held.means(bias)[2]
    return max(ridge for ridge, error in errors.items() if error <= enough)


def held_out_error(fit: Moments, held: Moments, weights: Array, bias: bool) -> float:
    """Return the mean squared error on the held-out rows, with the bias that the rows to fit gave."""
    if not bias:
        return held.error(weights, False)
    shift = fit.best_bias(weights)
    centred = held.error(weights, True)
    return centred + float(((held.best_bias(weights) - shift) ** 2).sum())


def _outputs(moments: Moments, rows: NDArray[np.int64]) -> Moments:
    return Moments(moments.rows, moments.xx, moments.xy[:, rows], moments.yy[rows], moments.x, moments.y[rows])
