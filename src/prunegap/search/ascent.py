"""Where a candidate is worst: the local maxima of its error over directions, found by ascent from many starts.

On every linear piece the error is <a, x> for a gradient a, which is greatest on the sphere at a / ||a||; so walking
towards the gradient climbs, and the maxima that sit on kinks are met by starting from the kinks themselves. This
proves nothing: it feeds the 0-1 program with inputs, where any input is sound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.network import Matrix, Network, Readout, Vector
from prunegap.model.problem import Problem

STEPS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
SEPARATION = 0.02
"""Two local maxima closer than this (chord, radians for small angles) are taken for one."""


def spread_directions(dimension: int, count: int, seed: int) -> Matrix:
    """Return unit directions over the sphere, shape (k, dimension): both at d = 1, a fan at d = 2, random above."""
    if dimension == 1:
        return np.array([[1.0], [-1.0]])
    if dimension == 2:
        angles = 2.0 * np.pi * (np.arange(count) + 0.5) / count
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return unit(np.random.default_rng(seed).standard_normal((count, dimension)))


def unit(inputs: Matrix) -> Matrix:
    """Return the rows of `inputs` of norm above 0, scaled to norm 1."""
    norms = np.linalg.norm(inputs, axis=1)
    kept = norms > 1e-12
    return np.asarray(inputs[kept] / norms[kept, None])


def kink_directions(weights: Matrix) -> Matrix:
    """Return the vertices of the arrangement of the kinks <w_i, x> = 0 at d = 2 and 3, none elsewhere."""
    dimension = weights.shape[1]
    if dimension == 2:
        normals = np.stack([-weights[:, 1], weights[:, 0]], axis=1)
    elif dimension == 3 and weights.shape[0] > 1:
        first, second = np.triu_indices(weights.shape[0], 1)
        normals = np.cross(weights[first], weights[second])
    else:
        return np.zeros((0, dimension))
    normals = unit(normals)
    return np.concatenate([normals, -normals])


def _errors(pruned: Network, target: Vector, readout: Readout, inputs: Matrix) -> tuple[Vector, Matrix]:
    """Return |f - g| and its gradient at inputs of shape (k, d)."""
    hidden = inputs @ pruned.weights.T
    slopes = (hidden > 0.0) * pruned.outputs
    values = (slopes * hidden).sum(axis=1)
    gradients = slopes @ pruned.weights
    if readout is Readout.RELU:
        gradients *= (values > 0.0)[:, None]
        values = np.maximum(values, 0.0)
    goal = inputs @ target
    gradients -= (goal > 0.0)[:, None] * target
    values -= np.maximum(goal, 0.0)
    return np.abs(values), np.sign(values)[:, None] * gradients


def violated_inputs(problem: Problem, pruned: Network, starts: Matrix, most: int) -> Matrix:
    """Return up to `most` directions, worst first, at which the pruned network errs by more than epsilon.

    `pruned` is the network after its mask, `starts` has shape (k, d) with rows of norm 1. Directions returned are
    apart from each other; none means only that none was met.
    """
    alive = np.flatnonzero((pruned.outputs != 0.0) & pruned.weights.any(axis=1))
    pruned = Network(pruned.weights[alive], pruned.outputs[alive])
    kinks = kink_directions(np.concatenate([pruned.weights, problem.target[None, :]]))
    points = np.concatenate([starts, kinks])
    errors, gradients = _errors(pruned, problem.target, problem.readout, points)
    # Only promising starts are worth an ascent.
    chosen = np.argsort(-errors, kind="stable")[: 8 * most]
    points, errors, gradients = points[chosen], errors[chosen], gradients[chosen]
    for step in STEPS:
        moved = (1.0 - step) * points + step * gradients / (np.linalg.norm(gradients, axis=1)[:, None] + 1e-300)
        moved /= np.linalg.norm(moved, axis=1)[:, None] + 1e-300
        moved_errors, moved_gradients = _errors(pruned, problem.target, problem.readout, moved)
        better = moved_errors > errors
        points[better], errors[better], gradients[better] = (
            moved[better],
            moved_errors[better],
            moved_gradients[better],
        )
    return _apart(points[np.argsort(-errors, kind="stable")], np.sort(errors)[::-1] > problem.epsilon, most)


def _apart(points: Matrix, violated: NDArray[np.bool_], most: int) -> Matrix:
    kept: list[Vector] = []
    for point in points[violated]:
        if all(float(np.abs(point - other).max()) > SEPARATION for other in kept):
            kept.append(point)
            if len(kept) == most:
                break
    return np.array(kept).reshape(len(kept), points.shape[1])
