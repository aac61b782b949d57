"""Decide a 0-1 program of many long integer rows one column at a time, and count what every row is worth.

The walk of `kernels.branch`, for programs whose rows are too many to keep all of them: one signed matrix instead of
two, and a count of the choices that each row forced or ended, by which the caller drops rows that never act. Integers
only: what is called impossible is impossible for these rows.
"""

from __future__ import annotations

import numpy as np

from prunegap.kernels.branch import DEPTH, FREE, IMPOSSIBLE, LAST, NODES, PAUSED, SOLUTION, heaviest
from prunegap.kernels.jit import compiled
from prunegap.kernels.tents import CAP


@compiled
def propagate(
    steps, starts, columns, entries, greatest, states, ups, downs, at, touched, trail, fixed, weights, acts, todo
):  # fmt: skip
    """Apply the columns trail[:fixed], and all that follows, to the level `at`; return whether every row can hold.

    steps (n, rows) holds the integers; states (levels, n) is 1, 0 or FREE; ups and downs (levels, rows) are what is
    left to the bounds; touched (rows,) marks rows to look at; acts (rows,) counts what a row forced or broke.
    """
    rows = ups.shape[1]
    zero = np.int32(0)
    applied = 0
    while True:
        while applied < fixed:
            column = trail[applied]
            applied += 1
            signs = zero
            if states[at, column] == 1:
                for r in range(rows):
                    k = steps[column, r]
                    up, down = ups[at, r] - max(k, zero), downs[at, r] + min(k, zero)
                    ups[at, r], downs[at, r] = up, down
                    touched[r] |= k
                    signs |= up | down
            else:
                for r in range(rows):
                    k = steps[column, r]
                    up, down = ups[at, r] + min(k, zero), downs[at, r] - max(k, zero)
                    ups[at, r], downs[at, r] = up, down
                    touched[r] |= k
                    signs |= up | down
            if signs < 0:
                for r in range(rows):
                    touched[r] = 0
                    if ups[at, r] < 0 or downs[at, r] < 0:
                        weights[r] += np.float32(1.0)
                        acts[r] += 1
                return False
        count = 0
        for r in range(rows):
            todo[count] = r
            count += (touched[r] != 0) & (min(ups[at, r], downs[at, r]) < greatest[r])
            touched[r] = 0
        for t in range(count):
            r = todo[t]
            up, down = ups[at, r], downs[at, r]
            least = min(up, down)
            for e in range(starts[r], starts[r + 1]):
                k = entries[e]
                size = abs(k)
                if size <= least:
                    break
                column = columns[e]
                if states[at, column] != FREE:
                    continue
                acts[r] += 1
                if size > up and size > down:
                    weights[r] += np.float32(1.0)
                    return False
                # Too large to go up: the column stays where the sum is least; else where it is greatest.
                states[at, column] = 1 if (k > 0) == (size <= up) else 0
                trail[fixed] = column
                fixed += 1
        if applied == fixed:
            return True


@compiled
def climb(
    steps, sizes, starts, columns, entries, greatest, room_up, room_down, weights, acts,
    states, ups, downs, branches, tried, meta, node_limit,
):  # fmt: skip
    """Go on with the walk in `meta`: PAUSED after about `node_limit` nodes, SOLUTION, or IMPOSSIBLE to the end.

    steps (n, rows), their magnitudes sizes (rows, n), starts, columns and entries (`tents.by_magnitude`) hold the
    rows; room_up and room_down (rows,) what is left to their bounds at a sum of 0 with the columns up to meta[LAST]
    free. A solution stands in states[meta[DEPTH]]; the next call looks for another one.
    """
    n, rows = steps.shape
    touched, trail = np.zeros(rows, np.int32), np.empty(n + 1, np.int64)
    todo, scores = np.empty(rows + 1, np.int64), np.empty(n, np.float32)
    depth, nodes, verdict = meta[DEPTH], 0, -1
    while verdict < 0:
        if depth < 0:
            if meta[LAST] + 1 >= n:
                verdict = IMPOSSIBLE
                continue
            meta[LAST] += 1
            last = meta[LAST]
            depth, nodes = 0, nodes + 1
            hopeless = False
            for r in range(rows):
                room_up[r] += max(0, -steps[last, r])
                room_down[r] += max(0, steps[last, r])
                ups[0, r], downs[0, r] = min(CAP, room_up[r]), min(CAP, room_down[r])
                hopeless |= room_up[r] < 0 or room_down[r] < 0
            for j in range(n):
                states[0, j] = FREE if j < last else 0
            states[0, last] = 1
            trail[0] = last
            touched[:] = 1
            tried[0] = 0
            level = 0
        elif tried[depth] == 2:
            depth -= 1
            continue
        else:
            if tried[depth] == 0:
                if nodes >= node_limit:
                    verdict = PAUSED
                    continue
                chosen = heaviest(sizes, greatest, states, ups, downs, depth, meta[LAST], weights, scores)
                if chosen < 0:
                    tried[depth] = 2
                    verdict = SOLUTION
                    continue
                branches[depth] = chosen
            tried[depth] += 1
            nodes += 1
            hopeless = False
            level = depth + 1
            for r in range(rows):
                ups[level, r], downs[level, r] = ups[depth, r], downs[depth, r]
            states[level] = states[depth]
            states[level, branches[depth]] = 1 if tried[depth] == 1 else 0
            trail[0] = branches[depth]
        if not hopeless and propagate(
            steps, starts, columns, entries, greatest, states, ups, downs, level, touched, trail, 1, weights, acts,
            todo,
        ):  # fmt: skip
            depth = level
            tried[depth] = 0
        elif level == 0:
            touched[:] = 0
            depth = -1
    meta[DEPTH] = depth
    meta[NODES] += nodes
    return verdict
