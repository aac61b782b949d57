"""The exact error at d = 1 and 2: a sweep around the circle in integers.

Doubles are integers over a power of two, so nothing has to be rounded before the last step. The kinks of the kept
neurons and of the target cut the unit circle into arcs; on an arc p and h = <w*, x> are linear, and so, after one
more cut where p = 0, is f - g. A linear form <c, x> peaks on an arc at c / ||c|| if that lies in the arc, else at an
end: every candidate is integer / sqrt(integer), and comparing their squares is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cmp_to_key
from itertools import pairwise

from prunegap.certify.claim import Claim, IntegerVector
from prunegap.certify.rounding import root_enclosure
from prunegap.model.network import Readout
from prunegap.model.outcome import Certificate

METHOD = "exact-rational"

Point = tuple[int, int]


Arc = tuple[Point, Point, Point]
"""(start, end, slope): the directions from `start` counter-clockwise to `end`, less than half a turn, where
p(x) = <slope, x>. Plain tuples, since a proof makes thousands."""
Peak = tuple[int, int, Point]
"""(square, norm, where): a value sqrt(square / norm) of |f - g|, reached in the direction `where`."""


def certify_plane(claim: Claim) -> Certificate:
    """Return the error at d = 1 or 2, enclosed by neighbouring floats.

    sup over ||x|| <= 1 of |rho(p(x)) - relu(<w*, x>)|, exactly for the doubles given, whatever their magnitude.
    At d = 1 the plane is entered with a second coordinate that nobody reads.
    """
    exact = claim.exact()
    rows, pieces, target = planar(exact.rows), planar(exact.pieces), planar([exact.target])[0]
    linear = claim.readout is Readout.LINEAR
    best_square, best_norm, best_where = 0, 1, target
    for arc in arcs(rows, pieces, target):
        for form, start, end in _forms(arc, target, linear):
            square, norm, where = peak_on(form, start, end)
            if square * best_norm > best_square * norm:
                best_square, best_norm, best_where = square, norm, where
    lower, upper = root_enclosure(best_square, best_norm * exact.unit**2)
    largest = max(abs(best_where[0]), abs(best_where[1]))
    worst = tuple(coordinate / largest for coordinate in best_where[: claim.dimension])
    return Certificate(lower, upper, METHOD, worst)


def planar(vectors: list[IntegerVector]) -> list[Point]:
    """Return vectors of one or two coordinates with two."""
    return [(vector[0], vector[1] if len(vector) > 1 else 0) for vector in vectors]


def _cross(u: Point, w: Point) -> int:
    return u[0] * w[1] - u[1] * w[0]


def _dot(u: Point, w: Point) -> int:
    return u[0] * w[0] + u[1] * w[1]


def arcs(rows: list[Point], pieces: list[Point], target: Point) -> Iterator[Arc]:
    """Yield the arcs between neighbouring kinks; the axes are kinks too, so that no arc exceeds a quarter turn."""
    ends, jumps = _half_turn(rows, pieces, target)
    first = (ends[0][0] + ends[1][0], ends[0][1] + ends[1][1])
    active = [piece for row, piece in zip(rows, pieces, strict=True) if _dot(row, first) > 0]
    x, y = sum(piece[0] for piece in active), sum(piece[1] for piece in active)
    turn = ends + [(-u[0], -u[1]) for u in ends] + ends[:1]
    jumps = jumps + [(-jump[0], -jump[1]) for jump in jumps]
    for k, (start, end) in enumerate(pairwise(turn)):
        if k > 0:
            x, y = x + jumps[k][0], y + jumps[k][1]
        yield start, end, (x, y)


def _half_turn(rows: list[Point], pieces: list[Point], target: Point) -> tuple[list[Point], list[Point]]:
    """Return the distinct kink directions with angle in [0, pi) in order, and the jump of p's slope at each.

    Passing u counter-clockwise, a neuron switches on if cross(u, w) > 0 and off if it is < 0.
    """
    kinks: list[tuple[Point, Point]] = [((1, 0), (0, 0)), ((0, 1), (0, 0)), (_upper(target), (0, 0))]
    for row, piece in zip(rows, pieces, strict=True):
        u = _upper(row)
        kinks.append((u, piece if _cross(u, row) > 0 else (-piece[0], -piece[1])))
    # The float order is nearly right, and sorting what is nearly sorted takes a linear number of exact comparisons.
    kinks.sort(key=lambda kink: _rough_angle(kink[0]))
    kinks.sort(key=cmp_to_key(_compare))
    ends, jumps = [kinks[0][0]], [kinks[0][1]]
    for u, jump in kinks[1:]:
        if _cross(ends[-1], u) == 0:
            jumps[-1] = (jumps[-1][0] + jump[0], jumps[-1][1] + jump[1])
        else:
            ends.append(u)
            jumps.append(jump)
    return ends, jumps


def _upper(row: Point) -> Point:
    """Return the direction of the row's kink with angle in [0, pi)."""
    x, y = -row[1], row[0]
    return (x, y) if y > 0 or (y == 0 and x > 0) else (-x, -y)


def _rough_angle(u: Point) -> float:
    largest = max(abs(u[0]), abs(u[1]))
    return math.atan2(u[1] / largest, u[0] / largest)


def _compare(one: tuple[Point, Point], other: tuple[Point, Point]) -> int:
    turn = _cross(one[0], other[0])
    return (turn < 0) - (turn > 0)


def _forms(arc: Arc, target: Point, linear: bool) -> Iterator[tuple[Point, Point, Point]]:
    """Yield linear forms with the sub-arcs on which they hold; |f - g| on the arc is the largest of them and 0.

    With h = <w*, x>, linear readout: |p - relu(h)|. Relu readout: relu(p) where h <= 0; where h >= 0 it is
    max(p - h, min(h, h - p)), that is p - h, and h where p <= 0, and h - p where p >= 0.
    """
    start, end, slope = arc
    active = _dot(target, start) + _dot(target, end) > 0
    excess = (slope[0] - target[0], slope[1] - target[1]) if active else slope
    yield excess, start, end
    lack = (-excess[0], -excess[1])
    if linear:
        yield lack, start, end
    elif active:
        at_start, at_end = _dot(slope, start), _dot(slope, end)
        if at_start >= 0 and at_end >= 0:
            yield lack, start, end
        elif at_start <= 0 and at_end <= 0:
            yield target, start, end
        else:
            zero = (-slope[1], slope[0]) if at_start > 0 else (slope[1], -slope[0])
            falling = at_start > 0
            yield (lack if falling else target), start, zero
            yield (target if falling else lack), zero, end


def peak_on(form: Point, start: Point, end: Point) -> Peak:
    """Return the greatest value of <form, x> on the arc, or 0 if it is negative."""
    # The hottest lines of a proof: products are written out.
    x, y = form
    (a, b), (c, d) = start, end
    if a * y >= b * x and x * d >= y * c:
        return x * x + y * y, 1, form
    first, last = x * a + y * b, x * c + y * d
    if first <= 0 and last <= 0:
        return 0, 1, start
    if last <= 0:
        return first * first, a * a + b * b, start
    if first <= 0:
        return last * last, c * c + d * d, end
    one, other, one_norm, other_norm = first * first, last * last, a * a + b * b, c * c + d * d
    return (one, one_norm, start) if one * other_norm >= other * one_norm else (other, other_norm, end)
