"""Brute force, written as plainly as possible and sharing no code with the package's searches and proofs.

Errors: `sup_error` samples the sphere (a lower bound in any dimension), `sup_error_plane` is exact up to roundoff at
d = 1 and 2. Optima: `all_masks`, `least_error` and `least_width` go through every mask of a tiny network. At d >= 3
they order the masks by a sampled lower bound and let the checker decide those that matter, so their answer is sound
if the checker is, which tests/certify compares with the errors above.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prunegap.certify import certify
from prunegap.model.granularity import Granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network, Readout, Vector
from prunegap.model.problem import Problem

ROUNDOFF = 1e-9
"""Far above the float error of everything here, far below any error worth distinguishing."""

MASKS_AT_ONCE = 4096


class LeastError(NamedTuple):
    """The least error over all masks lies in [lower, upper]; `mask` reaches upper."""

    lower: float
    upper: float
    mask: Mask


def errors_at(network: Network, target: Vector, mask: Mask, readout: Readout, inputs: Matrix) -> Vector:
    """Return |f_mask(x) - g(x)| at inputs of shape (c, d)."""
    return np.abs(mask.apply(network)(inputs, readout) - np.maximum(inputs @ target, 0.0))


def sphere(count: int, dimension: int, seed: int = 0) -> Matrix:
    """Return random unit vectors, shape (count, dimension)."""
    inputs = np.random.default_rng(seed).standard_normal((count, dimension))
    return inputs / np.linalg.norm(inputs, axis=1, keepdims=True)


def sup_error(
    network: Network, target: Vector, mask: Mask, readout: Readout, points: int = 20_000, seed: int = 0
) -> float:
    """Return a lower bound on the error: the best of many random inputs, each of the best 16 refined."""
    inputs = sphere(points, network.dimension, seed)
    errors = errors_at(network, target, mask, readout, inputs)
    best = np.argsort(errors)[-16:]
    inputs, errors, step = inputs[best], errors[best], 0.1
    generator = np.random.default_rng([seed, 1])
    for _ in range(60):
        moved = inputs[:, None, :] + step * generator.standard_normal((inputs.shape[0], 32, network.dimension))
        moved /= np.linalg.norm(moved, axis=2, keepdims=True)
        values = errors_at(network, target, mask, readout, moved.reshape(-1, network.dimension)).reshape(-1, 32)
        pick = values.argmax(axis=1)
        better = values.max(axis=1) > errors
        inputs[better] = moved[np.arange(inputs.shape[0]), pick][better]
        errors = np.maximum(errors, values.max(axis=1))
        step *= 0.75
    return float(errors.max())


def sup_error_plane(network: Network, target: Vector, mask: Mask, readout: Readout) -> float:
    """Return the error at d = 1 or 2, exact up to roundoff."""
    pruned = mask.apply(network)
    return float(
        _plane_errors(pruned.weights[:, None, :], pruned.outputs, target, readout, np.zeros((1, pruned.width)))[0]
    )


def all_choices(rows: int, supports: int) -> NDArray[np.int64]:
    """Return every way to give each row one of the supports or nothing (index `supports`), shape (count, rows)."""
    grids = np.indices((supports + 1,) * rows).reshape(rows, -1) if rows else np.zeros((0, 1))
    return grids.T.astype(np.int64)


def all_masks(network: Network, granularity: Granularity) -> Iterator[Mask]:
    """Yield every mask of the granularity: each row keeps one of its supports or nothing."""
    supports = granularity.row_supports(network.dimension)
    patterns = np.concatenate((supports, np.zeros((1, network.dimension), dtype=np.bool_)))
    for choice in all_choices(network.width, supports.shape[0]):
        yield Mask.from_rows(patterns[choice])


def least_error(problem: Problem) -> LeastError:
    """Return the least error over every mask of the problem's network and granularity."""
    network, supports = problem.network, problem.granularity.row_supports(problem.dimension)
    patterns = np.concatenate((supports, np.zeros((1, problem.dimension), dtype=np.bool_)))
    choices = all_choices(network.width, supports.shape[0])
    rows = network.weights[:, None, :] * patterns
    errors = np.empty(choices.shape[0])
    for start in range(0, choices.shape[0], MASKS_AT_ONCE):
        part = choices[start : start + MASKS_AT_ONCE]
        if problem.dimension <= 2:
            values = _plane_errors(rows, network.outputs, problem.target, problem.readout, part)
        else:
            values = _sampled_errors(rows, network.outputs, problem.target, problem.readout, part)
        errors[start : start + MASKS_AT_ONCE] = values
    order = np.argsort(errors)
    best = Mask.from_rows(patterns[choices[order[0]]])
    if problem.dimension <= 2:
        return LeastError(float(errors[order[0]]) - ROUNDOFF, float(errors[order[0]]) + ROUNDOFF, best)
    return _certified_least(problem, errors[order], (Mask.from_rows(patterns[choices[k]]) for k in order))


def least_width(problem: Problem) -> int | None:
    """Return the least prefix width that holds a ticket, or None; epsilon must not tie with a least error."""
    for width in range(problem.width + 1):
        least = least_error(problem.prefix(width))
        assert not least.lower <= problem.epsilon < least.upper, "epsilon ties with the least error"
        if least.upper <= problem.epsilon:
            return width
    return None


def _certified_least(problem: Problem, floors: Vector, masks: Iterator[Mask]) -> LeastError:
    """Return the least error, given masks in the order of their sampled lower bounds `floors`."""
    lower, upper, best = np.inf, np.inf, None
    for floor, mask in zip(floors, masks, strict=True):
        if floor - ROUNDOFF >= upper:
            break
        certificate = certify(problem, mask)
        lower = min(lower, certificate.error_lower)
        if certificate.error_upper < upper:
            upper, best = certificate.error_upper, mask
    assert best is not None
    return LeastError(lower, upper, best)


def _sampled_errors(
    rows: NDArray[np.float64], outputs: Vector, target: Vector, readout: Readout, choices: NDArray[np.int64]
) -> Vector:
    """Return, for masks `choices` (m, n) among the rows (n, s, d), the greatest error over 2000 inputs; (m,)."""
    inputs = sphere(2000, target.shape[0])
    values = np.zeros((choices.shape[0], inputs.shape[0]))
    for row, output, choice in zip(rows, outputs, choices.T, strict=True):
        values += (output * np.maximum(row @ inputs.T, 0.0))[choice]
    if readout is Readout.RELU:
        values = np.maximum(values, 0.0)
    return np.abs(values - np.maximum(inputs @ target, 0.0)).max(axis=1)


def _plane_errors(
    rows: NDArray[np.float64], outputs: Vector, target: Vector, readout: Readout, choices: NDArray[np.int64]
) -> Vector:
    """Return, for masks `choices` (m, n) among the rows (n, s, d), d <= 2, the exact error up to roundoff; (m,).

    Between neighbouring kinks of any row every p is linear, so |f - g| is greatest at a kink, where p = 0, in
    direction w*, or in the direction of +-(slope - w*) or of the slope itself, wherever those lie on their arc.
    """
    if target.shape[0] == 1:
        rows, target = np.concatenate((rows, 0.0 * rows), axis=2), np.array([target[0], 0.0])
    normals = np.concatenate((rows.reshape(-1, 2), target[None], np.eye(2)))
    normals = normals[normals.any(axis=1)]
    angles = np.arctan2(normals[:, 1], normals[:, 0])
    cuts = np.unique(np.concatenate((angles + np.pi / 2, angles - np.pi / 2)) % (2 * np.pi))
    ends = np.concatenate((cuts[1:], cuts[:1] + 2 * np.pi))
    middles = _on_circle((cuts + ends) / 2)
    slopes = np.zeros((choices.shape[0], cuts.size, 2))
    for row, output, choice in zip(rows, outputs, choices.T.astype(np.int64), strict=True):
        on = (row @ middles.T > 0.0)[:, :, None]
        slopes += (output * np.where(on, row[:, None, :], 0.0))[choice]
    goals = np.where((middles @ target > 0.0)[:, None], target, 0.0)
    worst = np.zeros(choices.shape[0])
    turned = np.stack((-slopes[..., 1], slopes[..., 0]), axis=2)
    excess = slopes - goals
    fixed = [np.broadcast_to(_on_circle(cuts), slopes.shape), np.broadcast_to(_on_circle(ends), slopes.shape)]
    moving = [excess, -excess, turned, -turned, np.broadcast_to(target, slopes.shape)]
    for candidate, inside in [(x, None) for x in fixed] + [(x, True) for x in moving]:
        values, lengths = (slopes * candidate).sum(axis=2), np.linalg.norm(candidate, axis=2)
        if readout is Readout.RELU:
            values = np.maximum(values, 0.0)
        errors = np.abs(values - (goals * candidate).sum(axis=2)) / np.where(lengths > 0.0, lengths, 1.0)
        if inside:
            turn = (np.arctan2(candidate[..., 1], candidate[..., 0]) - cuts) % (2 * np.pi)
            errors = np.where((turn <= ends - cuts) & (lengths > 0.0), errors, 0.0)
        worst = np.maximum(worst, errors.max(axis=1))
    return worst


def _on_circle(angles: Vector) -> Matrix:
    return np.stack((np.cos(angles), np.sin(angles)), axis=1)
