"""Masks of one bit an entry through the adaptive coder of `mask_code`, in stretches of `group` entries.

The chance of a 1 is learned for every place in the group and every number kept before it there. So masks that keep
N of M take log2(M choose N) bits a group, and with groups of 1 any mask takes the entropy of its kept fraction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled
from prunegap.kernels.mask_code import STATE, begin_decoding, begin_encoding, end_encoding, get, put

Bits = NDArray[np.uint8]
MOST_GROUPED = 64


@compiled
def encode_bits(bits: Bits, group: int, code: Bits) -> int:
    """Write `bits` (n,) into `code`, which has room for 2 n + 16 bytes (no decision takes more than 12 bits).

    Return how many bytes count.
    """
    counts, state = np.zeros((MOST_GROUPED * MOST_GROUPED, 2), dtype=np.int64), np.zeros(STATE, dtype=np.int64)
    begin_encoding(state)
    kept = np.int64(0)
    for k in range(bits.shape[0]):
        place = k % group
        if place == 0:
            kept = np.int64(0)
        bit = np.int64(bits[k])
        put(bit, place * MOST_GROUPED + kept, counts, state, code)
        kept += bit
    return end_encoding(state, code)


@compiled
def decode_bits(code: Bits, group: int, bits: Bits) -> None:
    """Fill `bits` (n,) from `code`, as `encode_bits` wrote them."""
    counts, state = np.zeros((MOST_GROUPED * MOST_GROUPED, 2), dtype=np.int64), np.zeros(STATE, dtype=np.int64)
    begin_decoding(state, code)
    kept = np.int64(0)
    for k in range(bits.shape[0]):
        place = k % group
        if place == 0:
            kept = np.int64(0)
        bit = get(place * MOST_GROUPED + kept, counts, state, code)
        bits[k] = bit
        kept += bit
