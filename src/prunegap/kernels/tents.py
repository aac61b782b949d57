"""Conditions that every ticket at d = 2 meets, as integers: points on the circle, and tents around kinks.

A *point* row is the error tube at one angle. A *tent* row weighs three angles so that the target and every neuron
without a kink between the outer two drop out: a kept kink under the tent bends p, and its neighbours have to mend all
but 2 epsilon of it (F4). Points hold many neurons and say something late; tents hold few and propagate early. All are
rounded outward: docs/decisions/0018-branching-on-neurons.md.
"""

from __future__ import annotations

import math

import numpy as np

from prunegap.kernels.branch import CAP
from prunegap.kernels.jit import compiled

POINTS = 128
REACHES = np.array([1.05, 1.3, 1.6, 2.0, 2.6])
"""Half widths of the tents around a kink, in units of 4 epsilon / |kappa|, the least that says anything about it."""

LONGEST = 1.2
MARGIN = 1e-9
MOST = 2.0**29
"""Greatest sum of the magnitudes of a row's integers."""


@compiled
def conditions(angles, strengths, is_b, tube, linear, points, reaches):
    """Return (values, low, high, ids): rows low <= values @ m <= high that each ticket's choice m of kinks meets.

    angles (n,) in [-pi/2, pi/2], strengths (n,), is_b (n,): kinks in any order, target of norm 1 at angle 0. ids
    name the rows: equal for equal rows of a longer list of kinks.
    """
    n = angles.size
    room = points + n * reaches.size
    values, low, high = np.zeros((room, n)), np.empty(room), np.empty(room)
    ids = np.empty(room, np.int64)
    count = 0
    cosines, sines = np.cos(angles), np.sin(angles)
    for k in range(points):
        t = -math.pi + 2.0 * math.pi * (k + 0.5) / points
        c, s = math.cos(t), math.sin(t)
        goal = max(0.0, c)
        low[count] = goal - tube if linear or goal > tube + MARGIN else -np.inf
        high[count] = goal + tube
        for j in range(n):
            along = s * cosines[j] - c * sines[j]
            if not is_b[j]:
                along = -along
            if along > 0.0:
                values[count, j] = strengths[j] * along
        ids[count] = k
        count += 1
    edge = math.pi / 2.0 if linear else math.acos(min(1.0, tube + MARGIN)) - MARGIN
    for i in range(n):
        for f in range(reaches.size):
            h = reaches[f] * 4.0 * tube / abs(strengths[i])
            if h > LONGEST or abs(angles[i]) + h > edge:
                continue
            side = 0.5 / math.cos(h)
            for j in range(n):
                away = abs(angles[j] - angles[i])
                if away < h:
                    values[count, j] = strengths[j] * side * math.sin(h - away)
            low[count], high[count] = -tube * (1.0 + 2.0 * side), tube * (1.0 + 2.0 * side)
            ids[count] = points + i * reaches.size + f
            count += 1
    return values[:count], low[:count], high[:count], ids[:count]


@compiled
def rounded(values, low, high):
    """Return (steps, room_up, room_down, useful): the rows as integers, in steps from "nothing is kept".

    With k = rint(S values), S a power of two, every m with low <= values @ m <= high has floor(S low - n/2 - 1) <=
    k @ m <= ceil(S high + n/2 + 1). steps (n, rows) holds k, columns first; room_up and room_down (rows,) are what is
    left to either bound at a sum of 0; `useful` says which rows can ever break.
    """
    count, n = values.shape
    greatest = 1.0
    for r in range(count):
        greatest = max(greatest, np.abs(values[r]).sum())
    scale = 2.0 ** math.floor(math.log2(MOST / (greatest + 1.0))) / 2.0
    steps = np.zeros((n, count), np.int32)
    room_up, room_down = np.empty(count, np.int64), np.empty(count, np.int64)
    useful = np.zeros(count, np.bool_)
    spare = 0.5 * n + 1.0
    for r in range(count):
        up = down = 0
        for j in range(n):
            k = int(np.rint(scale * values[r, j]))
            steps[j, r] = k
            if k > 0:
                up += k
            else:
                down -= k
        # What no choice can exceed is no bound; CAP is more than all integers of a row together.
        room_up[r] = int(min(float(CAP), math.ceil(scale * high[r] + spare)))
        room_down[r] = int(min(float(CAP), -math.floor(max(scale * low[r], -2.0 * CAP) - spare)))
        useful[r] = room_up[r] < up or room_down[r] < down
    return steps, room_up, room_down, useful
