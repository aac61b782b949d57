"""Decide a 0-1 program of integer rows one column at a time: branch, propagate, and learn which rows break.

A row keeps what is left up to each of its bounds while every column still free stands where it does the least harm.
A column whose other value would use up more than is left has no choice; a row with less than nothing left ends the
branch. Branching takes the column that weighs most in tight rows, where a row weighs the more the more often it broke
lately (after Boussemart et al. 2004, weighted degrees). Integers only: what is called impossible is impossible for
these rows. Where there are many rows, those that decide most choose the column and are asked before the others.
What each row forced or ended is counted, for callers with more rows than are worth their time.

`follow` walks over the choices that meet all rows. `climb` asks for every column c whether some choice of the columns
up to c, c among them, meets all rows; so the first solution that passes its certificate has the least last column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined
from prunegap.kernels.row_vectors import (
    ABREAST,
    LANES,
    WIDE,
    add_scaled,
    decide,
    find_tight,
    hear,
    keep_loud,
    lowest_bit,
    mark_greater,
    repeat,
)

Integers = NDArray[np.int32]
Places = NDArray[np.int64]
Laid = tuple[Integers, NDArray[np.uint16], Integers, Integers]

LAST, DEPTH, NODES, UNTIL = range(4)
PAUSED, SOLUTION, IMPOSSIBLE = range(3)
FREE = -1
CAP = 1 << 30
"""What is held to be left to a bound that no choice can reach: more than all integers of a row together."""

SIZE_BITS = 16
"""Bits of a magnitude that are kept to compare it by, in units of its row."""

RECENT = 0.95
"""What a failure still weighs after the next one."""
MOST_GAIN, LEAST_WEIGHT = 1e12, np.float32(1e-20)
"""Weights are scaled once a failure weighs so much more than 1; none becomes so small that floats get slow."""

QUIET = 0.01
"""Rows that weigh less than so much of the greatest weight of a row in any column have no say either."""

TOGETHER = 2048
"""Rows that take in all that was decided before the next ones do: more of them would not stay in a cache."""

SLACK = 3
"""Rows with more left than so many times their greatest free entry have no say in the choice of a column."""


def whole_vectors(steps: Integers, above: Places, below: Places) -> tuple[Integers, Places, Places]:
    """Return rows -below <= steps^T m <= above with rows of zeros behind them, up to a multiple of LANES."""
    count = above.size
    behind = -count % LANES
    whole = np.zeros((steps.shape[0], count + behind), dtype=np.int32)
    whole[:, :count] = steps
    without = np.full(behind, CAP)
    return whole, np.concatenate([above, without]), np.concatenate([below, without])


@compiled
def laid_out(steps: Integers) -> Laid:
    """Return rows of integers (n, rows) as `follow` takes them: (steps, sizes, shifts, greatest).

    The number of rows is a multiple of LANES (`whole_vectors`). sizes (rows, n, zeros up to a multiple of WIDE) are
    the magnitudes in units of 2^shifts of their row, rounded up, in 16 bits: memory is what is short. Those of a row
    without any of 2^16 or more stand as they are. greatest (rows,) is the greatest of each row.
    """
    n, rows = steps.shape
    sizes = np.zeros((rows, -(-n // WIDE) * WIDE), np.uint16)
    shifts, greatest = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    for j in range(n):
        for r in range(rows):
            greatest[r] = max(greatest[r], abs(steps[j, r]))
    for r in range(rows):
        while rounded_up(greatest[r], shifts[r]) >= 1 << SIZE_BITS:
            shifts[r] += 1
        for j in range(n):
            sizes[r, j] = rounded_up(abs(steps[j, r]), shifts[r])
    return steps, sizes, shifts, greatest


@inlined
def rounded_up(size, shift):
    """Return a magnitude in units of 2^shift, rounded up."""
    return (np.int64(size) + (np.int64(1) << shift) - 1) >> shift


def states_of(levels: int, count: int) -> NDArray[np.int8]:
    """Return room for the states of `count` columns at so many levels, and for what is read behind the last."""
    return np.zeros((levels + -(-WIDE // max(1, count)), count), dtype=np.int8)


def room_left(steps: Integers, above: Places, below: Places, free: int) -> tuple[Places, Places]:
    """Return what is left to the bounds at a sum of 0 with the first `free` columns free: where `climb` begins."""
    undecided = steps[:free]
    return (
        above - np.minimum(undecided, 0).sum(axis=0, dtype=np.int64),
        below + np.maximum(undecided, 0).sum(axis=0, dtype=np.int64),
    )


@compiled
def left_at_levels(steps, above, below, states, levels, ups, downs):
    """Work out what is left to each row at the first `levels` levels of a walk; return at how many no row is broken.

    above and below (rows,) are the bounds, ups and downs as `propagate` takes them; each level of `states` decides
    what the level before it does, and more.
    """
    n, rows = steps.shape
    for level in range(levels):
        at, signs = level * rows, 0
        if level == 0:
            up, down = above.copy(), below.copy()
            for j in range(n):
                state = states[0, j]
                if state == 0:
                    continue
                for r in range(rows):
                    k = np.int64(steps[j, r])
                    up[r] -= k if state == 1 else min(k, 0)
                    down[r] += k if state == 1 else max(k, 0)
            for r in range(rows):
                ups[0, r], downs[0, r] = min(CAP, up[r]), min(CAP, down[r])
                signs |= ups[0, r] | downs[0, r]
        else:
            repeat(ups, at - rows, at, rows)
            repeat(downs, at - rows, at, rows)
            for j in range(n):
                if states[level, j] != FREE and states[level - 1, j] == FREE:
                    signs |= decide(steps, j * rows, ups, downs, at, rows, np.int64(states[level, j]))
        if signs < 0:
            return level
    return levels


@inlined
def blame(ups, downs, at, first, end, weights, gain, acts):
    """Let the broken ones among the rows from `first` to `end` share what one failure weighs, and count them."""
    broken = 0
    for r in range(first, end):
        broken += ups[at, r] < 0 or downs[at, r] < 0
    share = np.float32(gain[0] / broken)
    for r in range(first, end):
        if ups[at, r] < 0 or downs[at, r] < 0:
            weights[r] += share
            acts[r] += 1
    gain[0] /= RECENT
    if gain[0] > MOST_GAIN:
        fade(weights, gain)


@inlined
def fade(weights, gain):
    """Scale all weights so that a failure weighs 1 again."""
    for r in range(weights.size):
        weights[r] = max(LEAST_WEIGHT, np.float32(weights[r] / gain[0]))
    gain[0] = 1.0


@inlined
def settle(
    steps, sizes, shifts, states, ups, downs, reach, at, trail, fixed, acts, tight, marks, count, first
):  # fmt: skip
    """Fix the columns without a choice in `count` rows, row first + tight[i] each; return how many are fixed now."""
    width = sizes.shape[1]
    begin = at * states.shape[1]
    for i in range(count):
        r = first + tight[i]
        up, down, shift = ups[at, r], downs[at, r], shifts[r]
        least = min(up, down)
        # Sizes are rounded up: all magnitudes above `least` are marked, and few others.
        short = min(least >> shift, (1 << SIZE_BITS) - 1)
        most = mark_greater(sizes, r * width, states, begin, short, marks, width)
        for part in range(width // WIDE):
            word = np.int64(marks[part])
            while word != 0:
                column = part * WIDE + lowest_bit(word)
                word &= word - 1
                k = steps[column, r]
                if abs(k) > least:
                    acts[r] += 1
                    # Too large to go up: the column stays where the sum is least; else where it is greatest.
                    states[at, column] = 1 if (k > 0) == (abs(k) <= up) else 0
                    trail[fixed] = column
                    fixed += 1
                else:
                    most = max(most, np.int64(sizes[r, column]))
        reach[at, r] = most << shift
    return fixed


@compiled
def propagate(
    steps, sizes, shifts, states, ups, downs, reach, at, trail, weights, gain, acts, tight, marks, busy
):  # fmt: skip
    """Apply the column trail[0], and all that follows, to the level `at`; return whether every row can hold.

    steps (n, rows) holds the integers; states (levels, n) is 1, 0 or FREE; ups and downs (levels, rows) are what is
    left to the bounds; reach (levels, rows) is at least the magnitude of a row's greatest free entry; acts (rows,)
    counts what a row forced or broke; `tight` is room for rows and `marks` for a bit a column. The first `busy` rows
    are asked until they have no more to say; only then are the others, which still stand at the level before.
    """
    rows = ups.shape[1]
    level = at * rows
    fixed, heard, answered = 1, 0, 0
    while True:
        while True:
            while heard < fixed:
                column = trail[heard]
                heard += 1
                if decide(steps, column * rows, ups, downs, level, busy, np.int64(states[at, column])) < 0:
                    blame(ups, downs, at, 0, busy, weights, gain, acts)
                    return False
            count = find_tight(ups, downs, level, reach, tight, busy)
            fixed = settle(
                steps, sizes, shifts, states, ups, downs, reach, at, trail, fixed, acts, tight, marks, count, 0
            )
            if fixed == heard:
                break
        if busy == rows:
            return True
        until, blamed = fixed, -1
        for begin in range(busy, rows, TOGETHER):
            count = min(TOGETHER, rows - begin)
            if answered == 0 and at > 0:
                for left in (ups, downs, reach):
                    repeat(left, level - rows + begin, level + begin, count)
            for i in range(answered, until):
                column = trail[i]
                kept = np.int64(states[at, column])
                if decide(steps, column * rows + begin, ups, downs, level + begin, count, kept) < 0:
                    # The rows to blame are those that the first column breaks which breaks any.
                    if blamed < 0 or i + 1 < until:
                        blamed = begin
                    until = i + 1
                    break
        if blamed >= 0:
            blame(ups, downs, at, blamed, rows, weights, gain, acts)
            return False
        answered = fixed
        count = find_tight(ups, downs, level + busy, reach, tight, rows - busy)
        fixed = settle(
            steps, sizes, shifts, states, ups, downs, reach, at, trail, fixed, acts, tight, marks, count, busy
        )
        if fixed == heard:
            return True


@compiled
def heaviest(sizes, shifts, reach, states, ups, downs, at, last, weights, scores, heard, voices, loud, busy):
    """Return the free column up to `last` that weighs most in tight ones of `busy` rows, or -1 if none is free."""
    scores[:] = np.float32(0.0)
    stride, count = sizes.shape[1], (last // LANES + 1) * LANES
    rows = hear(ups, downs, at * ups.shape[1], reach, SLACK, stride, weights, shifts, heard, voices, loud, busy)
    loud[rows : rows + LANES] = np.float32(0.0)
    rows = keep_loud(heard, voices, loud, QUIET, rows)
    for r in range(rows, -(-rows // ABREAST) * ABREAST):
        heard[r], voices[r] = 0, np.float32(0.0)
    for r in range(0, rows, ABREAST):
        add_scaled(scores, sizes, heard, voices, r, count)
    best, chosen = np.float32(-1.0), -1
    for j in range(last + 1):
        if states[at, j] == FREE and scores[j] > best:
            best, chosen = scores[j], j
    return chosen


@compiled
def follow(
    steps, sizes, shifts, weights, gain, acts,
    states, ups, downs, reach, branches, tried, meta, busy, node_limit,
):  # fmt: skip
    """Follow the branches of a walk: PAUSED after about `node_limit` nodes, SOLUTION, or IMPOSSIBLE: none is left.

    steps, sizes and shifts hold the rows (`laid_out`); gain (1,) what the next failure weighs; level meta[DEPTH] is
    where the walk stands, -1 behind its end, meta[LAST] the last column that may be free; branches[level] is the
    column that is decided there, and tried[level] how many of its two values were tried; states as from `states_of`.
    The first `busy` rows, a multiple of LANES, are asked first and choose the columns. A solution stands in
    states[meta[DEPTH]]; the next call looks for another one.
    """
    n, rows = steps.shape
    trail = np.empty(n + 1, np.int64)
    tight, scores = np.zeros(rows + LANES, np.int32), np.zeros(sizes.shape[1], np.float32)
    heard = np.zeros(rows + LANES, np.int32)
    voices, loud = np.zeros((2, rows + LANES), np.float32)
    marks = np.zeros(sizes.shape[1] // WIDE, np.uint32)
    depth, nodes, verdict = meta[DEPTH], 0, IMPOSSIBLE
    while depth >= 0:
        if tried[depth] == 2:
            depth -= 1
            continue
        if tried[depth] == 0:
            if nodes >= node_limit:
                verdict = PAUSED
                break
            chosen = heaviest(
                sizes,
                shifts,
                reach,
                states,
                ups,
                downs,
                depth,
                meta[LAST],
                weights,
                scores,
                heard,
                voices,
                loud,
                busy,
            )
            if chosen < 0:
                tried[depth] = 2
                verdict = SOLUTION
                break
            branches[depth] = chosen
        tried[depth] += 1
        nodes += 1
        level = depth + 1
        for left in (ups, downs, reach):
            repeat(left, depth * rows, level * rows, busy)
        states[level] = states[depth]
        states[level, branches[depth]] = 1 if tried[depth] == 1 else 0
        trail[0] = branches[depth]
        if propagate(
            steps, sizes, shifts, states, ups, downs, reach, level, trail, weights, gain, acts, tight, marks, busy,
        ):  # fmt: skip
            depth = level
            tried[depth] = 0
    meta[DEPTH] = depth
    meta[NODES] += nodes
    return verdict


@compiled
def begin(
    steps, sizes, shifts, greatest, room_up, room_down, weights, gain, acts,
    states, ups, downs, reach, tried, meta,
):  # fmt: skip
    """Begin the walk that keeps the next column, meta[LAST] + 1, with those before it free."""
    n, rows = steps.shape
    meta[LAST] += 1
    meta[NODES] += 1
    last = meta[LAST]
    hopeless = False
    for r in range(rows):
        room_up[r] += max(0, -steps[last, r])
        room_down[r] += max(0, steps[last, r])
        ups[0, r], downs[0, r] = min(CAP, room_up[r]), min(CAP, room_down[r])
        reach[0, r] = greatest[r]
        hopeless |= room_up[r] < 0 or room_down[r] < 0
    for j in range(n):
        states[0, j] = FREE if j < last else 0
    states[0, last] = 1
    tried[0] = 0
    trail, tight = np.empty(n + 1, np.int64), np.zeros(rows + LANES, np.int32)
    marks = np.zeros(sizes.shape[1] // WIDE, np.uint32)
    trail[0] = last
    meta[DEPTH] = -1
    if not hopeless and propagate(
        steps, sizes, shifts, states, ups, downs, reach, 0, trail, weights, gain, acts, tight, marks, rows
    ):  # fmt: skip
        meta[DEPTH] = 0


@compiled
def climb(
    steps, sizes, shifts, greatest, room_up, room_down, weights, gain, acts,
    states, ups, downs, reach, branches, tried, meta, node_limit,
):  # fmt: skip
    """Continue a climb: PAUSED after about `node_limit` nodes, SOLUTION, or IMPOSSIBLE before column meta[UNTIL].

    room_up and room_down (rows,) are what is left to the bounds at a sum of 0 with the columns up to meta[LAST] free
    (`room_left`); the rest as for `follow`, with all rows asked at once.
    """
    stop = meta[NODES] + node_limit
    while True:
        verdict = follow(
            steps, sizes, shifts, weights, gain, acts, states, ups, downs, reach, branches, tried, meta,
            steps.shape[1], stop - meta[NODES],
        )  # fmt: skip
        if verdict != IMPOSSIBLE or meta[LAST] + 1 >= meta[UNTIL]:
            return verdict
        begin(
            steps, sizes, shifts, greatest, room_up, room_down, weights, gain, acts, states, ups, downs, reach,
            tried, meta,
        )  # fmt: skip
