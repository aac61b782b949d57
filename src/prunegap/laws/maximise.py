"""Many weighted maximum-likelihood problems at once, by a damped Newton step each (Levenberg and Marquardt).

Every problem has the same data and shape but its own weights and start: starts of one fit, resampled seeds and seeds
left out are all rows of one array. A step is taken only where it raises the likelihood, so no problem ever gets
worse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.laws.family import Array, Shape
from prunegap.laws.likelihood import Data, curvature

Flags = NDArray[np.bool_]

MOST_STEPS = 150
ROUNDING = 1e-9
"""A gain below this part of the log-likelihood moves no parameter by a visible part of its error."""


def maximise(shape: Shape, starts: Array, data: Data, weights: Array, tolerance: float = 1e-8) -> tuple[Array, Array]:
    """Return the maximisers, shape (r, k), and the weighted log-likelihoods reached, shape (r,).

    `starts` has shape (r, k), `weights` (r, m). A problem ends when a step gains less than `tolerance` or 1e-9 of
    the log-likelihood, when no step gains, or after 150 steps.
    """
    low, high = shape.limits()
    theta = np.clip(starts, low, high)
    damping = np.full(theta.shape[0], 1e-2)
    now = curvature(shape, theta, data, weights)
    value, gradient, form = (weights * now.value).sum(axis=-1), now.gradient, now.form
    going = np.arange(theta.shape[0])
    for _ in range(MOST_STEPS):
        at = theta[going]
        held = ((at <= low) & (gradient[going] < 0.0)) | ((at >= high) & (gradient[going] > 0.0))
        trial = np.clip(at + _step(form[going], gradient[going], damping[going], held), low, high)
        then = curvature(shape, trial, data, weights[going])
        reached = (weights[going] * then.value).sum(axis=-1)
        gain = reached - value[going]
        better = gain > 0.0
        small = gain < np.maximum(tolerance, ROUNDING * np.abs(value[going]))
        ended = (better & small) | (~better & (damping[going] > 1e6)) | ~np.isfinite(reached)
        damping[going] = np.where(better, damping[going] * 0.2, damping[going] * 8.0)
        taken = going[better]
        theta[taken], value[taken] = trial[better], reached[better]
        gradient[taken], form[taken] = then.gradient[better], then.form[better]
        going = going[~ended]
        if not going.size:
            break
    return theta, value


def _step(form: Array, gradient: Array, damping: Array, held: Flags) -> Array:
    """Return the damped step of every problem, shape (r, k); a coordinate that is held to its wall does not move."""
    free = ~held
    diagonal = np.einsum("...ii->...i", form)
    ridge = damping[:, None] * (diagonal + 1e-2) + 1e-9 * diagonal.max(axis=-1, keepdims=True) + 1e-12 + held
    matrix = form * (free[:, :, None] & free[:, None, :]) + ridge[:, :, None] * np.eye(form.shape[-1])
    step = np.linalg.solve(matrix, (gradient * free)[..., None])[..., 0]
    # A coordinate that the data hardly bend would leap: no step is longer than 2.
    return np.asarray(step * np.minimum(1.0, 2.0 / np.maximum(np.abs(step).max(axis=-1, keepdims=True), 1e-300)))
