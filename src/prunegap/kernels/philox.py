"""Philox 4x64-10, a generator with random access: any draw of a stream costs the same, and none needs those before
it.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). The numbers are those of
`numpy.random.Philox(key=[seed, KEY], counter=[0, part, block, layer])`, bit for bit; numpy adds 1 to the counter
before its first four numbers, hence the `+ 1` below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined

Draws = NDArray[np.int32]
Rows = NDArray[np.int64]

KEY = 0x7072756E65676170
"""Second word of every key: "prunegap" in ASCII."""
BITS = 24
"""Draws are odd multiples of 2^-BITS in (-1, 1): never 0, symmetric, and exact in float32."""

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_KEY = np.uint64(KEY)
_DROPPED = np.uint64(64 - BITS)


@inlined
def high_product(a, b):
    """Return the upper 64 bits of the product of two unsigned 64-bit numbers."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF)


@inlined
def four_words(seed, layer, block, part, place):
    """Return the raw 64-bit numbers 4 place to 4 place + 3 of the stream (seed, layer, block, part)."""
    c0, c1, c2, c3 = np.uint64(place) + np.uint64(1), np.uint64(part), np.uint64(block), np.uint64(layer)
    k0, k1 = np.uint64(seed), _KEY
    for _ in range(10):
        h0, h1 = high_product(_M0, c0), high_product(_M1, c2)
        c0, c1, c2, c3 = h1 ^ c1 ^ k0, _M1 * c2, h0 ^ c3 ^ k1, _M0 * c0
        k0, k1 = k0 + _W0, k1 + _W1
    return c0, c1, c2, c3


@inlined
def odd_numerator(word):
    """Return the draw of a raw number, times 2^24: an odd integer in (-2^24, 2^24)."""
    return 2 * np.int64(word >> _DROPPED) + 1 - (1 << BITS)


@compiled
def drawn(seed: int, layer: int, block: int, part: int, start: int, into: Draws) -> None:
    """Fill `into` (n,) with the numerators of draws start..start + n - 1 of the stream (seed, layer, block, part)."""
    count = into.shape[0]
    for place in range(start >> 2, (start + count + 3) >> 2):
        words = four_words(seed, layer, block, part, place)
        for lane in range(4):
            k = 4 * place + lane - start
            if 0 <= k < count:
                into[k] = odd_numerator(words[lane])


@compiled
def drawn_apart(seed: int, layer: int, block: int, part: int, start: int, step: int, into: Draws) -> None:
    """Fill `into` (n,) with the numerators of draws start, start + step, ... of a stream, without those between."""
    for k in range(into.shape[0]):
        drawn(seed, layer, block, part, start + k * step, into[k : k + 1])


@compiled
def drawn_rows(seed: int, layer: int, block: int, part: int, rows: Rows, into: Draws) -> None:
    """Fill `into` (k, m) with the `rows` (k,) of a stream cut into rows of m draws."""
    for k in range(rows.shape[0]):
        drawn(seed, layer, block, part, rows[k] * into.shape[1], into[k])
