"""Where on its hyperplane, and along which direction, the bend of a kept neuron is hardest to mend."""

from __future__ import annotations

import numpy as np

from prunegap.kernels.jit import compiled, inlined

TURN = 0.3
"""What a difference between two half segments, in units of the step, counts against one between their centres."""
MARGIN = 1e-6


@inlined
def along(one, other):
    """Return the inner product of two vectors."""
    total = 0.0
    for c in range(one.size):
        total += one[c] * other[c]
    return total


@inlined
def project(vector, onto):
    """Take from a vector what lies along a unit vector."""
    part = along(vector, onto)
    for c in range(vector.size):
        vector[c] -= part * onto[c]


@inlined
def mended(x, u, weights, outputs, own):
    """Return what the rows `weights` (n, d) with the other sign than `own` can add to the second difference."""
    total = 0.0
    for j in range(outputs.size):
        if outputs[j] * own < 0.0:
            total += np.abs(outputs[j]) * max(0.0, np.abs(along(weights[j], u)) - np.abs(along(weights[j], x)))
    return total


@inlined
def apart(place, other, step, distance):
    """Return whether two places differ by more than `distance` in some coordinate."""
    for c in range(place.shape[1]):
        gap = np.abs(place[0, c] - other[0, c])
        turn = TURN / step * np.abs(place[1, c] - other[1, c])
        if max(gap, turn) > distance:
            return True
    return False


@compiled
def hardest_bends(points, tilts, slopes, normal, step, longest, target, tube, weights, outputs, own, most, distance):
    """Return up to `most` places (k, 2, d), hardest to mend first: a unit vector x and half a segment u through it.

    x is one of the random `points` (t, d), projected on the hyperplane of the unit vector `normal` and turned to the
    side of the target; u = step (normal + slope tau), with tau the unit vector along a random tilt (t, d) that is
    orthogonal to both: the neuron's own bend is the same for all slopes (t,), but which others can mend it is not.
    Segments are no longer than 2 `longest`, and <target, y> stays above `tube` ||y|| on them. Places keep `distance`
    in some coordinate of x, or of u in shares TURN of the step.
    """
    tries, d = points.shape
    places, menders, count = np.empty((tries, 2, d)), np.empty(tries), 0
    size = np.sqrt(along(target, target))
    tau = np.empty(d)
    for t in range(tries):
        x, u = places[count, 0], places[count, 1]
        x[:], tau[:] = points[t], tilts[t]
        project(x, normal)
        norm = np.sqrt(along(x, x))
        if norm < 1e-12:
            continue
        if along(x, target) < 0.0:
            norm = -norm
        for c in range(d):
            x[c] /= norm
        project(tau, normal)
        project(tau, x)
        norm = np.sqrt(along(tau, tau))
        # In the plane there is no direction to tilt to.
        slope = slopes[t] / norm if norm > 1e-9 else 0.0
        for c in range(d):
            u[c] = step * (normal[c] + slope * tau[c])
        far = along(u, u)
        lowest = along(x, target) - np.abs(along(u, target))
        if far > longest * longest or lowest <= tube * np.sqrt(1.0 + far) + MARGIN * size:
            continue
        menders[count] = mended(x, u, weights, outputs, own)
        count += 1
    chosen, kept = np.empty((min(most, count), 2, d)), 0
    for t in np.argsort(menders[:count], kind="mergesort"):
        if kept == most:
            break
        clear = True
        for other in range(kept):
            if not apart(places[t], chosen[other], step, distance):
                clear = False
                break
        if clear:
            chosen[kept] = places[t]
            kept += 1
    return chosen[:kept]
