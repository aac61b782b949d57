"""All ways to meet the 2m sums of m inputs exactly: four lists, of which every sum of two inputs needs only two.

A row that keeps one weight adds v_i |W_ij| to the sum of (j, sign of W_ij). Let the signs of W on the first two
inputs cut the neurons into four classes A (+, +), B (+, -), C (-, +), D (-, -). The sum (1, +) is made by A and B,
(1, -) by C and D, (2, +) by A and C, (2, -) by B and D: every list meets two others. So pairs of A and B that meet
(1, +) are joined with pairs of C and D that meet (1, -); (2, +) cuts the work into slabs that fit a cache, (2, -) and
one sum more are met through a table of bits, the others are compared. With n neurons there are (m + 1)^n
assignments, (m + 1)^(n / 2) times epsilon pairs a side, and each pair costs a few cache accesses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bits = NDArray[np.uint64]

MOST_BITS = 28
"""Logarithm of the bits of one table: 32 MB at most."""
HASH = np.uint64(0x9E3779B97F4A7C15)


@compiled
def listed_class(values: Floats, sides: Integers, forced: int) -> tuple[Floats, Integers]:
    """Return what every assignment of a class reaches, (c, 2m), and its code, (c,).

    `values` (k, m) holds v_i |W_ij| (0: no such weight), `sides` (k, m) is 0 where W_ij > 0 and 1 else; column
    2j + side of the result is the sum of (j, side). Digit i of the code in base m + 1 is 0 for none or 1 + the input
    kept. The neuron `forced`, if it is not -1, keeps some weight.
    """
    count, inputs = values.shape
    base = inputs + 1
    size = 1
    for i in range(count):
        options = 0 if i == forced else 1
        for j in range(inputs):
            options += values[i, j] != 0.0
        size *= options
    sums = np.zeros((size, 2 * inputs))
    codes = np.zeros(size, dtype=np.int64)
    filled, digit = min(1, size), 1
    for i in range(count):
        old = filled
        at = 0 if i == forced else old
        # The copies that keep a weight come after the originals; those of a forced neuron replace them, last first.
        first = -1
        for j in range(inputs):
            if values[i, j] == 0.0:
                continue
            if i == forced and first < 0:
                first = j
                at = old
                continue
            for c in range(old):
                sums[at + c] = sums[c]
                sums[at + c, 2 * j + sides[i, j]] += values[i, j]
                codes[at + c] = codes[c] + (j + 1) * digit
            at += old
        if i == forced:
            if first < 0:
                return sums[:0], codes[:0]
            for c in range(old):
                sums[c, 2 * first + sides[i, first]] += values[i, first]
                codes[c] += (first + 1) * digit
        filled = at
        digit *= base
    return sums[:filled], codes[:filled]


@compiled
def cell_of(value: float, low: float, width: float) -> int:
    """Return the cell of length `width` that the value lies in."""
    return int(np.floor((value - low) / width))


@compiled
def bit_of(one: int, other: int, bits: int) -> np.uint64:
    """Return the bit, of 2^bits, that a pair of cells falls on."""
    mixed = np.uint64(one) * HASH + np.uint64(other)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed >> np.uint64(64 - bits)


@compiled
def window_starts(ascending: Floats, lows: Floats) -> Integers:
    """Return for each descending bound the first place in `ascending` that is not below it."""
    starts = np.empty(lows.shape[0], dtype=np.int64)
    place = ascending.shape[0]
    for k in range(lows.shape[0]):
        while place > 0 and ascending[place - 1] >= lows[k]:
            place -= 1
        starts[k] = place
    return starts


@compiled
def mark(table: NDArray[np.uint64], bits: int, one: int, other: int) -> None:
    """Set the bit of a pair of cells."""
    bit = bit_of(one, other, bits)
    table[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))


@compiled
def is_marked(table: NDArray[np.uint64], bits: int, one: int, other: int) -> bool:
    """Return whether the bit of a pair of cells is set."""
    bit = bit_of(one, other, bits)
    return bool((table[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1))


@compiled
def mark_pairs(
    table: NDArray[np.uint64], bits: int, c: Floats, d: Floats, starts: Integers, column: int, other: int,
    lows: Floats, highs: Floats,
) -> None:  # fmt: skip
    """Mark the cells, in the columns 3 and `other`, of all pairs of C and D that fit in `column`."""
    w3, wo = highs[3] - lows[3], highs[other] - lows[other]
    for i in range(c.shape[0]):
        j = starts[i]
        while j < d.shape[0] and c[i, column] + d[j, column] <= highs[column]:
            mark(table, bits, cell_of(d[j, 3] + c[i, 3], 0.0, w3), cell_of(c[i, other] + d[j, other], 0.0, wo))
            j += 1


@compiled
def pairs_on_marks(
    table: NDArray[np.uint64], bits: int, a: Floats, b: Floats, starts: Integers, column: int, other: int,
    lows: Floats, highs: Floats,
) -> tuple[Integers, Integers, Integers]:  # fmt: skip
    """Return the pairs of A and B whose complement, up to one cell on, is marked: (k, 2), ascending in the cell of
    column 3, and their cells in the columns 3 and `other`, each (k,)."""
    w3, wo = highs[3] - lows[3], highs[other] - lows[other]
    room, count = 1024, 0
    found = np.empty((room, 4), dtype=np.int64)
    for i in range(a.shape[0]):
        j = starts[i]
        while j < b.shape[0] and a[i, column] + b[j, column] <= highs[column]:
            k3 = cell_of(lows[3] - a[i, 3] - b[j, 3], 0.0, w3)
            ko = cell_of(lows[other] - a[i, other] - b[j, other], 0.0, wo)
            marked = False
            for u in range(2):
                for v in range(2):
                    marked |= is_marked(table, bits, k3 + u, ko + v)
            if marked:
                if count == room:
                    room *= 2
                    more = np.empty((room, 4), dtype=np.int64)
                    more[:count] = found
                    found = more
                found[count, 0], found[count, 1], found[count, 2], found[count, 3] = i, j, k3, ko
                count += 1
            j += 1
    found = found[:count][np.argsort(found[:count, 2])]
    return found[:, :2].copy(), found[:, 2].copy(), found[:, 3].copy()


@compiled
def within(
    a: Floats, b: Floats, c: Floats, d: Floats, i: int, j: int, k: int, m: int, lows: Floats, highs: Floats
) -> bool:
    """Return whether the sums of four rows lie within their intervals."""
    for column in range(lows.shape[0]):
        total = a[i, column] + b[j, column] + c[k, column] + d[m, column]
        if total < lows[column] or total > highs[column]:
            return False
    return True


@compiled
def joined(
    left: tuple[Floats, Floats],
    right: tuple[Floats, Floats],
    first: tuple[int, int, int],
    lows: Floats,
    highs: Floats,
    pairs: int,
    room: int,
) -> tuple[Integers, int]:
    """Return quadruples of rows (A, B, C, D) whose sums lie within [lows, highs], and how many there are.

    `left` holds the sums of A and B, ascending in the column `first[0]`, `right` those of C and D, ascending in
    `first[1]`. `first[2]` is the second column to look up, besides 3. About `pairs` pairs are expected a
    side. At most `room` quadruples are written, (k, 4); where there are more the count is above room.
    """
    a, b = left
    c, d = right
    plus, minus, other = first
    found = np.empty((room, 4), dtype=np.int64)
    count = 0
    c_starts = window_starts(d[:, minus], lows[minus] - c[:, minus])
    a_starts = window_starts(b[:, plus], lows[plus] - a[:, plus])
    bits = 10
    while bits < MOST_BITS and (1 << bits) < 32 * pairs:
        bits += 1
    table = np.zeros(1 << (bits - 6), dtype=np.uint64)
    mark_pairs(table, bits, c, d, c_starts, minus, other, lows, highs)
    kept, cells, other_cells = pairs_on_marks(table, bits, a, b, a_starts, plus, other, lows, highs)
    # A second table holds the cells of those, so that few pairs of C and D have to be looked up among them.
    table[:] = np.uint64(0)
    for p in range(cells.shape[0]):
        for u in range(2):
            for v in range(2):
                mark(table, bits, cells[p] + u, other_cells[p] + v)
    w3, wo = highs[3] - lows[3], highs[other] - lows[other]
    for i in range(c.shape[0]):
        j = c_starts[i]
        while j < d.shape[0] and c[i, minus] + d[j, minus] <= highs[minus]:
            k3 = cell_of(d[j, 3] + c[i, 3], 0.0, w3)
            if is_marked(table, bits, k3, cell_of(c[i, other] + d[j, other], 0.0, wo)):
                p = int(np.searchsorted(cells, k3 - 1))
                while p < cells.shape[0] and cells[p] <= k3:
                    if within(a, b, c, d, kept[p, 0], kept[p, 1], i, j, lows, highs):
                        if count < room:
                            found[count, 0], found[count, 1] = kept[p, 0], kept[p, 1]
                            found[count, 2], found[count, 3] = i, j
                        count += 1
                    p += 1
            j += 1
    return found[: min(count, room)], count


@compiled
def count_pairs(ascending: Floats, others: Floats, low: float, high: float) -> Integers:
    """Return for each of `others` how many of `ascending` bring the sum into [low, high]."""
    counts = np.empty(others.shape[0], dtype=np.int64)
    for k in range(others.shape[0]):
        counts[k] = np.searchsorted(ascending, high - others[k], side="right") - np.searchsorted(
            ascending, low - others[k]
        )
    return counts
