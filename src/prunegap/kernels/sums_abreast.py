"""Best subsets of LANES problems abreast: `kernels.subset_sum` step for step, each problem in a lane of its own.

A step of a merge or of a walk moves one of two pointers, so it reads one new sum; the lanes' sums lie side by side,
and one gather reads them all. Chains that wait for memory together cost little more than one. What is found,
ties and roundings included, is what the kernel for one problem finds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled
from prunegap.kernels.lanes import LANES, any_of, chosen, gather, least, load, own_lane, spread, store

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def sorted_sums_abreast(values: Floats, first: int, count: int, levels: Floats) -> int:
    """Fill `levels` with the ascending subset sums of values[first : first + count] (n, LANES), level after level.

    As `sorted_sums`, entry k of the list of a lane at LANES k + lane; returns the start of the last level.
    """
    lane = own_lane()
    size = 1
    start = 1
    store(levels, LANES, spread(0.0))
    for depth in range(first, first + count):
        value = load(values, LANES * depth)
        into = LANES * (start + size + 1)
        last = LANES * (start + 3 * size)
        # Places are counted from the level's start; a pair's new sum is read where only one pointer has moved.
        p, m = lane, lane
        q, o = lane + spread(LANES * (size - 1)), lane + spread(LANES * (size - 1))
        low_kept = load(levels, LANES * start)
        low_moved = low_kept + value
        high_kept = load(levels, LANES * (start + size - 1))
        high_moved = high_kept + value
        base = LANES * start
        for step in range(size):
            keep_low = low_kept <= low_moved
            keep_high = high_moved < high_kept
            store(levels, into + LANES * step, chosen(keep_low, low_kept, low_moved))
            store(levels, last - LANES * step, chosen(keep_high, high_kept, high_moved))
            p = chosen(keep_low, p + spread(LANES), p)
            m = chosen(keep_low, m, m + spread(LANES))
            q = chosen(keep_high, q - spread(LANES), q)
            o = chosen(keep_high, o, o - spread(LANES))
            low = gather(levels, base, chosen(keep_low, p, m))
            high = gather(levels, base, chosen(keep_high, q, o))
            low_kept = chosen(keep_low, low, low_kept)
            low_moved = chosen(keep_low, low_moved, low + value)
            high_kept = chosen(keep_high, high, high_kept)
            high_moved = chosen(keep_high, high_moved, high + value)
        start += size + 1
        size *= 2
    store(levels, LANES * (start - 1), spread(-np.inf))
    store(levels, LANES * (start + size), spread(np.inf))
    return start


@compiled
def subsets_of_sums(values: Floats, first: int, count: int, levels: Floats, total: Any) -> Any:
    """Return as bits the subsets of values[first : first + count] that `subset_of_sum` finds for totals (lanes)."""
    mask = spread(0)
    lane = own_lane()
    for depth in range(count - 1, -1, -1):
        width = 1 << depth
        base = LANES * (width + depth)
        value = load(values, LANES * (first + depth))
        # The first sum not below the total, and the first that is not below it with the value added.
        kept, moved = lane, lane
        while width > 1:
            width //= 2
            over, ahead = spread(LANES * width), base + LANES * (width - 1)
            kept = chosen(gather(levels, ahead, kept) < total, kept + over, kept)
            moved = chosen(gather(levels, ahead, moved) + value < total, moved + over, moved)
        is_kept = gather(levels, base, kept) == total
        mask = chosen(is_kept, mask, mask | spread(1 << (first + depth)))
        total = chosen(is_kept, total, gather(levels, base, moved))
    return mask


@compiled
def best_subsets_abreast(
    values: Floats, target: Floats, enough: Floats, right: int, levels: Floats, masks: Integers
) -> None:
    """Write the bitmask of each lane's best subset, or of the first within `enough`, to `masks`.

    values (n, LANES), n >= 2, target, enough and masks (LANES,), all flat. `levels` is the work space, where the sums
    of the second half begin at `right`: one array, so that a gather can read from both halves.
    """
    count = values.shape[0] // LANES
    half = (count - 2) // 2
    rest = count - 2 - half
    i = LANES * sorted_sums_abreast(values, 2, half, levels)
    gap = right + LANES * sorted_sums_abreast(values, 2 + half, rest, levels[right:]) + LANES * ((1 << rest) - 1) - i
    u, v, within = load(values, 0), load(values, LANES), load(enough, 0)
    t0 = load(target, 0)
    t1, t2, t3 = t0 - u, t0 - v, t0 - u - v
    lane, one, met = own_lane(), spread(LANES), spread(-np.inf)
    p0 = p1 = p2 = p3 = lane
    l0 = l1 = l2 = l3 = load(levels, i)
    r0 = r1 = r2 = r3 = load(levels, i + gap)
    # The least error so far; -inf once it is within what is enough.
    bar = spread(np.inf)
    best_left, best_right, best_aside = lane, lane, spread(0)
    for step in range((1 << half) + (1 << rest)):
        s0, s1, s2, s3 = l0 + r0, l1 + r1, l2 + r2, l3 + r3
        e0, e1, e2, e3 = abs(s0 - t0), abs(s1 - t1), abs(s2 - t2), abs(s3 - t3)
        nearest = least(least(e0, e1), least(e2, e3))
        better = nearest < bar
        if any_of(better):
            p, aside = chosen(e2 == nearest, p2, p3), chosen(e2 == nearest, spread(2), spread(3))
            p, aside = chosen(e1 == nearest, p1, p), chosen(e1 == nearest, spread(1), aside)
            p, aside = chosen(e0 == nearest, p0, p), chosen(e0 == nearest, spread(0), aside)
            best_left = chosen(better, p, best_left)
            best_right = chosen(better, p + spread(gap - LANES * step), best_right)
            best_aside = chosen(better, aside, best_aside)
            bar = chosen(better, chosen(nearest <= within, met, nearest), bar)
            if not any_of(met < bar):
                break
        # One pointer moves: up in the left list, or down in the right one, `away` behind.
        away = spread(gap - LANES * (step + 1))
        low0, low1, low2, low3 = s0 < t0, s1 < t1, s2 < t2, s3 < t3
        p0, p1 = chosen(low0, p0 + one, p0), chosen(low1, p1 + one, p1)
        p2, p3 = chosen(low2, p2 + one, p2), chosen(low3, p3 + one, p3)
        x0 = gather(levels, i, chosen(low0, p0, p0 + away))
        x1 = gather(levels, i, chosen(low1, p1, p1 + away))
        x2 = gather(levels, i, chosen(low2, p2, p2 + away))
        x3 = gather(levels, i, chosen(low3, p3, p3 + away))
        l0, r0 = chosen(low0, x0, l0), chosen(low0, r0, x0)
        l1, r1 = chosen(low1, x1, l1), chosen(low1, r1, x1)
        l2, r2 = chosen(low2, x2, l2), chosen(low2, r2, x2)
        l3, r3 = chosen(low3, x3, l3), chosen(low3, r3, x3)
    lefts = subsets_of_sums(values, 2, half, levels, gather(levels, i, best_left))
    rights = subsets_of_sums(values, 2 + half, rest, levels[right:], gather(levels, i, best_right))
    store(masks, 0, best_aside | lefts | rights)


@compiled
def best_masks_abreast(values: Floats, targets: Floats, enough: Floats, masks: Integers) -> int:
    """Write the bitmasks of the best subsets, or of the first within `enough`, to `masks`; LANES rows at a time.

    values (k, n) with n >= 2; targets, enough and masks (k,). Returns how many rows were solved: k less what does not
    fill the lanes.
    """
    rows, count = values.shape
    half = (count - 2) // 2
    left = LANES * (2 ** (half + 1) + half + 1)
    right = LANES * (2 ** (count - 1 - half) + count - 1 - half)
    levels = np.empty(left + right)
    lanes = np.empty(LANES * count)
    for k in range(0, rows - LANES + 1, LANES):
        for i in range(count):
            for lane in range(LANES):
                lanes[LANES * i + lane] = values[k + lane, i]
        best_subsets_abreast(lanes, targets[k:], enough[k:], left, levels, masks[k:])
    solved: int = rows - rows % LANES
    return solved
