"""Climb as `kernels.branch` does, and pass over the solutions whose error is too great in floats (d = 2).

Where epsilon is wide most choices that meet all rows fail there; asked one by one, they cost more than the climb.
"""

from __future__ import annotations

from prunegap.kernels.branch import DEPTH, NODES, SOLUTION, climb
from prunegap.kernels.jit import compiled
from prunegap.kernels.screen import screen


@compiled
def climb_to_screened(
    steps, sizes, shifts, greatest, room_up, room_down, weights, gain, acts,
    states, ups, downs, reach, branches, tried, meta, node_limit,
    angles, strengths, is_b, column_of, limit, linear, kept,
):  # fmt: skip
    """Return (verdict, count): as `climb`; a SOLUTION's kinks are kept[:count], ascending, and pass the screen.

    The last arguments: kinks as `screen` takes them, the column of each kink, and room for as many kinks in `kept`.
    """
    stop = meta[NODES] + node_limit
    while True:
        verdict = climb(
            steps, sizes, shifts, greatest, room_up, room_down, weights, gain, acts, states, ups,
            downs, reach, branches, tried, meta, max(1, stop - meta[NODES]),
        )  # fmt: skip
        if verdict != SOLUTION:
            return verdict, 0
        count, at = 0, meta[DEPTH]
        for kink in range(column_of.size):
            if states[at, column_of[kink]] == 1:
                kept[count] = kink
                count += 1
        if screen(angles, strengths, is_b, kept[:count], limit, linear):
            return verdict, count
