"""The bootstrap of a study with many seeds, by one Newton step instead of a fit for every resample.

With many seeds a resample moves the maximum little: theta_r - theta = H^-1 sum_i w_ri g_i, where g_i is the
gradient of cell i at the maximum and H minus the second derivatives of the whole (the sandwich estimate,
resampled). The offset is taken as a itself here, since its square has no slope at 0; where a step would make it
negative it stops at 0, and the others move as the quadratic has it there. A coordinate on a wall stays.
"""

from __future__ import annotations

import numpy as np

from prunegap.laws.family import Array, Shape
from prunegap.laws.likelihood import Data, curvature

LEAST_OFFSET = 1e-6


def resampled_linearly(shape: Shape, theta: Array, data: Data, weights: Array) -> Array | None:
    """Return the resampled maximisers, shape (r, k), for weights of shape (r, m); None at no true maximum."""
    place = shape.names.index("offset")
    low, high = shape.limits()
    free = np.flatnonzero((theta > low + 1e-9) & (theta < high - 1e-9))
    at = theta.copy()
    at[place] = max(float(theta[place]) ** 2, LEAST_OFFSET)
    bend = -_second_derivatives(shape, at, data)[np.ix_(free, free)]
    gradients = weights @ _cell_gradients(shape, at, data)[:, free]
    moved = np.repeat(at[None, :], weights.shape[0], axis=0)
    offset = int(np.flatnonzero(free == place)[0])
    others = np.delete(np.arange(free.size), offset)
    if np.linalg.eigvalsh(bend[np.ix_(others, others)]).min() <= 0.0:
        return None
    steps = np.linalg.lstsq(bend, gradients.T)[0].T
    stuck = at[place] + steps[:, offset] < 0.0
    if np.linalg.eigvalsh(bend).min() <= 0.0:
        if at[place] > LEAST_OFFSET:
            return None
        stuck[:] = True
    steps[stuck, offset] = -at[place]
    rest = gradients[stuck][:, others] + at[place] * bend[others, offset]
    steps[np.ix_(stuck, others)] = np.linalg.solve(bend[np.ix_(others, others)], rest.T).T
    moved[:, free] += steps
    moved[:, place] = np.sqrt(np.maximum(moved[:, place], 0.0))
    return np.asarray(np.clip(moved, low, high))


def _cell_gradients(shape: Shape, at: Array, data: Data) -> Array:
    """Return the gradient of every cell by (a, ...), shape (m, k), where `at` holds a in the place of its root."""
    place = shape.names.index("offset")
    theta = at.copy()
    theta[place] = np.sqrt(at[place])
    cells = Data(*(x[:, None] for x in (data.dimension, data.epsilon, data.log_lower, data.log_upper)))
    gradient = curvature(shape, theta, cells, np.ones((data.epsilon.size, 1))).gradient
    gradient[:, place] /= 2.0 * theta[place]
    return gradient


def _second_derivatives(shape: Shape, at: Array, data: Data) -> Array:
    """Return the symmetric matrix of second derivatives by (a, ...), from differences of gradients."""
    found = np.empty((at.size, at.size))
    for place, name in enumerate(shape.names):
        step = np.zeros(at.size)
        step[place] = 1e-4 * max(1.0, abs(float(at[place])))
        middle = at.copy()
        if name == "offset":
            middle[place] = max(at[place], 2.0 * step[place])
        up, down = (_cell_gradients(shape, middle + s, data).sum(axis=0) for s in (step, -step))
        found[place] = (up - down) / (2.0 * step[place])
    return 0.5 * (found + found.T)
