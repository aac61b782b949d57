"""The error where the kept rows fall apart into planes, at any d: each row reads one or two inputs of its own group.

Let the inputs be cut into groups of one or two such that every row reads within one group. Then p - <w*, x> is a sum
over groups of r_b(x_b), each positively homogeneous, and its sup over the unit ball is sqrt(sum_b max(0, m_b)^2) for
m_b = sup of r_b on its circle (spread the norm over the groups in proportion to m_b). Every m_b^2 is a rational
number that the sweep around the circle gives exactly, so the sup is exact too. Three such sups bound the error:

* f above g, either readout: min(p, p - h) <= p - h, with h = <w*, x>;
* f below g, relu readout: min(h, h - p) <= h - p; linear readout: the larger of h - p and -p.

The bound is reached where h and p are positive at the place of the sup; that place is evaluated for the lower end.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from prunegap.certify.claim import Claim, Exact
from prunegap.certify.exact_plane import Peak, arcs, peak_on, planar
from prunegap.certify.rounding import root_enclosure
from prunegap.model.network import Readout, Vector
from prunegap.model.outcome import Certificate

METHOD = "planes"

Group = list[int]


def groups_of(claim: Claim) -> list[Group]:
    """Return the finest groups of inputs such that every row reads within one."""
    reads = csr_array(claim.weights != 0.0, dtype=np.int64)
    number, label = connected_components(reads.T @ reads, directed=False)
    return [np.flatnonzero(label == k).tolist() for k in range(number)]


def falls_into_planes(claim: Claim) -> bool:
    """Return whether no group has more than two inputs."""
    return all(len(group) <= 2 for group in groups_of(claim))


def certify_planes(claim: Claim) -> Certificate:
    """Return an enclosure of the error of a claim that falls into planes.

    The upper end is max sup (p - h), sup (h - p) (and sup -p with a linear readout), rounded once; it is the error
    where the place of the greatest one has h > 0 and p > 0, and may be above it elsewhere. The lower end is what that
    place gives. Work grows like k log k for k rows. Needs `falls_into_planes(claim)`.
    """
    exact, groups = claim.exact(), groups_of(claim)
    forms = [(1, -1), (-1, 1)] + ([(-1, 0)] if claim.readout is Readout.LINEAR else [])
    sups = [_sup(exact, groups, *form) for form in forms]
    square, _ = best = max(sups, key=lambda found: found[0])
    upper = root_enclosure(square.numerator, square.denominator * exact.unit**2)[1]
    scaled = claim.scaled()
    inputs = np.array([where for _, where in sups])
    errors = scaled.errors_at(inputs)
    worst = int(errors.argmax()) if inputs.any() else 0
    where = inputs[worst] if errors[worst] > 0.0 else best[1]
    if not where.any():
        where = scaled.target
    # `certificate` brings a lower end in scaled units back to the claim's own.
    lower = scaled.certificate(float(errors.max()) - scaled.slack, 0.0, METHOD, where).error_lower
    return Certificate(min(lower, upper), upper, METHOD, tuple(where.tolist()))


def _sup(exact: Exact, groups: list[Group], ours: int, theirs: int) -> tuple[Fraction, Vector]:
    """Return the square of sup over the ball of ours p + theirs h, in units of 1 / unit^2, and its place."""
    peaks = [_group_peak(exact, group, ours, theirs) for group in groups]
    squares = [Fraction(square, norm) for square, norm, _ in peaks]
    total = sum(squares, Fraction(0))
    where = np.zeros(len(exact.target))
    for group, (_, _, place), square in zip(groups, peaks, squares, strict=True):
        if square > 0:
            largest = max(abs(place[0]), abs(place[1]))
            direction = np.array([coordinate / largest for coordinate in place])
            length = float(np.sqrt(float(square / total)))
            where[group] = (length * direction / np.linalg.norm(direction))[: len(group)]
    return total, where


def _group_peak(exact: Exact, group: Group, ours: int, theirs: int) -> Peak:
    """Return the sup of ours p + theirs h on the circle of one group."""
    inside = [k for k, row in enumerate(exact.rows) if any(row[j] for j in group)]
    rows, pieces = (
        planar([tuple(vectors[k][j] for j in group) for k in inside]) for vectors in (exact.rows, exact.pieces)
    )
    target = planar([tuple(exact.target[j] for j in group)])[0]
    best: Peak = 0, 1, target
    for start, end, (x, y) in arcs(rows, pieces, target if any(target) else (1, 0)):
        peak = peak_on((ours * x + theirs * target[0], ours * y + theirs * target[1]), start, end)
        if peak[0] * best[1] > best[0] * peak[1]:
            best = peak
    return best
