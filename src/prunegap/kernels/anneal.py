"""Simulated annealing of a kept set: flips, swaps, and pairs, each tried by walking once over a table of inputs.

The energy of a kept set is sum_k max(0, low_k - s_k, s_k - high_k)^2 for the sums s = table^T kept. Of the columns
that share an owner at most one is kept: keeping another drops it in the same move. Sums are held as integers, so that
they never drift, sixteen to a vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.excess import LANES, add_rows, moved_excess
from prunegap.kernels.jit import compiled, inlined

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

SUM_BITS = 29
"""All magnitudes of one input together stay below 2^SUM_BITS steps."""
UNBOUNDED = 1 << 30

EXPONENTIALS = -np.log((np.arange(512) + 0.5) / 512)
"""Quantiles of the exponential distribution: how much energy, in temperatures, a move may cost."""

GOLDEN, TWICE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x3C6EF372FE94F82A)
FIRST_MIX, SECOND_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
THIRTY, TWENTY_SEVEN, THIRTY_ONE, FIFTY_FIVE = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(55)
HALF, LOW_HALF = np.uint64(32), np.uint64(0xFFFFFFFF)


@inlined
def _mixed(bits):
    """Return 64 random bits for the next multiple of GOLDEN (splitmix64, Steele et al. 2014)."""
    bits = (bits ^ (bits >> THIRTY)) * FIRST_MIX
    bits = (bits ^ (bits >> TWENTY_SEVEN)) * SECOND_MIX
    return bits ^ (bits >> THIRTY_ONE)


@inlined
def _below(bits, count):
    """Return an integer from 0 to count - 1, made from the lower 32 of random bits."""
    return np.int64(((bits & LOW_HALF) * np.uint64(count)) >> HALF)


@inlined
def _set(i, keep, kept, order, places, counts):
    """Keep column i or drop it: `order` holds the kept ones before the others, places[i] where i stands in it."""
    kept[i] = keep
    last = counts[0] if keep else counts[0] - 1
    other, place = order[last], places[i]
    order[place], places[other] = other, place
    order[last], places[i] = i, last
    counts[0] += 1 if keep else -1


@inlined
def _opposite(offset, nothing):
    """Return where the negative of a row begins."""
    if offset == nothing:
        return nothing
    return offset + (nothing // 2 if offset < nothing // 2 else -(nothing // 2))


@compiled
def in_steps(table, low, high):
    """Return a table (c, k) and its bounds as integers, and the size of a step.

    rows (2 c + 1, k, up to a multiple of LANES) holds every column, then its negative, then zeros. Sums that meet the
    integer bounds meet the given ones up to half a step for every kept column.
    """
    count, inputs = table.shape
    whole = -(-inputs // LANES) * LANES
    greatest = 1e-300
    for k in range(inputs):
        total = 0.0
        for i in range(count):
            total += np.abs(table[i, k])
        for bound in (low[k], high[k]):
            if np.abs(bound) < np.inf:
                total = max(total, np.abs(bound))
        greatest = max(greatest, total)
    step = greatest / (1 << SUM_BITS)
    rows = np.zeros((2 * count + 1, whole), np.int32)
    least, most = np.full(whole, -UNBOUNDED, np.int32), np.full(whole, UNBOUNDED, np.int32)
    for k in range(inputs):
        for i in range(count):
            rows[i, k] = np.int32(np.rint(table[i, k] / step))
            rows[count + i, k] = -rows[i, k]
        if low[k] > -np.inf:
            least[k] = np.int32(np.ceil(low[k] / step))
        if high[k] < np.inf:
            most[k] = np.int32(np.floor(high[k] / step))
    return rows, least, most, step


@compiled
def anneal(
    table: Floats,
    low: Floats,
    high: Floats,
    kept: Flags,
    owners: Integers,
    partners: Integers,
    hot: float,
    cold: float,
    moves: int,
    seed: int,
) -> float:
    """Change `kept` (c,) in place; return the energy reached, 0 where every condition is met.

    `table` (c, k) holds what column i adds at input k; `owners` (c,) its neuron, of which at most one column is kept;
    `partners` (c, m) whose kinks lie near those of i: a third of the moves flip i, a third exchange a kept for a
    dropped column, a third flip i with a partner. Temperatures fall from `hot` to `cold` geometrically over `moves`
    moves.
    """
    rows, least, most, step = in_steps(table, low, high)
    count, inputs = table.shape[0], rows.shape[1]
    nothing = 2 * count * inputs
    holders = np.full(owners.max() + 1, -1, dtype=np.int64)
    order, places, counts = np.arange(count), np.arange(count), np.zeros(1, dtype=np.int64)
    sums = np.zeros(inputs, np.int32)
    for i in range(count):
        if kept[i]:
            _set(i, True, kept, order, places, counts)
            holders[owners[i]] = i
            add_rows(sums, rows, i * inputs, nothing, inputs)
    state = np.uint64(seed)
    moved, offsets = np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)
    energy = moved_excess(sums, rows, nothing, nothing, least, most, inputs)
    temperature, cooling = hot / step**2, (cold / hot) ** (1.0 / moves)
    for _ in range(moves):
        if energy == 0.0:
            break
        temperature *= cooling
        bits, others = _mixed(state + GOLDEN), _mixed(state + TWICE)
        state += TWICE
        kind = _below(others, 3)
        if kind == 1:
            if counts[0] in (0, count):
                continue
            i = order[_below(bits, counts[0])]
            j = order[counts[0] + _below(bits >> HALF, count - counts[0])]
        else:
            i = _below(bits, count)
            j = i if kind == 0 else partners[i, _below(bits >> HALF, partners.shape[1])]
        if owners[i] == owners[j] and kept[i]:
            # Two columns of one neuron: the one that is dropped takes the place of the one that is kept.
            i, j = j, i
        # Written out: a call with arrays would count references, which takes longer than the move.
        toggled, asked = 0, 1 if owners[i] == owners[j] else 2
        for t in range(asked):
            column = i if t == 0 else j
            if not kept[column] and holders[owners[column]] >= 0:
                moved[toggled] = holders[owners[column]]
                toggled += 1
            moved[toggled] = column
            toggled += 1
        for t in range(4):
            offsets[t] = nothing
            if t < toggled:
                offsets[t] = (moved[t] + (count if kept[moved[t]] else 0)) * inputs
        if toggled > 2:
            # Rare: somebody's other column goes as well.
            add_rows(sums, rows, offsets[2], offsets[3], inputs)
        reached = moved_excess(sums, rows, offsets[0], offsets[1], least, most, inputs)
        taken = reached <= energy + temperature * EXPONENTIALS[others >> FIFTY_FIVE]
        if toggled > 2 and not taken:
            for t in range(2, 4):
                offsets[t] = _opposite(offsets[t], nothing)
            add_rows(sums, rows, offsets[2], offsets[3], inputs)
        if taken:
            add_rows(sums, rows, offsets[0], offsets[1], inputs)
            for t in range(toggled):
                column = moved[t]
                if kept[column]:
                    holders[owners[column]] = -1
                _set(column, not kept[column], kept, order, places, counts)
            for t in range(toggled):
                if kept[moved[t]]:
                    holders[owners[moved[t]]] = moved[t]
            energy = reached
    return float(energy * step**2)
