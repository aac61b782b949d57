"""The best subset for a sum: meeting in the middle, with independent chains that keep the processor busy.

Two values are set aside. Each half of the others gives its 2^h subset sums in ascending order: adding a value merges
the list with its shifted copy, from both ends at once, so no bound is ever checked and no branch is mispredicted.
Then four pairs of pointers, one for every choice among the two values set aside, walk in lockstep over the two lists.
Only sums are carried; the subset of the winner is found again by walking back through the merges.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.kernels.jit import compiled
from prunegap.model.errors import BadInputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_VALUES = 44
CHUNK = 1024
"""Problems that a thread solves before it sums them again."""


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
def best_subset_kernel(values: Floats, target: float, left: Floats, right: Floats) -> int:
    """Return the bitmask of the subset whose sum is nearest to `target`, in the given work space."""
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
def best_subsets_kernel(values: Floats, targets: Floats, left: Floats, right: Floats, masks: Integers) -> None:
    """Write into `masks` (k,) the best subset for every row of `values` (k, n) and entry of `targets` (k,)."""
    for k in range(targets.shape[0]):
        masks[k] = best_subset_kernel(values[k], targets[k], left, right)


def best_subset(values: ArrayLike, target: float) -> tuple[NDArray[np.bool_], float]:
    """Return a subset of `values` (n,) whose sum is nearest to `target`, with its error |sum - target|.

    The subset is a Boolean array of shape (n,), the error exact up to its one final rounding (math.fsum). Guaranteed
    is the least error up to the rounding of the sums, about n units in the last place. Raises BadInputError for
    entries that are not finite or for more than 44 values. Time and memory grow as 2^(n/2) (Horowitz, Sahni 1974).
    """
    row = np.asarray(values, dtype=np.float64)
    if row.ndim != 1:
        raise BadInputError(f"values of shape {row.shape}", "must have 1 axis", "use best_subsets for many rows")
    chosen, errors = best_subsets(row[None, :], np.array([target], dtype=np.float64))
    return chosen[0], float(errors[0])


def best_subsets(values: ArrayLike, targets: ArrayLike, workers: int = 1) -> tuple[NDArray[np.bool_], Floats]:
    """Return for each row of `values` (k, n) the subset nearest to its target: Booleans (k, n) and errors (k,).

    The rows are shared out among `workers` threads; the answer does not depend on their number. Guarantees and errors
    raised as `best_subset`.
    """
    rows = np.ascontiguousarray(values, dtype=np.float64)
    goals = np.ascontiguousarray(targets, dtype=np.float64)
    if rows.ndim != 2 or goals.shape != rows.shape[:1]:
        raise BadInputError(
            f"values of shape {rows.shape} with targets of shape {goals.shape}",
            "must be (k, n) and (k,)",
            "give one target for every row",
        )
    if rows.shape[1] > MAX_VALUES:
        raise BadInputError(f"{rows.shape[1]} values", f"at most {MAX_VALUES} are handled", "split them first")
    if not (np.isfinite(rows).all() and np.isfinite(goals).all()):
        raise BadInputError("a subset-sum problem", "holds NaN or infinite entries", "replace them by finite numbers")
    chosen = np.zeros(rows.shape, dtype=np.bool_)
    errors = np.zeros(goals.shape, dtype=np.float64)
    parts = [slice(start, start + CHUNK) for start in range(0, goals.size, CHUNK)]
    with ThreadPoolExecutor(workers) as pool:
        for part, (kept, error) in zip(
            parts, pool.map(lambda part: _solved(rows[part], goals[part]), parts), strict=True
        ):
            chosen[part], errors[part] = kept, error
    return chosen, errors


def _solved(rows: Floats, goals: Floats) -> tuple[NDArray[np.bool_], list[float]]:
    left, right = workspace(rows.shape[1])
    masks = np.zeros(goals.shape, dtype=np.int64)
    best_subsets_kernel(rows, goals, left, right, masks)
    chosen = (masks[:, None] >> np.arange(rows.shape[1])) & 1 == 1
    triples = zip(rows.tolist(), chosen.tolist(), goals.tolist(), strict=True)
    return chosen, [abs(math.fsum([*compress(row, kept), -goal])) for row, kept, goal in triples]


def workspace(count: int) -> tuple[Floats, Floats]:
    """Return the work space that `best_subset_kernel` needs for `count` values."""
    rest = max(0, count - 2)
    sizes = (rest // 2, rest - rest // 2)
    left, right = (np.empty(2 ** (size + 1) + size + 1) for size in sizes)
    return left, right
