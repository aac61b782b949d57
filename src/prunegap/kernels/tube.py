"""The error tube at d = 2: convex polygons of states, and the states from which the tube can still be kept.

Put the target at angle 0. Between kinks the front error q(t) = p(t) - cos t is <z, x(t)> for a state z in the plane;
a kept kink at angle theta with strength kappa adds kappa n(theta) to z, where x(t) = (cos t, sin t) and n(t) =
(-sin t, cos t). A set of kept kinks survives if some start state keeps |q| <= tube at every one of them. Everything
here is relaxed outward: polygons and tables are supersets of the truth.
"""

from __future__ import annotations

import math

import numpy as np

from prunegap.kernels.jit import compiled, inlined

VERTICES = 32
"""Room for polygon vertices; where a clip would need more it is skipped, which only relaxes."""

Q_BINS = 64
SLOPE_BINS = 1024


@inlined
def clip(polygons, depth, count, a, b, c, to):
    """Write the part with a x + b y <= c of the polygon at a depth; return its vertex count.

    Arrays are passed whole, with indices: views would cost more than the clipping.
    """
    k = 0
    x0, y0 = polygons[depth, 0, count - 1], polygons[depth, 1, count - 1]
    s0 = a * x0 + b * y0 - c
    for i in range(count):
        x1, y1 = polygons[depth, 0, i], polygons[depth, 1, i]
        s1 = a * x1 + b * y1 - c
        if (s0 <= 0.0) != (s1 <= 0.0):
            t = s0 / (s0 - s1)
            polygons[to, 0, k] = x0 + t * (x1 - x0)
            polygons[to, 1, k] = y0 + t * (y1 - y0)
            k += 1
        if s1 <= 0.0:
            polygons[to, 0, k] = x1
            polygons[to, 1, k] = y1
            k += 1
        x0, y0, s0 = x1, y1, s1
    return k


@inlined
def clip_strip(polygons, depth, count, a, b, low, high, to):
    """Write the part with low <= a x + b y <= high; the array's last depth is scratch; return the vertex count.

    Returns 0 where nothing is left, and the polygon as it was where its vertices would not fit, which only relaxes.
    """
    if count + 2 > VERTICES:
        for i in range(count):
            polygons[to, 0, i] = polygons[depth, 0, i]
            polygons[to, 1, i] = polygons[depth, 1, i]
        return count
    scratch = polygons.shape[0] - 1
    k = clip(polygons, depth, count, a, b, high, scratch)
    if k < 3:
        return 0
    k = clip(polygons, scratch, k, -a, -b, -low, to)
    return k if k >= 3 else 0


@inlined
def extent(polygons, depth, count, a, b):
    """Return the least and the greatest a x + b y over a polygon's vertices."""
    low = high = a * polygons[depth, 0, 0] + b * polygons[depth, 1, 0]
    for i in range(1, count):
        s = a * polygons[depth, 0, i] + b * polygons[depth, 1, i]
        low = s if s < low else low
        high = s if s > high else high
    return low, high


@compiled
def viability(angles, strengths, two_sided, forced, tube, slope_limit):
    """Return, for every kink, the cells of (q, q') just after it from which the tube can be kept to the far end.

    Shape (n, SLOPE_BINS), one uint64 of q cells each; a superset of the truth: states beyond `slope_limit` and kinks
    without a two-sided tube count as viable. Recurrence: a cell survives if its image at the next kink, with or
    without that kink's jump (only with it where it is `forced`), meets a viable cell.
    """
    n = angles.size
    full = ~np.uint64(0)
    table = np.full((n, SLOPE_BINS), full)
    before = np.empty(SLOPE_BINS, np.uint64)
    ds = 2.0 * slope_limit / SLOPE_BINS
    dq = 2.0 * tube / Q_BINS
    for j in range(n - 2, -1, -1):
        if not two_sided[j + 1]:
            continue
        jump = strengths[j + 1] / ds
        for b in range(SLOPE_BINS):
            first = math.floor(b + jump - 1e-6)
            last = math.floor(b + 1.0 + jump + 1e-6)
            if first < 0 or last >= SLOPE_BINS:
                before[b] = full
            else:
                cells = np.uint64(0) if forced[j + 1] else table[j + 1, b]
                for k in range(first, last + 1):
                    cells |= table[j + 1, k]
                before[b] = cells
        if not two_sided[j]:
            continue
        gap = angles[j + 1] - angles[j]
        c, s = math.cos(gap), math.sin(gap)
        for b in range(SLOPE_BINS):
            s0 = -slope_limit + b * ds
            s1 = s0 + ds
            n0 = math.floor((min(s0 * c, s1 * c) - tube * s + slope_limit) / ds - 1e-6)
            n1 = math.floor((max(s0 * c, s1 * c) + tube * s + slope_limit) / ds + 1e-6)
            if n0 < 0 or n1 >= SLOPE_BINS:
                table[j, b] = full
                continue
            cells = np.uint64(0)
            for k in range(n0, n1 + 1):
                cells |= before[k]
            # q moves by s * slope and shrinks by at most tube * (1 - c); both are rounded outward in cells.
            shrink = tube * (1.0 - c)
            low = math.floor((s0 * s - shrink) / dq - 1e-6)
            high = math.floor((s1 * s + shrink) / dq + 1e-6) + 1
            alive = np.uint64(0)
            if cells != 0:
                for k in range(max(low, -63), min(high, 63) + 1):
                    if k >= 0:
                        alive |= cells >> np.uint64(k)
                    else:
                        alive |= cells << np.uint64(-k)
            table[j, b] = alive
    return table


@inlined
def viable(table, j, q_low, q_high, s_low, s_high, tube, slope_limit):
    """Return whether a box of (q, q'), |q| <= tube, meets a viable cell of kink j; 1e-6 cells of outward rounding."""
    per_slope = SLOPE_BINS / (2.0 * slope_limit)
    a, b = (s_low + slope_limit) * per_slope - 1e-6, (s_high + slope_limit) * per_slope + 1e-6
    if a < 0.0 or b >= SLOPE_BINS:
        return True
    first, last = int(a), int(b)
    if last - first > 96:
        return True
    per_q = Q_BINS / (2.0 * tube)
    low = int(max(0.0, (q_low + tube) * per_q - 1e-6))
    high = int(min(Q_BINS - 1.0, (q_high + tube) * per_q + 1e-6))
    cells = (~np.uint64(0) >> np.uint64(63 - (high - low))) << np.uint64(low)
    for k in range(first, last + 1):  # noqa: SIM110 (compiled loops do not pay for generators)
        if table[j, k] & cells:
            return True
    return False
