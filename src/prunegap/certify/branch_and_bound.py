"""An enclosure of the error at any d: linear bounds over simplicial cones, bisected where the bound is worst.

In the cone of u_1, ..., u_d every input is x = sum_j lambda_j u_j with lambda >= 0. By convexity
relu(<w, x>) <= sum_j lambda_j relu(<w, u_j>), and relu(t) >= alpha t for any alpha in [0, 1]: so p, -p, h and their
differences are each at most a linear form sum_j lambda_j U_j, whose sup over the cone and the unit ball is at most
max(U_j, 0) / dist(0, conv {u_j}). The error is made of few such terms:

* f above g, either readout: min(p, p - h), bounded by the smaller of the two bounds;
* f below g, relu readout: min(h, h - p); linear readout: relu(h) - p.

Errors at the corners of the cones and at the end of a few ascents are lower bounds. The cones start as the 2^d
orthants; where those are too many, one bound over the whole ball remains (`_global_bound`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from prunegap.certify.claim import UNIT_ROUNDOFF, Claim, Scaled
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Certificate

METHOD = "branch-and-bound"

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-6
WORK = 2e9
"""Multiplications before the enclosure is returned as it is: a few seconds."""
MOST_ORTHANTS = 1 << 12
BATCH = 1 << 20
"""Entries of the largest array of one step."""

DRIFT = 2.0**-40
"""Bisecting an edge rounds the new corner. Each corner is within 4 roundoffs a level of the true one, times at most
a small constant, as the angles shrink: within 2^-40 for any depth below 1000. A point of a true cone is that near
(over dist) a point of the computed one, so the error changes by at most the Lipschitz constant times that."""

STEPS = 40
CLIMB_WORK = 1e9
"""Steps of an ascent, and multiplications spent on ascents before any cone is cut."""

TINY = 2.0**-400
"""Shorter rows than this cannot be seen beside the slack."""

Cones = NDArray[np.float64]
"""Shape (c, d, d): corner vectors of norm about 1 in rows."""


@dataclass(frozen=True)
class Goal:
    """When to stop: at this width of the enclosure, once `threshold` is proven or refuted, or after `work`."""

    relative: float = RELATIVE_TOLERANCE
    absolute: float = ABSOLUTE_TOLERANCE
    threshold: float | None = None
    work: float = WORK

    def reached(self, lower: float, upper: float) -> bool:
        """Return whether the enclosure is good enough."""
        if self.threshold is not None and (upper <= self.threshold or lower > self.threshold):
            return True
        return upper - lower <= max(self.absolute, self.relative * upper)

    def scaled(self, exponent: int) -> Goal:
        """Return the goal in units of 2^exponent."""
        if abs(exponent) > 900:
            return replace(self, threshold=None)
        unit = 2.0**-exponent
        threshold = None if self.threshold is None else self.threshold * unit
        return replace(self, absolute=self.absolute * unit, threshold=threshold)


@dataclass(eq=False)
class Enclosure:
    """What is known so far: lower <= error <= upper, and the input that reaches lower."""

    scaled: Scaled
    lower: float
    upper: float
    worst: Vector

    def try_inputs(self, inputs: Matrix) -> None:
        """Raise the lower bound to the greatest error at `inputs`; climb from there if it is a new record."""
        errors = self.scaled.errors_at(inputs)
        best = int(np.argmax(errors))
        if errors[best] - self.scaled.slack > self.lower:
            climbed = climb(self.scaled, inputs[[best]])
            self.lower = float(self.scaled.errors_at(climbed)[0]) - self.scaled.slack
            self.worst = climbed[0]


def certify_branch_and_bound(claim: Claim, goal: Goal | None = None) -> Certificate:
    """Return a true enclosure of the error at any d, to the goal's tolerance if its work suffices.

    Tolerance: upper - lower <= max(1e-6, 1e-3 upper) by default; a threshold (epsilon) may stop it earlier.
    """
    scaled = claim.scaled()
    goal = (goal or Goal()).scaled(scaled.exponent)
    inputs = climb(scaled, _starts(scaled))
    known = Enclosure(scaled, 0.0, _global_bound(scaled), inputs[0])
    known.try_inputs(inputs)
    if 2**scaled.target.size <= MOST_ORTHANTS and not goal.reached(known.lower, known.upper):
        _branch(known, goal)
    return scaled.certificate(known.lower, known.upper, METHOD, known.worst)


def _branch(known: Enclosure, goal: Goal) -> None:
    """Improve the enclosure by refining cones, those with the greatest bounds first."""
    d, k = known.scaled.target.size, known.scaled.outputs.size + 1
    batch = max(16, BATCH // (d * k))
    signs = np.array(list(product((1.0, -1.0), repeat=d)))
    fresh, caps = signs[:, :, None] * np.eye(d), np.full(signs.shape[0], known.upper)
    cones, bounds, work = fresh[:0], caps[:0], 0.0
    while True:
        for start in range(0, fresh.shape[0], batch):
            part = slice(start, start + batch)
            caps[part] = np.minimum(caps[part], _cone_bounds(known.scaled, fresh[part]))
        known.try_inputs(_unit(fresh.mean(axis=1)))
        work += fresh.shape[0] * d * k * (d + 16.0)
        held, open_ = bounds > known.lower, caps > known.lower
        cones, bounds = np.concatenate((cones[held], fresh[open_])), np.concatenate((bounds[held], caps[open_]))
        known.upper = min(known.upper, max(known.lower, float(bounds.max(initial=0.0))))
        if goal.reached(known.lower, known.upper) or work > goal.work or not bounds.size:
            return
        chosen = np.zeros(bounds.size, dtype=np.bool_)
        chosen[np.argpartition(-bounds, min(batch, bounds.size) - 1)[:batch]] = True
        fresh, caps = _bisected(cones[chosen]), np.tile(bounds[chosen], 2)
        cones, bounds = cones[~chosen], bounds[~chosen]


def _cone_bounds(scaled: Scaled, cones: Cones) -> Vector:
    """Return an upper bound on |f - g| over each cone within the unit ball, shape (c,)."""
    count, d, _ = cones.shape
    hidden = (cones.reshape(-1, d) @ scaled.weights.T).reshape(count, d, scaled.outputs.size)
    active = np.maximum(hidden, 0.0)
    totals, lengths = active.sum(axis=1), np.abs(hidden).sum(axis=1)
    share = np.where(lengths > 0.0, totals / np.where(lengths > 0.0, lengths, 1.0), 0.0)
    plus, minus = np.maximum(scaled.outputs, 0.0), np.minimum(scaled.outputs, 0.0)
    tangent = hidden * share[:, None, :]
    above, below = active @ plus + tangent @ minus, tangent @ plus + active @ minus
    h = cones @ scaled.target
    centres = _unit(cones.mean(axis=1))
    distance = (cones @ centres[:, :, None])[:, :, 0].min(axis=1) - (d + 8) * 2 * UNIT_ROUNDOFF
    margin = scaled.slack + scaled.lipschitz * DRIFT

    def sup(corners: Matrix) -> Vector:
        return np.asarray(np.maximum(corners.max(axis=1) + margin, 0.0) / distance * (1.0 + 4 * UNIT_ROUNDOFF))

    excess = np.minimum(sup(above), sup(above - h))
    if scaled.readout is Readout.RELU:
        return np.maximum(excess, np.minimum(sup(h), sup(h - below)))
    return np.maximum(excess, sup(np.maximum(h, 0.0) - below))


def _bisected(cones: Cones) -> Cones:
    """Return both halves of each cone, cut in the middle of its longest edge; shape (2 c, d, d)."""
    rows = np.arange(cones.shape[0])
    cosines = cones @ cones.transpose(0, 2, 1)
    first, second = np.divmod(cosines.reshape(cones.shape[0], -1).argmin(axis=1), cones.shape[1])
    middle = _unit(cones[rows, first] + cones[rows, second])
    halves = np.stack((cones, cones))
    halves[0, rows, first] = middle
    halves[1, rows, second] = middle
    return np.asarray(halves.reshape(-1, *cones.shape[1:]))


def _unit(vectors: Matrix) -> Matrix:
    """Return the vectors at norm 1; what is too short to have a direction beside the others stays short."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), TINY))


def _starts(scaled: Scaled) -> Matrix:
    """Return inputs to climb from: along the target, along the heaviest rows, and at random; fewer in large nets."""
    d, k = scaled.target.size, scaled.outputs.size
    most = int(np.clip(CLIMB_WORK / (STEPS * d * (k + 1)), 16, 256))
    weights = np.abs(scaled.outputs) * np.linalg.norm(scaled.weights, axis=1)
    rows = scaled.weights[np.argsort(-weights, kind="stable")[: most // 4]]
    rows = np.concatenate((scaled.target[None] / max(TINY, float(np.abs(scaled.target).max())), rows))
    return _unit(np.concatenate((np.random.default_rng(0).standard_normal((most, d)), rows, -rows)))


def climb(scaled: Scaled, inputs: Matrix) -> Matrix:
    """Return inputs at least as bad as the given unit ones: steps along the slope of |f - g|, halved on failure."""
    values, steps = scaled.errors_at(inputs), np.full(inputs.shape[0], 0.5)
    for _ in range(STEPS):
        slopes = _slopes(scaled, inputs)
        lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
        moved = _unit(inputs + steps[:, None] * slopes / np.where(lengths > 0.0, lengths, 1.0))
        reached = scaled.errors_at(moved)
        better = reached > values
        inputs, values = np.where(better[:, None], moved, inputs), np.where(better, reached, values)
        steps = np.where(better, steps, steps / 2)
    return inputs


def _slopes(scaled: Scaled, inputs: Matrix) -> Matrix:
    hidden = inputs @ scaled.weights.T
    slopes = ((hidden > 0.0) * scaled.outputs) @ scaled.weights
    if scaled.readout is Readout.RELU:
        slopes *= ((slopes * inputs).sum(axis=1) > 0.0)[:, None]
    slopes -= np.where((inputs @ scaled.target > 0.0)[:, None], scaled.target, 0.0)
    return np.asarray(slopes * np.sign((slopes * inputs).sum(axis=1))[:, None])


def _global_bound(scaled: Scaled) -> float:
    """Return an upper bound over the whole ball.

    relu(t) = (t + |t|) / 2 and relu(t) >= t / 2, so p - h <= <A / 2 - w*, x> + S / 2 with A = sum_i v_i w_i and
    S = sum over v_i > 0 of v_i |<w_i, x>|; the rest alike.
    """
    half = scaled.outputs @ scaled.weights / 2.0
    target, positive = scaled.target, scaled.outputs > 0.0
    plus = _absolute_sum(scaled.outputs[positive, None] * scaled.weights[positive]) / 2.0
    minus = -scaled.outputs[~positive, None] * scaled.weights[~positive]

    def norm(vector: Vector) -> float:
        return float(np.linalg.norm(vector))

    excess = plus + min(norm(half), norm(half - target))
    if scaled.readout is Readout.RELU:
        lack = min(norm(target), norm(half - target) + _absolute_sum(minus) / 2.0)
    else:
        lack = norm(half - target / 2.0) + _absolute_sum(np.concatenate((minus, target[None]))) / 2.0
    return max(excess, lack) * (1.0 + 1e-9) + scaled.slack


def _absolute_sum(rows: Matrix) -> float:
    """Return an upper bound on sup over ||x|| <= 1 of sum_i |<a_i, x>|, for rows a_i, up to a relative 1e-9.

    The smaller of sum ||a_i|| and, by Cauchy and Schwarz, sqrt(sum ||a_i|| lambda_max(sum a_i a_i^T / ||a_i||)).
    """
    norms = np.linalg.norm(rows, axis=1)
    rows, norms = rows[norms > TINY], norms[norms > TINY]
    total = float(norms.sum())
    if not norms.size:
        return 0.0
    power, largest, root = (rows / norms[:, None]).T @ rows, 1.0, 1.0
    # lambda_max is at most the Frobenius norm of the 64th power, to the power 1/64.
    for _ in range(6):
        size = float(np.linalg.norm(power))
        largest *= size**root
        power, root = (power / size) @ (power / size), root / 2
    largest *= float(np.linalg.norm(power)) ** root
    return min(total, math.sqrt(total * largest))
