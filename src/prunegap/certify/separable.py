"""The error where every kept row keeps one weight, at any d.

Then p(x) = sum_j P_j relu(x_j) + M_j relu(-x_j) and h = <w*, x> are *separable*: on each coordinate they depend on
the sign of x_j only. For such a function sup over ||x|| <= 1 of sum_j (a_j+ or a_j-) |x_j| has the closed form
sqrt(sum_j max(a_j+, a_j-, 0)^2). The error is made of few of them:

* f above g, either readout: sup of min(p, p - h);
* f below g, relu readout: sup of min(h, h - p); linear readout: sup of h - p and of -p.

A minimum of two, min(A, B), is at most lambda A + (1 - lambda) B for any lambda in [0, 1], which is separable again;
the best lambda is a convex problem in one variable. (lambda = 0 alone is the bound ||p - h|| of a relu being
1-Lipschitz.) The bound is reached unless at the best lambda some coordinate is torn between its two signs; then
that sign is branched on. With all signs fixed the problem is convex and there is no gap, so the branching ends.
"""

from __future__ import annotations

import heapq
import math
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prunegap.certify.claim import UNIT_ROUNDOFF, Claim, Scaled
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Certificate

METHOD = "separable"

BISECTIONS = 60
Signs = NDArray[np.bool_]
"""Which signs of each coordinate are allowed, shape (d, 2): positive, negative."""

MOST_NODES = 1000
WORK = 1 << 20
"""Coordinates visited in branching; with many inputs no single sign matters much, so the gap left is small."""


def is_separable(claim: Claim) -> bool:
    """Return whether every remaining row keeps exactly one weight."""
    return bool((np.count_nonzero(claim.weights, axis=1) == 1).all())


def certify_separable(claim: Claim) -> Certificate:
    """Return the error of a separable claim, in most cases enclosed to about 1e-12 of the scale of the network.

    Always a true enclosure; it is wider only where branching on signs was cut short (large d). Work grows like
    d + k for k kept rows. Needs `is_separable(claim)`.
    """
    scaled = claim.scaled()
    p, h = _slopes(scaled), np.stack((scaled.target, -scaled.target), axis=1)
    slack = 2.0 * (scaled.target.size + 64) * UNIT_ROUNDOFF * scaled.lipschitz
    bounds = [_sup_of_minimum(p, p - h, slack)]
    if scaled.readout is Readout.RELU:
        bounds.append(_sup_of_minimum(h, h - p, slack))
    else:
        bounds += [_sup(h - p), _sup(-p)]
    best = max(bounds, key=lambda bound: bound.lower)
    upper = max(bound.upper for bound in bounds)
    worst = best.where if best.where.any() else scaled.target
    return scaled.certificate(best.lower - slack, upper + slack, METHOD, worst)


def _slopes(scaled: Scaled) -> Matrix:
    """Return P_j and M_j, shape (d, 2): p's slope as x_j grows from 0 and as it falls; each sum rounded once."""
    columns = np.abs(scaled.weights).argmax(axis=1)
    entries = scaled.weights[np.arange(columns.size), columns]
    groups = 2 * columns + (entries < 0.0)
    contributions = scaled.outputs * np.abs(entries)
    order = np.argsort(groups, kind="stable")
    parts = np.split(contributions[order], np.searchsorted(groups[order], np.arange(1, 2 * scaled.target.size)))
    return np.array([math.fsum(part.tolist()) for part in parts]).reshape(-1, 2)


class Bound(NamedTuple):
    """A sup lies in [lower, upper] up to the slack; `where` reaches lower. `torn` is a sign worth fixing, or -1."""

    lower: float
    upper: float
    where: Vector
    torn: int = -1


def _peak(form: Matrix, allowed: Signs) -> tuple[float, Vector, NDArray[np.int64]]:
    """Return the sup of one separable form (d, 2) over the allowed signs, its place, and the sign taken (0 or 1)."""
    slopes = np.where(allowed, form, -np.inf)
    sides = slopes.argmax(axis=1)
    reach = np.maximum(slopes.max(axis=1), 0.0)
    return float(np.linalg.norm(reach)), np.where(sides == 0, reach, -reach), sides


def _sup(form: Matrix) -> Bound:
    """Return the sup of one separable form: the closed form."""
    value, where, _ = _peak(form, np.ones(form.shape, dtype=np.bool_))
    return Bound(value, value, where)


def _sup_of_minimum(one: Matrix, other: Matrix, slack: float) -> Bound:
    """Return the sup of the minimum of two separable forms, by branching on torn signs, best bound first."""
    dimension = one.shape[0]
    root = np.ones(one.shape, dtype=np.bool_)
    best = first = _relax(one, other, root)
    order = count()
    queue = [(-first.upper, next(order), first, root)]
    for _ in range(min(MOST_NODES, WORK // dimension)):
        bound, allowed = queue[0][2:]
        if bound.upper <= best.lower + slack or bound.torn < 0:
            break
        heapq.heappop(queue)
        for side in (0, 1):
            fewer = allowed.copy()
            fewer[bound.torn, 1 - side] = False
            child = _relax(one, other, fewer)
            best = max(best, child, key=lambda found: found.lower)
            heapq.heappush(queue, (-child.upper, next(order), child, fewer))
    return Bound(best.lower, max(best.lower, -queue[0][0]), best.where)


def _relax(one: Matrix, other: Matrix, allowed: Signs) -> Bound:
    """Return the bound min over lambda in [0, 1] of sup of lambda one + (1 - lambda) other, and what it reaches.

    At lambda the derivative has the sign of one - other at the place of the sup.
    """
    rows = np.arange(one.shape[0])
    lower, upper, best = 0.0, math.inf, np.zeros(one.shape[0])
    low, high = 0.0, 1.0
    for share in [0.0, 1.0] + [math.nan] * BISECTIONS:
        middle = (low + high) / 2 if math.isnan(share) else share
        value, where, sides = _peak(middle * one + (1.0 - middle) * other, allowed)
        upper = min(upper, value)
        if value == 0.0:
            return Bound(lower, upper, best)
        reach = np.abs(where) / value
        values = float(one[rows, sides] @ reach), float(other[rows, sides] @ reach)
        if min(values) > lower:
            lower, best = min(values), where
        rising = values[0] > values[1]
        if (share == 0.0 and rising) or (share == 1.0 and not rising):
            return Bound(lower, upper, best)
        if rising:
            high, right = middle, (where, sides)
        else:
            low, left = middle, (where, sides)
    differ = (left[1] != right[1]) & (left[0] != 0.0) & (right[0] != 0.0)
    torn = int(np.argmax(np.where(differ, np.abs(left[0]), -1.0))) if differ.any() else -1
    return Bound(lower, upper, best, torn)
