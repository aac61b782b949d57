"""Enumerate the kept sets of a half circle that stay within the error tube (d = 2), by a walk that can pause.

The walk goes through the kinks left of `middle` in angular order. It carries the convex polygon of start states z
that are still possible, clips it at every kept kink, and cuts branches from which the tube cannot be kept to the far
end (`tube.viability`). The right half is the left half of the mirror image. With a linear readout the back half
circle has a tube as well; its state y gets the same jumps in the same tube, so the polygon is one for both. Then the
circle is cut open anywhere, the target is one of its kinks, and start states must lead somewhere to the left too
(`search.ring`).

Every surviving kept set becomes a leaf: the box in which the other half's type-A sum must lie, and its own sums
alpha = -sum over type A of kappa n and beta = sum over type B of kappa n (all in the frame x(middle), n(middle)).
Since z(start) = -w* + alpha (without w* where the target is a kink) and y(start) = -beta, two leaves can belong
together only if each one's sums lie in the other one's boxes. A kept set without a leaf is in no ticket:
docs/decisions/0005-plane-sweep.md.
"""

from __future__ import annotations

import math

import numpy as np

from prunegap.kernels.jit import compiled, inlined
from prunegap.kernels.tube import clip_strip, extent, viable

# Columns of a leaf: the box for the other half's alpha, own alpha and beta, the box for the other half's beta.
Z_LOW0, Z_HIGH0, Z_LOW1, Z_HIGH1, ALPHA0, ALPHA1, BETA0, BETA1, Y_LOW0, Y_HIGH0, Y_LOW1, Y_HIGH1 = range(12)
RELU_COLUMNS, LINEAR_COLUMNS = 8, 12

DEPTH, FRESH, NODES = range(3)


@compiled
def start(polygons, counts, sums, positions, meta, end_angle, tube, reach, linear):
    """Set a walk to its root: the start states within `reach` that are not above the tube at the circle's end.

    polygons (depths, 2, VERTICES) holds the start states that are still possible, the last two depths are scratch;
    counts (depths,) their vertices; sums (depths, 4) alpha and beta; positions (depths,) the next kink to try; meta
    the depth, its freshness, the nodes. `end_angle` is the circle's left end, in the frame of the middle; with a
    linear readout the tube bounds from below there too.
    """
    for i in range(4):
        polygons[0, 0, i] = reach if 1 <= i <= 2 else -reach
        polygons[0, 1, i] = reach if i >= 2 else -reach
    low = -tube if linear else -np.inf
    counts[0] = clip_strip(polygons, 0, 4, math.cos(end_angle), math.sin(end_angle), low, tube, 0)
    sums[0] = 0.0
    positions[0] = 0
    meta[DEPTH], meta[FRESH], meta[NODES] = 0, 1, 0


@inlined
def enter(polygons, counts, sums, depth, to, inner, tube):
    """Clip a state by the tube where it becomes two-sided, into depth `to`; return whether anything is left.

    `inner` holds the cosine and sine of that angle in the frame of the middle. It applies once all kinks before that
    angle are decided, since each one kept moves q there.
    """
    shift = inner[0] * (sums[depth, 2] - sums[depth, 0]) + inner[1] * (sums[depth, 3] - sums[depth, 1])
    count = clip_strip(polygons, depth, counts[depth], inner[0], inner[1], -tube - shift, tube - shift, to)
    counts[to] = count
    for k in range(4):
        sums[to, k] = sums[depth, k]
    return count > 0


@inlined
def widened(low, high, slack):
    """Return an interval widened by more than single precision loses in its ends and in sums held against them."""
    return low - slack - abs(low) * 2.0**-20, high + slack + abs(high) * 2.0**-20


@inlined
def write_leaf(polygons, counts, sums, depth, target, end, tube, slack, linear, leaves, leaf):
    """Fill one leaf from the walk's state at a depth; return whether the walk's end can be reached within the tube.

    `end` holds the cosine and sine of the angle at which the walk ends, in the frame of the leaves.
    """
    at, count = depth, counts[depth]
    jump = end[0] * (sums[depth, 2] - sums[depth, 0]) + end[1] * (sums[depth, 3] - sums[depth, 1])
    low, high = extent(polygons, at, count, end[0], end[1])
    if low + jump > tube or high + jump < -tube:
        return False
    if low + jump < -tube or high + jump > tube:
        at = polygons.shape[0] - 2
        count = clip_strip(polygons, depth, count, end[0], end[1], -tube - jump, tube - jump, at)
        if count == 0:
            return False
    low0, high0 = extent(polygons, at, count, 1.0, 0.0)
    low1, high1 = extent(polygons, at, count, 0.0, 1.0)
    shift0, shift1 = target[0] - sums[depth, 0], target[1] - sums[depth, 1]
    leaves[leaf, Z_LOW0], leaves[leaf, Z_HIGH0] = widened(low0 + shift0, high0 + shift0, slack)
    leaves[leaf, Z_LOW1], leaves[leaf, Z_HIGH1] = widened(low1 + shift1, high1 + shift1, slack)
    if linear:
        shift0, shift1 = -sums[depth, 2], -sums[depth, 3]
        leaves[leaf, Y_LOW0], leaves[leaf, Y_HIGH0] = widened(shift0 - high0, shift0 - low0, slack)
        leaves[leaf, Y_LOW1], leaves[leaf, Y_HIGH1] = widened(shift1 - high1, shift1 - low1, slack)
    for k in range(4):
        leaves[leaf, ALPHA0 + k] = sums[depth, k]
    return True


@inlined
def survives(polygons, counts, sums, depth, c, s, kappa, table, j, tube, slope_limit):
    """Return (can pass kink j without keeping it, can keep it) for the state at a depth of the walk."""
    jump0, jump1 = sums[depth, 2] - sums[depth, 0], sums[depth, 3] - sums[depth, 1]
    q_shift, s_shift = c * jump0 + s * jump1, c * jump1 - s * jump0
    q_low, q_high, s_low, s_high = 1e300, -1e300, 1e300, -1e300
    for i in range(counts[depth]):
        x, y = polygons[depth, 0, i], polygons[depth, 1, i]
        q = c * x + s * y
        slope = c * y - s * x
        q_low = q if q < q_low else q_low
        q_high = q if q > q_high else q_high
        s_low = slope if slope < s_low else s_low
        s_high = slope if slope > s_high else s_high
    q_low, q_high, s_low, s_high = q_low + q_shift, q_high + q_shift, s_low + s_shift, s_high + s_shift
    if q_low > tube or q_high < -tube:
        return False, False
    q_low, q_high = max(q_low, -tube), min(q_high, tube)
    skip = viable(table, j, q_low, q_high, s_low, s_high, tube, slope_limit)
    keep = viable(table, j, q_low, q_high, s_low + kappa, s_high + kappa, tube, slope_limit)
    return skip, keep


@inlined
def push(polygons, counts, sums, depth, to, c, s, kappa, is_b, two_sided, tube):
    """Keep a kink: clip the polygon by its tube into depth `to` and add its jump; return whether anything is left."""
    shift = c * (sums[depth, 2] - sums[depth, 0]) + s * (sums[depth, 3] - sums[depth, 1])
    low = -tube - shift if two_sided else -np.inf
    count = clip_strip(polygons, depth, counts[depth], c, s, low, tube - shift, to)
    if count == 0:
        return False
    counts[to] = count
    for k in range(4):
        sums[to, k] = sums[depth, k]
    if is_b:
        sums[to, 2] -= kappa * s
        sums[to, 3] += kappa * c
    else:
        sums[to, 0] += kappa * s
        sums[to, 1] -= kappa * c
    return True


@inlined
def leads_outward(polygons, counts, depth, begin, outward, tube, slope_limit):
    """Return whether from some start state the tube can be kept to the left of the first kink and on.

    `begin` holds that kink's cosine and sine, `outward` its row of the mirror image's table, or none.
    """
    if outward.shape[0] == 0:
        return True
    q_low, q_high = extent(polygons, depth, counts[depth], begin[0], begin[1])
    s_low, s_high = extent(polygons, depth, counts[depth], -begin[1], begin[0])
    return viable(outward, 0, max(q_low, -tube), min(q_high, tube), -s_high, -s_low, tube, slope_limit)


@compiled
def advance(
    cosines, sines, strengths, is_b, two_sided, forced, neurons, first, inner, stop, target, end, table, begin,
    outward, tube, slope_limit, slack, linear, bound, polygons, counts, sums, positions, kept, widths, meta,
    leaves, masks, leaf_widths, node_limit,
):  # fmt: skip
    """Walk on from where it paused; return the number of leaves written.

    The walk ends (meta[DEPTH] < 0) or pauses where the leaf arrays are full or `node_limit` nodes were visited.
    Kinks 0..stop-1 lie left of the walk's end, whose cosine and sine are `end`; all angles are in the frame of the
    leaves. Kinks of neurons >= bound are never kept, those `forced` always. Kinks from `first` on lie where the tube
    is two-sided, which begins at `inner`.
    Each leaf is a row of `leaves`, a row of 64-bit words in `masks` (bit j: kink j is kept) and the width it needs.
    """
    last_forced = -1
    for j in range(stop):
        if forced[j]:
            last_forced = j
    beyond = stop < cosines.size and two_sided[min(stop, two_sided.size - 1)]
    room = leaves.shape[0]
    words = masks.shape[1]
    written = 0
    nodes = 0
    depth = meta[DEPTH]
    fresh = meta[FRESH] == 1
    while depth >= 0 and written < room and nodes < node_limit:
        if fresh:
            fresh = False
            at, alive = depth, True
            if positions[depth] <= first:
                at = depth + 1
                alive = enter(polygons, counts, sums, depth, at, inner, tube)
            alive = alive and positions[depth] > last_forced
            if alive and beyond:
                skip, keep = survives(
                    polygons,
                    counts,
                    sums,
                    at,
                    cosines[stop],
                    sines[stop],
                    strengths[stop],
                    table,
                    stop,
                    tube,
                    slope_limit,
                )
                alive = (skip and not forced[stop]) or keep
            if alive and write_leaf(polygons, counts, sums, at, target, end, tube, slack, linear, leaves, written):
                leaf_widths[written] = widths[depth]
                for word in range(words):
                    masks[written, word] = np.uint64(0)
                for d in range(1, depth + 1):
                    masks[written, kept[d] >> 6] |= np.uint64(1) << np.uint64(kept[d] & 63)
                written += 1
        j = positions[depth]
        if j >= stop:
            depth -= 1
            continue
        if j == first and not enter(polygons, counts, sums, depth, depth, inner, tube):
            depth -= 1
            continue
        c, s, kappa = cosines[j], sines[j], strengths[j]
        skip, keep = True, True
        if two_sided[j]:
            skip, keep = survives(polygons, counts, sums, depth, c, s, kappa, table, j, tube, slope_limit)
        positions[depth] = j + 1 if skip and not forced[j] else stop
        if not keep or neurons[j] >= bound:
            continue
        nodes += 1
        if push(polygons, counts, sums, depth, depth + 1, c, s, kappa, is_b[j], two_sided[j], tube):
            if not leads_outward(polygons, counts, depth + 1, begin, outward, tube, slope_limit):
                continue
            depth += 1
            kept[depth] = j
            widths[depth] = max(widths[depth - 1], neurons[j] + 1)
            positions[depth] = j + 1
            fresh = True
    meta[DEPTH] = depth
    meta[FRESH] = 1 if fresh else 0
    meta[NODES] += nodes
    return written
