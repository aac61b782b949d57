"""Masks by granularity: how many units a keep_fraction means, and which mask has the greatest sum of scores.

The units of a weight matrix (out, in) are single weights, or blocks of k along the input (a last, shorter block is a
block too); n:m further allows at most N in every M consecutive inputs of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, Granularity, NOfM, Weight

Bools = NDArray[np.bool_]
Scores = NDArray[np.floating[Any]]


def unit_length(granularity: Granularity) -> int:
    """Return the weights in one unit: k for block:k, 1 for weight and n:m; BadInputError for neuron."""
    if isinstance(granularity, Block):
        return granularity.length
    if isinstance(granularity, Weight | NOfM):
        return 1
    raise BadInputError(
        f"granularity {granularity.name}", "is no mask of single layers", "use the unit solvers for neurons"
    )


def group_of(granularity: Granularity) -> tuple[int, int]:
    """Return (N, M) of n:m, and (1, 1), which forbids nothing, for every other granularity."""
    return (granularity.kept, granularity.group) if isinstance(granularity, NOfM) else (1, 1)


def unit_sums(values: Scores, length: int) -> Scores:
    """Return the sums of `values` (out, in) over each unit, shape (out, units in a row)."""
    if length == 1:
        return values
    return np.asarray(np.add.reduceat(values, np.arange(0, values.shape[1], length), axis=1))


def spread(units: NDArray[np.generic], length: int, inputs: int) -> NDArray[np.generic]:
    """Return the values of units (out, units) repeated over their weights, shape (out, inputs)."""
    return units if length == 1 else np.repeat(units, length, axis=1)[:, :inputs]


def most_kept(shape: tuple[int, int], granularity: Granularity) -> int:
    """Return the most units a mask of this granularity can keep."""
    length, (kept, group) = unit_length(granularity), group_of(granularity)
    units = -(-shape[1] // length)
    whole, rest = divmod(units, group)
    return shape[0] * (whole * kept + min(rest, kept))


def kept_units(shape: tuple[int, int], granularity: Granularity, keep_fraction: float | None) -> int:
    """Return how many units stay: round(keep_fraction * units); for n:m without a fraction, all that it allows.

    Raises BadInputError for a fraction outside [0, 1] or, with n:m, above N / M.
    """
    most = most_kept(shape, granularity)
    if keep_fraction is None:
        return most
    if not 0.0 <= keep_fraction <= 1.0:
        raise BadInputError(f"keep_fraction {keep_fraction}", "must lie in 0..1", "use for example 0.5")
    kept, group = group_of(granularity)
    if isinstance(granularity, NOfM) and keep_fraction > kept / group + 1e-9:
        raise BadInputError(
            f"keep_fraction {keep_fraction} with {granularity.name}",
            "keeps more than the pattern allows",
            f"use at most {kept / group:.4g}, or leave the layer dense",
        )
    units = shape[0] * -(-shape[1] // unit_length(granularity))
    return min(most, round(keep_fraction * units))


def allowed(scores: Scores, kept: int, group: int) -> Bools:
    """Return which entries are among the `kept` greatest of their group of `group` consecutive ones, per row."""
    if group == 1 or kept >= group:
        return np.ones(scores.shape, dtype=np.bool_)
    rows, inputs = scores.shape
    padded = np.pad(scores, ((0, 0), (0, -inputs % group)), constant_values=-np.inf)
    # One plane a place in the group: whole planes are compared, which is what memory likes.
    planes = np.ascontiguousarray(padded.reshape(rows, -1, group).transpose(2, 0, 1))
    # The rank of an entry is how many of its group beat it; of equal ones the first wins.
    rank = np.zeros(planes.shape, dtype=np.uint8 if group < 256 else np.int64)
    for later in range(1, group):
        for place in range(later):
            beaten = planes[later] > planes[place]
            rank[place] += beaten
            rank[later] += ~beaten
    chosen = np.ascontiguousarray((rank < kept).transpose(1, 2, 0))
    return np.asarray(chosen.reshape(rows, -1)[:, :inputs], dtype=np.bool_)


def top(scores: Scores, count: int) -> Bools:
    """Return the mask of the `count` greatest scores of the whole array; ties go to the first."""
    if count <= 0 or count >= scores.size:
        return np.full(scores.shape, count > 0)
    threshold = np.partition(scores, scores.size - count, axis=None)[scores.size - count]
    chosen = scores > threshold
    ties = np.flatnonzero(scores == threshold)
    chosen.flat[ties[: count - int(chosen.sum())]] = True
    return np.asarray(chosen, dtype=np.bool_)


def _top_of(scores: Scores, permitted: Bools, count: int) -> Bools:
    """Return the mask of the `count` greatest scores among the permitted ones; all of these where there are fewer."""
    chosen = permitted.copy()
    if count < int(permitted.sum()):
        chosen[permitted] = top(scores[permitted], count)
    return chosen


def top_mask(scores: Scores, granularity: Granularity, count: int) -> Bools:
    """Return the mask (out, in) of `count` units with the greatest sum of scores (out, in), each score >= 0.

    Exact for every granularity: within n:m the best N of each group are taken before the best `count` of all.
    """
    length = unit_length(granularity)
    sums = unit_sums(scores, length)
    kept, group = group_of(granularity)
    chosen = top(sums, count) if group == 1 else _top_of(sums, allowed(sums, kept, group), count)
    return np.asarray(spread(chosen, length, scores.shape[1]), dtype=np.bool_)


def top_mask_by_row(scores: Scores, granularity: Granularity, count: int) -> Bools:
    """Return the mask that gives every row the same number of units, the rows of greatest scores one more.

    This is Wanda's comparison group; rows short of room in n:m hand their units on.
    """
    length = unit_length(granularity)
    sums = unit_sums(scores, length)
    permitted = allowed(sums, *group_of(granularity))
    order = np.argsort(np.where(permitted, -sums, np.inf), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
    # Units are taken rank by rank over all rows; within the last rank by score.
    keys = np.lexsort((np.arange(sums.size), -sums.ravel(), rank.ravel(), ~permitted.ravel()))
    chosen = np.zeros(sums.size, dtype=np.bool_)
    chosen[keys[:count]] = True
    return np.asarray(spread(chosen.reshape(sums.shape), length, scores.shape[1]), dtype=np.bool_)
