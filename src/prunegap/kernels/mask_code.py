"""Masks at a few bits a weight: an adaptive binary range coder over decisions that are mostly foregone.

A mask is coded as: is anything kept; how many (unary); then, candidate after candidate by ascending |value|, whether
it is kept, until all are found. Every decision is predicted by counting what its context gave before: the first one
from what the same input kept for its last eight outputs and from its neighbour among the inputs, the last ones from
the rank of the candidate. All arithmetic is on integers, so the same bytes mean the same masks everywhere. The coder
is the carrying range coder of Martin (1979) with 48 bits of range; the estimator is that of Krichevsky and Trofimov
(1981).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined

Integers = NDArray[np.int64]
Draws = NDArray[np.int32]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

SIZES = 64
"""Contexts of a size; no mask keeps more."""
RANKS = 64
EMPTY, SIZE, RANK = 0, 32, 32 + SIZES
"""Where the contexts of the three kinds of decision begin."""
CONTEXTS = RANK + 4 * RANKS
STATE = 3
"""Words of coder state: low end of the interval (or the code, while decoding), its range, bytes written or read."""

_TOP, _BOTTOM = 48, 40
_MOST_SEEN = 1 << 13


@compiled
def fresh_counts() -> Integers:
    """Return the counts of a coder that has seen nothing, shape (CONTEXTS, 2)."""
    return np.zeros((CONTEXTS, 2), dtype=np.int64)


@inlined
def share(counts, context, interval):
    """Return the part of the interval that stands for 1."""
    ones, all_seen = counts[context, 1], counts[context, 0] + counts[context, 1]
    chance = ((2 * ones + 1) << 15) // (all_seen + 1)
    return (interval >> 16) * min(max(chance, 16), 65520)


@inlined
def learn(counts, context, bit):
    """Count what a context gave; old counts fade, so that masks that change along a layer are followed."""
    counts[context, bit] += 1
    if counts[context, bit] >= _MOST_SEEN:
        counts[context, 0] >>= 1
        counts[context, 1] >>= 1


@inlined
def put(bit, context, counts, state, code):
    """Append one decision to `code`."""
    ones = share(counts, context, state[1])
    if bit:
        state[1] = ones
    else:
        state[0] += ones
        state[1] -= ones
    learn(counts, context, bit)
    while state[1] < (1 << _BOTTOM):
        put_byte(state, code)
        state[1] <<= 8


@inlined
def put_byte(state, code):
    """Move the upper byte of the interval's low end to `code`, with its carry."""
    place = state[2]
    if state[0] >> _TOP:
        k = place - 1
        while code[k] == 255:
            code[k] = 0
            k -= 1
        code[k] += 1
    code[place] = (state[0] >> _BOTTOM) & 255
    state[0] = (state[0] & ((1 << _BOTTOM) - 1)) << 8
    state[2] = place + 1


@inlined
def get(context, counts, state, code):
    """Return the next decision."""
    ones = share(counts, context, state[1])
    if state[0] < ones:
        bit = 1
        state[1] = ones
    else:
        bit = 0
        state[0] -= ones
        state[1] -= ones
    learn(counts, context, bit)
    while state[1] < (1 << _BOTTOM):
        byte = np.int64(code[state[2]]) if state[2] < code.shape[0] else 0
        state[0] = (state[0] << 8) | byte
        state[1] <<= 8
        state[2] += 1
    return bit


@inlined
def rank_context(rank, left):
    """Return the context of a candidate by its rank and by how many (up to 4) are still to be found."""
    return RANK + RANKS * (min(left, 4) - 1) + rank


@inlined
def rank_candidates(factors, draws, g, order, sizes):
    """Fill `order` (k,) with the candidates of goal g by ascending |factors[k] draws[k, g]|, ties by index."""
    for k in range(factors.shape[0]):
        size = abs(factors[k] * draws[k, g])
        place = k
        while place > 0 and sizes[place - 1] > size:
            order[place], sizes[place] = order[place - 1], sizes[place - 1]
            place -= 1
        order[place], sizes[place] = k, size


@compiled
def encode(
    masks: Integers, factors: Floats, draws: Draws, above: Integers, counts: Integers, state: Integers, code: Bytes
) -> None:
    """Append `masks` (m,) of one input to `code`; its candidates are worth factors (k,) times draws (k, m).

    `above` (m,) holds the masks of the input before. `code` must have room for k + 2 bytes a mask.
    """
    candidates, recent = factors.shape[0], np.int64(0)
    order, sizes = np.empty(candidates, dtype=np.int64), np.empty(candidates)
    for g in range(masks.shape[0]):
        mask = masks[g]
        size = 0
        for k in range(candidates):
            size += (mask >> k) & 1
        kept = np.int64(size > 0)
        put(kept, EMPTY + 2 * popcount(recent) + np.int64(above[g] != 0), counts, state, code)
        recent = np.int64(((recent << 1) | kept) & 255)
        if not kept:
            continue
        for k in range(1, candidates):
            put(np.int64(size > k), SIZE + k, counts, state, code)
            if size == k:
                break
        rank_candidates(factors, draws, g, order, sizes)
        left = np.int64(size)
        for rank in range(candidates):
            if left == 0 or left == candidates - rank:
                break
            bit = np.int64(mask >> order[rank]) & np.int64(1)
            put(bit, rank_context(rank, left), counts, state, code)
            left -= bit


@compiled
def decode(
    factors: Floats, draws: Draws, above: Integers, counts: Integers, state: Integers, code: Bytes, masks: Integers
) -> None:
    """Read the `masks` (m,) of one input from `code`, as `encode` wrote them; bytes beyond the end read as 0."""
    candidates, recent = factors.shape[0], np.int64(0)
    order, sizes = np.empty(candidates, dtype=np.int64), np.empty(candidates)
    for g in range(masks.shape[0]):
        kept = get(EMPTY + 2 * popcount(recent) + np.int64(above[g] != 0), counts, state, code)
        recent = np.int64(((recent << 1) | kept) & 255)
        masks[g] = 0
        if not kept or candidates == 0:
            continue
        size = 1
        while size < candidates and get(SIZE + size, counts, state, code):
            size += 1
        rank_candidates(factors, draws, g, order, sizes)
        left = np.int64(size)
        for rank in range(candidates):
            if left == 0:
                break
            bit = np.int64(1)
            if left < candidates - rank:
                bit = get(rank_context(rank, left), counts, state, code)
            masks[g] |= bit << order[rank]
            left -= bit


@inlined
def popcount(word):
    """Return the number of ones in a byte."""
    word = (word & 0x55) + ((word >> 1) & 0x55)
    word = (word & 0x33) + ((word >> 2) & 0x33)
    return (word & 0x0F) + (word >> 4)


@compiled
def begin_encoding(state: Integers) -> None:
    """Reset the coder for a new stretch of bytes."""
    state[0], state[1], state[2] = 0, (1 << _TOP) - 1, 0


@compiled
def end_encoding(state: Integers, code: Bytes) -> int:
    """Write what the coder still holds; return how many bytes of `code` count: trailing zeros are left out."""
    for _ in range(6):
        put_byte(state, code)
    length = state[2]
    while length > 0 and code[length - 1] == 0:
        length -= 1
    return int(length)


@compiled
def begin_decoding(state: Integers, code: Bytes) -> None:
    """Reset the coder to read `code` from its first byte."""
    state[0], state[1], state[2] = 0, (1 << _TOP) - 1, 6
    for k in range(6):
        state[0] = (state[0] << 8) | (np.int64(code[k]) if k < code.shape[0] else 0)
