"""The error of some kept kinks at d = 2, all round the circle, in floats: which candidates are worth a certificate.

Between kinks p and the target are sinusoids c cos t + s sin t, whose greatest value on an arc is at an end or at the
angle of (c, s). Passing a kink adds kappa (-sin theta, cos theta) to (c, s), whatever its type.
"""

from __future__ import annotations

import math

from prunegap.kernels.jit import compiled


@compiled
def _exceeds(c, s, begin, end, limit):
    """Return whether c cos t + s sin t is above `limit` for some t of begin..end, within [-pi/2, pi/2]."""
    if begin > end or c * c + s * s <= limit * limit:
        return False
    if c * math.cos(begin) + s * math.sin(begin) > limit or c * math.cos(end) + s * math.sin(end) > limit:
        return True
    peak = math.atan2(s, c)
    return begin < peak and peak < end


@compiled
def screen(angles, strengths, is_b, kept, limit, linear):
    """Return whether the error of the kept kinks (ascending) is at most `limit`, as far as floats can tell.

    angles in [-pi/2, pi/2] from the target of norm 1. Guaranteed: False only where the error at some input is above
    `limit` less the rounding of some n additions of strengths, so a limit that has more to spare than that refutes.
    """
    front_c, front_s, back_c, back_s = -1.0, 0.0, 0.0, 0.0
    for i in kept:
        along, across = strengths[i] * math.sin(angles[i]), strengths[i] * math.cos(angles[i])
        if is_b[i]:
            back_c, back_s = back_c + along, back_s - across
        else:
            front_c, front_s = front_c + along, front_s - across
    # Where the target is at most `limit`, a relu readout is bounded from above only.
    edge = math.pi / 2.0
    if not linear and limit > 0.0:
        edge = math.acos(limit) if limit < 1.0 else -math.pi
    begin = -math.pi / 2.0
    for k in range(kept.size + 1):
        end = angles[kept[k]] if k < kept.size else math.pi / 2.0
        if _exceeds(front_c, front_s, begin, end, limit) or _exceeds(back_c, back_s, begin, end, limit):
            return False
        if _exceeds(-front_c, -front_s, max(begin, -edge), min(end, edge), limit):
            return False
        if linear and _exceeds(-back_c, -back_s, begin, end, limit):
            return False
        if k < kept.size:
            i = kept[k]
            along, across = strengths[i] * math.sin(angles[i]), strengths[i] * math.cos(angles[i])
            front_c, front_s = front_c - along, front_s + across
            back_c, back_s = back_c - along, back_s + across
        begin = end
    return True
