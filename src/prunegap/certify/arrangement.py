"""The error at d = 3: the arrangement of great circles that the kinks cut into the sphere.

The kinks of the kept neurons, of the target, and of the three axes (so that every face has a vertex) are planes
through 0; on a face between them p and h = <w*, x> are linear. So |f - g| peaks at one of finitely many places:

* a vertex, where two planes meet, or on an edge where p = 0 (relu readout);
* for a linear form c that |f - g| equals on a face: c itself if it lies in the face, or its projection on the plane
  of an edge if that lies in the edge;
* relu readout, inside a face, on the curve p = 0 where |f - g| = h: the projection of w* on that plane; and w*.
  (Where p < 0, |f - g| = h across every edge, and h peaks at w* alone.)

Which faces and edges there are is decided in integers, hence certainly, whatever is parallel or meets in one point.
The values are floats with a bound on their error. No place has to be tested for lying in its face: where it does, the
peak is both ||c|| and the error at that place, so it is at most the smaller of the two, and either one, evaluated
outside the face, is harmless, since the error anywhere is a lower bound. Places surely outside are skipped, which
only saves time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cmp_to_key
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.certify.claim import UNIT_ROUNDOFF, Claim, IntegerVector, Scaled
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Certificate

METHOD = "arrangement"

DOUBT = 32 * UNIT_ROUNDOFF
"""Relative error of a linear form after a conversion and a projection, which cost 16 roundoffs at most."""

NEAR = 1e-9
"""Far above `DOUBT`: places this near to a face are tried as well, which costs time, never truth."""

NEGLIGIBLE = 2.0**-500
"""More than a norm can lose because the squares of its entries fall below the smallest double."""

Integers = NDArray[Any]
"""Object arrays of Python integers."""


@dataclass(frozen=True, eq=False)
class Planes:
    """The distinct kink planes: `normals` (m, 3) and, crossing to the positive side of each, the `jumps` (m, 4).

    A slope has four entries: p(x) = <slope[:3], x> in units of 1 / unit, and slope[3] is 1 where the target is
    active, else 0. `base` is the slope where every plane is on its negative side.
    """

    normals: Integers
    jumps: Integers
    base: Integers
    target: Integers
    unit: int

    @classmethod
    def of(cls, claim: Claim) -> Planes:
        exact = claim.exact()
        pieces = [(*piece, 0) for piece in exact.pieces] + [(0, 0, 0, 1)] + [(0, 0, 0, 0)] * 3
        jumps: dict[IntegerVector, Integers] = {}
        base = np.zeros(4, dtype=object)
        axes = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
        for row, piece in zip([*exact.rows, exact.target, *axes], pieces, strict=True):
            normal, positive = _primitive(row)
            slope = np.array(piece, dtype=object)
            if not positive:
                base = base + slope
                slope = -slope
            jumps[normal] = jumps[normal] + slope if normal in jumps else slope
        normals = np.array(list(jumps), dtype=object)
        return cls(normals, np.array(list(jumps.values())), base, np.array(exact.target, dtype=object), exact.unit)


def _primitive(row: IntegerVector) -> tuple[IntegerVector, bool]:
    """Return the row divided by its common factor with its first non-zero entry positive, and whether it was."""
    factor = gcd(*row)
    positive = next(entry for entry in row if entry) > 0
    return tuple(entry // (factor if positive else -factor) for entry in row), positive


def _cross(u: Integers, w: Integers) -> Integers:
    """Return the exact cross products along the last axis."""
    u, w = np.broadcast_arrays(u, w)
    ux, uy, uz = np.moveaxis(u, -1, 0)
    wx, wy, wz = np.moveaxis(w, -1, 0)
    return np.stack((uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx), axis=-1)


def _dot(u: Integers, w: Integers) -> Integers:
    return np.asarray((u * w).sum(axis=-1))


def _directions(vectors: Integers) -> Matrix:
    """Return the non-zero integer vectors as unit vectors, each right to a few roundoffs."""
    scaled = (vectors / np.abs(vectors).max(axis=-1, keepdims=True)).astype(np.float64)
    return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Circle:
    """One plane's great circle: `corners` (2q, 3) in order, and the slopes (2q, 4) on its negative side.

    Arc k runs from corner k to corner k + 1 (cyclically) with slopes[k]; `jump` leads to the positive side. `walls`
    (2q, 3) are normals of the planes that cross at the corners: <walls[k], x> falls through 0 at corner k.
    """

    normal: Integers
    corners: Integers
    walls: Integers
    slopes: Integers
    jump: Integers


def _circle(planes: Planes, index: int) -> Circle:
    """Return the arcs on circle `index`.

    With t_k = n x n_k the line where plane k crosses, the angle from t_k to t_l about n has the sign of
    <t_k, n_l>. Passing t_k counter-clockwise leaves the positive side of plane k, passing -t_k enters it.
    """
    others = np.arange(planes.normals.shape[0]) != index
    normal, rest = planes.normals[index], planes.normals[others]
    lines = _cross(normal, rest)
    turn = _dot(lines[0], rest)
    side = np.where(turn == 0, _dot(lines, lines[0]), turn)
    flips = np.where(side > 0, 1, -1).astype(object)
    ends = lines * flips[:, None]
    walls = rest * flips[:, None]
    order = _order(ends, walls, normal)
    ends, walls, jumps = ends[order], walls[order], (planes.jumps[others] * -flips[:, None])[order]
    before = planes.base - jumps[flips[order] > 0].sum(axis=0)
    slopes = before + np.cumsum(np.concatenate((jumps, -jumps)), axis=0)
    corners, walls = np.concatenate((ends, -ends)), np.concatenate((walls, -walls))
    return Circle(normal, corners, walls, slopes, planes.jumps[index])


def _order(ends: Integers, normals: Integers, normal: Integers) -> NDArray[np.int64]:
    """Return the order of the directions `ends`, all within half a turn, about `normal`; certain but for ties.

    normals[k] crosses in ends[k] = normal x normals[k]. Floats propose, integers check each neighbouring pair.
    """
    rough, pole = _directions(ends), _directions(normal[None])[0]
    first = rough[0]
    angles = np.arctan2(rough @ np.cross(pole, first), rough @ first)
    order = np.argsort(angles, kind="stable")
    if (_dot(ends[order[:-1]], normals[order[1:]]) < 0).any():

        def compare(one: int, other: int) -> int:
            turn = int(_dot(ends[one], normals[other]))
            return (turn < 0) - (turn > 0)

        order = np.array(sorted(order.tolist(), key=cmp_to_key(compare)), dtype=np.int64)
    return order


@dataclass(eq=False)
class Record:
    """The best enclosure so far, over all places tried."""

    scaled: Scaled
    lower: float = 0.0
    upper: float = 0.0
    worst: Vector | None = None

    def points(self, directions: Matrix) -> None:
        """Try places known to a few roundoffs."""
        errors = self._errors_at(directions)
        self.upper = max(self.upper, float(errors.max(initial=0.0)) + self.scaled.slack)

    def peaks(self, forms: Matrix, doubts: Vector) -> None:
        """Try the places c / ||c|| of linear forms (c, 3), each known up to an error of norm `doubts`.

        If the place lies in the face, the error there is ||c||; where it cannot be, the form says nothing.
        """
        norms = np.asarray(np.linalg.norm(forms, axis=1))
        caps = (norms + doubts) * (1.0 + 8 * UNIT_ROUNDOFF) + NEGLIGIBLE
        useful = caps > self.lower
        norms, caps, doubts = np.maximum(norms[useful], NEGLIGIBLE), caps[useful], doubts[useful]
        errors = self._errors_at(forms[useful] / norms[:, None])
        errors = errors + self.scaled.slack + self.scaled.lipschitz * 2.0 * doubts / norms
        possible = errors >= (norms - doubts) * (1.0 - 8 * UNIT_ROUNDOFF) - NEGLIGIBLE
        self.upper = max(self.upper, float(np.minimum(caps, errors)[possible].max(initial=0.0)))

    def _errors_at(self, directions: Matrix) -> Vector:
        """Return the errors in floats; the greatest is a lower bound less its slack."""
        errors = self.scaled.errors_at(directions)
        if errors.size:
            best = int(np.argmax(errors))
            if self.worst is None or errors[best] - self.scaled.slack > self.lower:
                self.lower, self.worst = max(0.0, float(errors[best]) - self.scaled.slack), directions[best]
        return errors


def certify_arrangement(claim: Claim) -> Certificate:
    """Return the error at d = 3, enclosed to about 1e-12 of the scale of the network.

    Work and memory grow like k^3 and k for k kept neurons. The width of the enclosure is the rounding slack of
    `Scaled.slack`, (k + 35) roundoffs times the Lipschitz constant, on either side.
    """
    scaled, planes = claim.scaled(), Planes.of(claim)
    record = Record(scaled)
    record.points(_directions(planes.target[None]))
    for index in range(planes.normals.shape[0]):
        _explore(record, planes, _circle(planes, index))
    assert record.worst is not None
    return scaled.certificate(record.lower, record.upper, METHOD, record.worst)


def _explore(record: Record, planes: Planes, circle: Circle) -> None:
    """Try every place on one circle and on the faces along it."""
    target, normal, walls = record.scaled.target, _directions(circle.normal[None])[0], _directions(circle.walls)
    relu = record.scaled.readout is Readout.RELU
    to_float = _Floats(planes.unit, record.scaled.exponent)
    corners = _directions(circle.corners)
    record.points(corners)
    if relu:
        record.points(_crossings(circle, corners))

    def between(forms: Matrix, sizes: Vector) -> NDArray[np.bool_]:
        """Return which of the places may lie between the planes that cross at the two corners of their arc."""
        here, there = (forms * walls).sum(axis=1), (forms * np.roll(walls, -1, axis=0)).sum(axis=1)
        return np.asarray((here <= NEAR * sizes) & (there >= -NEAR * sizes))

    for side, slopes in ((-1.0, circle.slopes), (1.0, circle.slopes + circle.jump)):
        active = slopes[:, 3].astype(np.bool_)
        forms = to_float(slopes[:, :3] - slopes[:, 3:] * planes.target)
        sizes = np.asarray(np.linalg.norm(forms, axis=1))
        heights = forms @ normal
        edges = forms - heights[:, None] * normal
        for sign, counts in ((1.0, np.ones_like(active)), (-1.0, active if relu else np.ones_like(active))):
            rows = counts & between(sign * forms, sizes) & (side * sign * heights >= -NEAR * sizes)
            record.peaks(sign * forms[rows], DOUBT * sizes[rows])
            rows = counts & between(sign * edges, sizes)
            record.peaks(sign * edges[rows], DOUBT * sizes[rows])
        if relu:
            curves, sizes = _curves(to_float(slopes[:, :3]), target)
            rows = active & between(curves, sizes) & (side * (curves @ normal) >= -NEAR * sizes)
            record.peaks(curves[rows], DOUBT * sizes[rows])


def _curves(slopes: Matrix, target: Vector) -> tuple[Matrix, Vector]:
    """Return the projections of the target on the planes p = 0, and the size that their error is relative to.

    Where the slope is below 2^-250, |f - g| = h on the face but for less than the slack: its peaks are tried anyway.
    """
    squares = (slopes * slopes).sum(axis=1)
    shares = (slopes @ target) / np.where(squares > NEGLIGIBLE, squares, np.inf)
    return target - shares[:, None] * slopes, np.full(slopes.shape[0], np.linalg.norm(target))


def _crossings(circle: Circle, corners: Matrix) -> Matrix:
    """Return the directions on the circle where p changes its sign within an arc, exact but for the last step."""
    starts, slopes = circle.corners, circle.slopes[:, :3]
    changes = _dot(slopes, starts) * _dot(slopes, np.roll(starts, -1, axis=0)) < 0
    zeros = _cross(circle.normal, slopes[changes])
    if not zeros.shape[0]:
        return corners[:0]
    directions = _directions(zeros)
    return np.concatenate((directions, -directions))


@dataclass(frozen=True)
class _Floats:
    """Turns integers in units of 1 / unit into floats in units of 2^exponent."""

    unit: int
    exponent: int

    def __call__(self, values: Integers) -> Matrix:
        if self.exponent >= 0:
            return np.asarray((values / (self.unit << self.exponent)).astype(np.float64))
        return np.asarray(((values << -self.exponent) / self.unit).astype(np.float64))
