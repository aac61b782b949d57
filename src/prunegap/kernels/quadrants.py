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
    columns = lows.shape[0]
    c_starts = window_starts(d[:, minus], lows[minus] - c[:, minus])
    a_starts = window_starts(b[:, plus], lows[plus] - a[:, plus])
    bits = 10
    while bits < MOST_BITS and (1 << bits) < 32 * pairs:
        bits += 1
    words = 1 << (bits - 6)
    table = np.zeros(words, dtype=np.uint64)
    w3, wo = highs[3] - lows[3], highs[other] - lows[other]
    one = np.uint64(1)
    low6 = np.uint64(63)
    # First the pairs of C and D mark their cells.
    for i in range(c.shape[0]):
        j = c_starts[i]
        while j < d.shape[0] and c[i, minus] + d[j, minus] <= highs[minus]:
            bit = bit_of(cell_of(d[j, 3] + c[i, 3], 0.0, w3), cell_of(c[i, other] + d[j, other], 0.0, wo), bits)
            table[bit >> np.uint64(6)] |= one << (bit & low6)
            j += 1
    # Then the pairs of A and B that fall on a marked cell are kept.
    size = 1024
    kept = np.empty((size, 2), dtype=np.int64)
    cells = np.empty(size, dtype=np.int64)
    passed = 0
    for i in range(a.shape[0]):
        j = a_starts[i]
        while j < b.shape[0] and a[i, plus] + b[j, plus] <= highs[plus]:
            k3 = cell_of(lows[3] - a[i, 3] - b[j, 3], 0.0, w3)
            ko = cell_of(lows[other] - a[i, other] - b[j, other], 0.0, wo)
            marked = False
            for u in range(2):
                for v in range(2):
                    bit = bit_of(k3 + u, ko + v, bits)
                    marked |= (table[bit >> np.uint64(6)] >> (bit & low6)) & one == one
            if marked:
                if passed == size:
                    size *= 2
                    more = np.empty((size, 2), dtype=np.int64)
                    more[:passed] = kept
                    kept = more
                    wider = np.empty(size, dtype=np.int64)
                    wider[:passed] = cells
                    cells = wider
                kept[passed, 0], kept[passed, 1] = i, j
                cells[passed] = k3
                passed += 1
            j += 1
    order = np.argsort(cells[:passed])
    cells = cells[:passed][order]
    kept = kept[:passed][order]
    # A second table holds the cells of those, so that few pairs of C and D have to be looked up among them.
    table[:] = np.uint64(0)
    for p in range(passed):
        i, j = kept[p]
        k3 = cell_of(lows[3] - a[i, 3] - b[j, 3], 0.0, w3)
        ko = cell_of(lows[other] - a[i, other] - b[j, other], 0.0, wo)
        for u in range(2):
            for v in range(2):
                bit = bit_of(k3 + u, ko + v, bits)
                table[bit >> np.uint64(6)] |= one << (bit & low6)
    for i in range(c.shape[0]):
        j = c_starts[i]
        while j < d.shape[0] and c[i, minus] + d[j, minus] <= highs[minus]:
            k3 = cell_of(d[j, 3] + c[i, 3], 0.0, w3)
            bit = bit_of(k3, cell_of(c[i, other] + d[j, other], 0.0, wo), bits)
            if (table[bit >> np.uint64(6)] >> (bit & low6)) & one == one:
                p = int(np.searchsorted(cells, k3 - 1))
                while p < passed and cells[p] <= k3:
                    fits = True
                    for k in range(columns):
                        total = a[kept[p, 0], k] + b[kept[p, 1], k] + c[i, k] + d[j, k]
                        if total < lows[k] or total > highs[k]:
                            fits = False
                            break
                    if fits:
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
