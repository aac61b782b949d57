"""Where on its hyperplane the bend of a kept neuron is hardest to mend."""

from __future__ import annotations

import numpy as np

from prunegap.kernels.jit import compiled


@compiled
def hardest_places(points, across, target, least, weights, outputs, own, most, distance):
    """Return up to `most` unit vectors (k, d) on the hyperplane of `across`, hardest to mend first.

    The random `points` (t, d) are projected and turned to the side of the target; those count at which <target, x>
    stays above `least` from x - across to x + across. What the rows `weights` (n, d) with the sign of `outputs`
    other than `own` could add to the second difference there is what mends. Places keep `distance` in some
    coordinate.
    """
    tries, d = points.shape
    length = (across * across).sum()
    side = np.abs((across * target).sum())
    alongs = np.empty(weights.shape[0])
    for j in range(alongs.size):
        alongs[j] = np.abs((weights[j] * across).sum())
    places, menders, count = np.empty((tries, d)), np.empty(tries), 0
    for t in range(tries):
        x = points[t] - ((points[t] * across).sum() / length) * across
        size = np.sqrt((x * x).sum())
        if size < 1e-12:
            continue
        height = (x * target).sum() / size
        if np.abs(height) - side <= least:
            continue
        x *= (-1.0 if height < 0.0 else 1.0) / size
        total = 0.0
        for j in range(alongs.size):
            if outputs[j] * own < 0.0:
                over = 0.0
                for c in range(d):
                    over += weights[j, c] * x[c]
                total += np.abs(outputs[j]) * max(0.0, alongs[j] - np.abs(over))
        places[count], menders[count] = x, total
        count += 1
    chosen, kept = np.empty((min(most, count), d)), 0
    for t in np.argsort(menders[:count], kind="mergesort"):
        if kept == most:
            break
        clear = True
        for other in range(kept):
            gap = 0.0
            for c in range(d):
                gap = max(gap, np.abs(places[t, c] - chosen[other, c]))
            if gap <= distance:
                clear = False
                break
        if clear:
            chosen[kept] = places[t]
            kept += 1
    return chosen[:kept]
