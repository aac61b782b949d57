"""Where on its hyperplane, and along which direction, the bend of a kept neuron is hardest to mend."""

from __future__ import annotations

import numpy as np

from prunegap.kernels.jit import compiled

TURN = 0.3
"""How far directions of two places count as apart, in shares of the difference of their steps."""
MARGIN = 1e-6


@compiled
def projected(vector, onto):
    """Take from a vector in place what lies along a unit vector."""
    along = 0.0
    for c in range(vector.size):
        along += vector[c] * onto[c]
    for c in range(vector.size):
        vector[c] -= along * onto[c]


@compiled
def mended(centre, across, weights, outputs, own):
    """Return what the rows `weights` (n, d) with the other sign than `own` can add to the second difference."""
    total = 0.0
    for j in range(outputs.size):
        if outputs[j] * own < 0.0:
            along = over = 0.0
            for c in range(centre.size):
                along += weights[j, c] * across[c]
                over += weights[j, c] * centre[c]
            total += np.abs(outputs[j]) * max(0.0, np.abs(along) - np.abs(over))
    return total


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
    size = np.sqrt((target * target).sum())
    for t in range(tries):
        x, tau = points[t].copy(), tilts[t].copy()
        projected(x, normal)
        norm = np.sqrt((x * x).sum())
        if norm < 1e-12:
            continue
        height = (x * target).sum()
        x *= (-1.0 if height < 0.0 else 1.0) / norm
        projected(tau, normal)
        projected(tau, x)
        norm = np.sqrt((tau * tau).sum())
        # In the plane there is no direction to tilt to.
        slope = slopes[t] / norm if norm > 1e-9 else 0.0
        u = step * (normal + slope * tau)
        far = np.sqrt((u * u).sum())
        lowest = (x * target).sum() - np.abs((u * target).sum())
        if far > longest or lowest <= tube * np.sqrt(1.0 + far * far) + MARGIN * size:
            continue
        places[count, 0], places[count, 1] = x, u
        menders[count] = mended(x, u, weights, outputs, own)
        count += 1
    chosen, kept = np.empty((min(most, count), 2, d)), 0
    for t in np.argsort(menders[:count], kind="mergesort"):
        if kept == most:
            break
        clear = True
        for other in range(kept):
            gap = 0.0
            for c in range(d):
                gap = max(gap, np.abs(places[t, 0, c] - chosen[other, 0, c]))
                gap = max(gap, TURN / step * np.abs(places[t, 1, c] - chosen[other, 1, c]))
            if gap <= distance:
                clear = False
                break
        if clear:
            chosen[kept] = places[t]
            kept += 1
    return chosen[:kept]
