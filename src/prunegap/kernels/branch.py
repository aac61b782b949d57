"""Decide a 0-1 program of integer rows one column at a time: branch, propagate, and learn which rows break.

A row keeps what is left up to each of its bounds while every column still free stands where it does the least harm.
A column whose other value would use up more than is left has no choice; a row with less than nothing left ends the
branch. Branching takes the column that weighs most in tight rows, where a row weighs the more the more often it broke
(Boussemart et al. 2004, weighted degrees). Integers only: what is called impossible is impossible for these rows.

`climb` asks for every column c whether some choice of the columns up to c, c among them, meets all rows. So the first
solution that passes its certificate has the least last column.
"""

from __future__ import annotations

import numpy as np

from prunegap.kernels.jit import compiled
from prunegap.kernels.tents import CAP

LAST, DEPTH, NODES = range(3)
PAUSED, SOLUTION, IMPOSSIBLE = range(3)
FREE = -1
SLACK = 3
"""Rows with more left than so many times their greatest entry have no say in the choice of a column."""


@compiled
def propagate(
    rises, falls, starts, columns, entries, greatest, states, ups, downs, at, touched, trail, fixed, weights, todo
):  # fmt: skip
    """Apply the columns trail[:fixed], and all that follows, to the level `at`; return whether every row can hold.

    states (levels, n) is 1, 0 or FREE; ups and downs (levels, rows) are what is left to the bounds; touched (rows,)
    marks rows to look at.
    """
    rows = ups.shape[1]
    applied = 0
    while True:
        while applied < fixed:
            column = trail[applied]
            applied += 1
            lift, drop = (rises, falls) if states[at, column] == 1 else (falls, rises)
            signs = 0
            for r in range(rows):
                up, down = ups[at, r] - lift[column, r], downs[at, r] - drop[column, r]
                ups[at, r], downs[at, r] = up, down
                touched[r] |= lift[column, r] | drop[column, r]
                signs |= up | down
            if signs < 0:
                for r in range(rows):
                    touched[r] = 0
                    if ups[at, r] < 0 or downs[at, r] < 0:
                        weights[r] += np.float32(1.0)
                return False
        count = 0
        for r in range(rows):
            if touched[r] != 0 and min(ups[at, r], downs[at, r]) < greatest[r]:
                todo[count] = r
                count += 1
            touched[r] = 0
        for t in range(count):
            r = todo[t]
            up, down = np.int64(ups[at, r]), np.int64(downs[at, r])
            for e in range(starts[r], starts[r + 1]):
                size = abs(entries[e])
                if size <= up and size <= down:
                    break
                if states[at, columns[e]] != FREE:
                    continue
                if size > up and size > down:
                    weights[r] += np.float32(1.0)
                    return False
                # Too large to go up: the column stays where the sum is least; else where it is greatest.
                states[at, columns[e]] = 1 if (entries[e] > 0) == (size <= up) else 0
                trail[fixed] = columns[e]
                fixed += 1
        if applied == fixed:
            return True


@compiled
def heaviest(sizes, greatest, states, ups, downs, at, last, weights, scores):
    """Return the free column up to `last` that weighs most in tight rows, or -1 where no column is free."""
    for j in range(last + 1):
        scores[j] = np.float32(0.0)
    for r in range(ups.shape[1]):
        left = min(ups[at, r], downs[at, r])
        if left <= SLACK * np.int64(greatest[r]):
            weight = weights[r] / (np.float32(left) + np.float32(1.0))
            for j in range(last + 1):
                scores[j] += weight * sizes[r, j]
    best, chosen = np.float32(-1.0), -1
    for j in range(last + 1):
        if states[at, j] == FREE and scores[j] > best:
            best, chosen = scores[j], j
    return chosen


@compiled
def climb(
    rises, falls, sizes, starts, columns, entries, greatest, room_up, room_down, weights,
    states, ups, downs, branches, tried, meta, node_limit,
):  # fmt: skip
    """Go on with the walk in `meta`: PAUSED after about `node_limit` nodes, SOLUTION, or IMPOSSIBLE to the end.

    rises and falls (n, rows), sizes (rows, n), starts, columns and entries hold the rows (`tents`); room_up and
    room_down (rows,) what is left to their bounds at a sum of 0 with the columns up to meta[LAST] free. A solution
    stands in states[meta[DEPTH]]; the next call looks for another one.
    """
    n, rows = rises.shape
    touched, trail = np.ones(rows, np.int32), np.empty(n + 1, np.int64)
    todo, scores = np.empty(rows, np.int64), np.empty(n, np.float32)
    depth, nodes = meta[DEPTH], 0
    while True:
        if depth < 0:
            if meta[LAST] + 1 >= n:
                meta[DEPTH] = depth
                meta[NODES] += nodes
                return IMPOSSIBLE
            meta[LAST] += 1
            last = meta[LAST]
            depth, nodes = 0, nodes + 1
            hopeless = False
            for r in range(rows):
                room_up[r] += falls[last, r]
                room_down[r] += rises[last, r]
                ups[0, r], downs[0, r] = min(CAP, room_up[r]), min(CAP, room_down[r])
                hopeless |= room_up[r] < 0 or room_down[r] < 0
            for j in range(n):
                states[0, j] = FREE if j < last else 0
            states[0, last] = 1
            trail[0] = last
            touched[:] = 1
            tried[0] = 0
            if hopeless or not propagate(
                rises,
                falls,
                starts,
                columns,
                entries,
                greatest,
                states,
                ups,
                downs,
                0,
                touched,
                trail,
                1,
                weights,
                todo,
            ):
                touched[:] = 0
                depth = -1
                continue
        if tried[depth] == 0:
            if nodes >= node_limit:
                meta[DEPTH] = depth
                meta[NODES] += nodes
                return PAUSED
            chosen = heaviest(sizes, greatest, states, ups, downs, depth, meta[LAST], weights, scores)
            if chosen < 0:
                tried[depth] = 2
                meta[DEPTH] = depth
                meta[NODES] += nodes
                return SOLUTION
            branches[depth] = chosen
        elif tried[depth] == 2:
            depth -= 1
            continue
        tried[depth] += 1
        nodes += 1
        ups[depth + 1], downs[depth + 1] = ups[depth], downs[depth]
        states[depth + 1] = states[depth]
        states[depth + 1, branches[depth]] = 1 if tried[depth] == 1 else 0
        trail[0] = branches[depth]
        if propagate(
            rises, falls, starts, columns, entries, greatest, states, ups, downs, depth + 1, touched, trail, 1,
            weights, todo,
        ):  # fmt: skip
            depth += 1
            tried[depth] = 0
