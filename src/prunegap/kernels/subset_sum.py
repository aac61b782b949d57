"""The best subset for a sum: meeting in the middle, with independent chains that keep the processor busy.

Two values are set aside. Each half of the others gives its 2^h subset sums in ascending order: adding a value merges
the list with its shifted copy, from both ends at once, so no bound is ever checked and no branch is mispredicted.
Then four pairs of pointers, one for every choice among the two values set aside, walk in lockstep over the two lists.
Only sums are carried; the subset of the winner is found again by walking back through the merges.
Many rows are solved several abreast, with the same answers to the bit (`kernels.sums_abreast`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.kernels.bounded_sum import POOL, pooled
from prunegap.kernels.exact_sum import exact_error
from prunegap.kernels.jit import compiled
from prunegap.kernels.lanes import LANES
from prunegap.kernels.sized_sum import best_of_size_kernel
from prunegap.kernels.sums_abreast import best_masks_abreast
from prunegap.model.errors import BadInputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

Masks = NDArray[np.bool_]

Method = Literal["exact", "bounded"]

MAX_VALUES = 44
"""Most values that are handled: 134 MB for each thread. At 40 it is 34 MB, at 21 fewer than 50 kB."""
MAX_ABREAST = 26
"""Most values of rows that are solved LANES abreast: 2 MB for each thread; at 21 it is 400 kB."""
MAX_MAGNITUDE = 1e300
"""Larger entries could not be added up."""
CHUNK = 512
"""Problems that a thread takes at a time."""


@compiled
def sorted_sums(values: Floats, levels: Floats) -> int:
    """Fill `levels` with the ascending subset sums of the first l values, l = 0..h; return the start of the last.

    Level l lies at 2^l + l, so that a free slot surrounds each; -inf and +inf are written around the last one.
    `levels` needs 2^(h + 1) + h + 1 entries for h values.
    """
    size = 1
    start = 1
    levels[1] = 0.0
    for depth in range(values.shape[0]):
        value = values[depth]
        # Unsigned, so that no code for negative indices is generated.
        low, high = np.uint64(start), np.uint64(start + size - 1)
        into, last = np.uint64(start + size + 1), np.uint64(start + 3 * size)
        p = np.uint64(0)
        q = np.uint64(0)
        for step in range(size):
            k = np.uint64(step)
            low_kept = levels[low + p]
            low_moved = levels[low + (k - p)] + value
            high_kept = levels[high - q]
            high_moved = levels[high - (k - q)] + value
            keep_low = low_kept <= low_moved
            keep_high = high_kept > high_moved
            levels[into + k] = low_kept if keep_low else low_moved
            levels[last - k] = high_kept if keep_high else high_moved
            p += np.uint64(keep_low)
            q += np.uint64(keep_high)
        start += size + 1
        size *= 2
    levels[start - 1] = -np.inf
    levels[start + size] = np.inf
    return start


@compiled
def subset_of_sum(values: Floats, levels: Floats, total: float) -> int:
    """Return a bitmask over `values` of a subset whose sum, as `sorted_sums` rounds it, is `total`."""
    mask = 0
    for depth in range(values.shape[0] - 1, -1, -1):
        size = 1 << depth
        start = size + depth
        below = levels[start : start + size]
        place = np.searchsorted(below, total)
        if place < size and below[place] == total:
            continue
        low = 0
        high = size - 1
        while low < high:
            middle = (low + high) // 2
            if below[middle] + values[depth] < total:
                low = middle + 1
            else:
                high = middle
        mask |= 1 << depth
        total = below[low]
    return mask


@compiled
def best_subset_kernel(values: Floats, target: float, enough: float, left: Floats, right: Floats) -> int:
    """Return the bitmask of the subset nearest to `target`, or of the first found within `enough`."""
    count = values.shape[0]
    aside = min(2, count)
    half = (count - aside) // 2
    first = values[aside : aside + half]
    second = values[aside + half :]
    u = values[0] if aside > 0 else 0.0
    v = values[1] if aside > 1 else 0.0
    i = np.uint64(sorted_sums(first, left))
    last = sorted_sums(second, right) + (1 << second.shape[0]) - 1
    t0, t1, t2, t3 = target, target - u, target - v, target - u - v
    p0 = p1 = p2 = p3 = np.uint64(0)
    best = np.inf
    best_p, best_step, best_aside = p0, 0, 0
    for step in range((1 << first.shape[0]) + (1 << second.shape[0])):
        # After `step` moves of either pointer the right one is `step - p` places from the end.
        j = np.uint64(last - step)
        r0 = left[i + p0] + right[j + p0]
        r1 = left[i + p1] + right[j + p1]
        r2 = left[i + p2] + right[j + p2]
        r3 = left[i + p3] + right[j + p3]
        e0, e1, e2, e3 = abs(r0 - t0), abs(r1 - t1), abs(r2 - t2), abs(r3 - t3)
        least = min(min(e0, e1), min(e2, e3))
        if least < best:
            best, best_step = least, step
            if e0 == least:
                best_p, best_aside = p0, 0
            elif e1 == least:
                best_p, best_aside = p1, 1
            elif e2 == least:
                best_p, best_aside = p2, 2
            else:
                best_p, best_aside = p3, 3
            if best <= enough:
                break
        p0 += np.uint64(r0 < t0)
        p1 += np.uint64(r1 < t1)
        p2 += np.uint64(r2 < t2)
        p3 += np.uint64(r3 < t3)
    best_i = i + best_p
    best_j = np.uint64(last - best_step) + best_p
    chosen: int = (
        best_aside
        | (subset_of_sum(first, left, left[best_i]) << aside)
        | (subset_of_sum(second, right, right[best_j]) << (aside + half))
    )
    return chosen


@compiled
def thresholds(values: Floats, targets: Floats, within: float) -> Floats:
    """Return for each row what error of a walk's rounded sum is surely `within`."""
    enough = np.empty(targets.shape)
    for k in range(targets.shape[0]):
        row = values[k]
        # The sums of a walk err by no more than this.
        slack = (row.shape[0] + 2) * 2.0**-52 * (np.abs(row).sum() + abs(targets[k]))
        enough[k] = within - slack
    return enough


@compiled
def best_masks_kernel(
    values: Floats, targets: Floats, enough: Floats, size: int, left: Floats, right: Floats, masks: Integers
) -> None:
    """Write the bitmask of each row's best subset to `masks`; `size` -1 leaves the number of chosen values free."""
    for k in range(targets.shape[0]):
        if size < 0:
            masks[k] = best_subset_kernel(values[k], targets[k], enough[k], left, right)
        else:
            masks[k] = best_of_size_kernel(values[k], targets[k], size)


@compiled
def answers_kernel(values: Floats, targets: Floats, masks: Integers, chosen: Masks, errors: Floats) -> None:
    """Unpack `masks` into `chosen` (k, n), and write the exact errors of the subsets."""
    for k in range(targets.shape[0]):
        for i in range(values.shape[1]):
            chosen[k, i] = (masks[k] >> i) & 1 == 1
        errors[k] = exact_error(values[k], chosen[k], targets[k])


def best_subset(
    values: ArrayLike, target: float, *, within: float = 0.0, size: int | None = None, method: Method = "exact"
) -> tuple[Masks, float]:
    """Return a subset of `values` (n,) whose sum is nearest to `target`, with its error |sum - target|.

    As `best_subsets`, for one row.
    """
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise BadInputError(f"values of shape {row.shape}", "must have 1 axis", "use best_subsets for many rows")
    goals = np.array([target], dtype=np.float64)
    chosen, errors = best_subsets(row[None, :], goals, within=within, size=size, method=method)
    return chosen[0], float(errors[0])


def best_subsets(
    values: ArrayLike,
    targets: ArrayLike,
    *,
    within: float = 0.0,
    size: int | None = None,
    workers: int = 1,
    method: Method = "exact",
) -> tuple[Masks, Floats]:
    """Return for each row of `values` (k, n) the subset nearest to its target: Booleans (k, n) and errors (k,).

    With `within` > 0 the first subset found whose error is at most that is returned, the nearest where there is none;
    with `size` only subsets of so many values count (`within` is then of no effect). The error is exact up to its
    one final rounding; guaranteed is the least, up to the rounding of the sums, about n units in the last place. The
    rows are shared out among `workers` threads; the answer does not depend on their number. Time and memory grow as
    2^(n/2) (Horowitz, Sahni 1974); MAX_VALUES states the memory.

    The method bounded takes any n in 34 MB a thread (`kernels.bounded_sum`): large values greedily, then the best
    subset of the 36 smallest. It guarantees an error of at most the largest |value| for every target in reach.
    Raises BadInputError for entries that are not finite or too large to add, for more than 44 values with the method
    exact, or for a size that is not in 0..n or is asked of the bounded method.
    """
    rows = np.ascontiguousarray(values, dtype=np.float64)
    goals = np.ascontiguousarray(targets, dtype=np.float64)
    _check(rows, goals, within, size, method)
    if method == "bounded" and rows.shape[1] > POOL:
        return _by_pools(rows, goals, within, workers)
    chosen = np.zeros(rows.shape, dtype=np.bool_)
    errors = np.zeros(goals.shape, dtype=np.float64)

    def solve(part: slice) -> None:
        values, aims = rows[part], goals[part]
        masks = np.zeros(aims.size, dtype=np.int64)
        enough = thresholds(values, aims, within)
        done = 0
        if size is None and aims.size >= LANES and 2 <= rows.shape[1] <= MAX_ABREAST:
            done = best_masks_abreast(values, aims, enough, masks)
        space = workspace(rows.shape[1] if size is None else 0)
        free = -1 if size is None else size
        best_masks_kernel(values[done:], aims[done:], enough[done:], free, *space, masks[done:])
        answers_kernel(values, aims, masks, chosen[part], errors[part])

    parts = [slice(start, start + CHUNK) for start in range(0, goals.size, CHUNK)]
    if workers == 1:
        for part in parts:
            solve(part)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(solve, parts))
    return chosen, errors


def _by_pools(rows: Floats, goals: Floats, within: float, workers: int) -> tuple[Masks, Floats]:
    """Return the answers of the bounded method."""
    chosen = np.empty(rows.shape, dtype=np.bool_)
    pools, rests = np.empty((goals.size, POOL), dtype=np.int64), np.empty(goals.size)
    for k in range(goals.size):
        chosen[k], pools[k], rests[k] = pooled(rows[k], float(goals[k]))
    exact, _ = best_subsets(np.abs(np.take_along_axis(rows, pools, axis=1)), rests, within=within, workers=workers)
    np.put_along_axis(chosen, pools, np.take_along_axis(chosen, pools, axis=1) ^ exact, axis=1)
    errors = [exact_error(row, kept, goal) for row, kept, goal in zip(rows, chosen, goals, strict=True)]
    return chosen, np.array(errors, dtype=np.float64)


def _check(rows: Floats, goals: Floats, within: float, size: int | None, method: str) -> None:
    if rows.ndim != 2 or goals.shape != rows.shape[:1]:
        raise BadInputError(
            f"values of shape {rows.shape} with targets of shape {goals.shape}",
            "must be (k, n) and (k,)",
            "give one target for every row",
        )
    if method not in get_args(Method):
        raise BadInputError(f"method {method}", "must be exact or bounded", f"use exact up to {MAX_VALUES} values")
    if size is not None and method == "bounded":
        raise BadInputError(f"size {size}", "is for the method exact", "leave the size free")
    if rows.shape[1] > MAX_VALUES and method == "exact":
        remedy = "use the method bounded"
        raise BadInputError(f"{rows.shape[1]} values", f"at most {MAX_VALUES} are handled exactly", remedy)
    if not (np.isfinite(rows).all() and np.isfinite(goals).all()):
        raise BadInputError("a subset-sum problem", "holds NaN or infinite entries", "replace them by finite numbers")
    largest = max(float(np.abs(rows).max(initial=0.0)), float(np.abs(goals).max(initial=0.0)))
    if largest > MAX_MAGNITUDE / max(1, rows.shape[1] // MAX_VALUES):
        raise BadInputError("a subset-sum problem", f"has an entry above {MAX_MAGNITUDE:g}", "scale it down")
    if not within >= 0.0:
        raise BadInputError(f"within {within}", "must be 0 or more", "use 0 for the best subset")
    if size is not None and not 0 <= size <= rows.shape[1]:
        raise BadInputError(f"size {size}", f"must lie in 0..{rows.shape[1]}", "choose fewer values")


def workspace(count: int) -> tuple[Floats, Floats]:
    """Return the work space that `best_subset_kernel` needs for `count` values."""
    rest = max(0, count - 2)
    sizes = (rest // 2, rest - rest // 2)
    left, right = (np.empty(2 ** (size + 1) + size + 1) for size in sizes)
    return left, right
