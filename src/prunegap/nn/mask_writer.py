"""The coded masks of a layer, written input after input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.mask_code import STATE, begin_encoding, encode, end_encoding, fresh_counts
from prunegap.nn.source import Candidates

Masks = NDArray[np.int64]


class MaskWriter:
    """Codes the masks of a layer, input after input, in room that grows."""

    def __init__(self) -> None:
        self.counts, self.state = fresh_counts(), np.zeros(STATE, dtype=np.int64)
        self.code = np.zeros(1 << 16, dtype=np.uint8)
        begin_encoding(self.state)

    def write(self, masks: Masks, candidates: Candidates, above: Masks) -> None:
        """Append the masks of one input."""
        self._make_room((candidates.rows.size + 2) * masks.size)
        encode(masks, candidates.factors, candidates.draws, above, self.counts, self.state, self.code)

    def _make_room(self, room: int) -> None:
        if self.state[2] + room + 16 > self.code.size:
            self.code = np.concatenate([self.code, np.zeros(max(room + 16, self.code.size), dtype=np.uint8)])

    def finished(self) -> bytes:
        """Return the bytes."""
        self._make_room(0)
        return self.code[: end_encoding(self.state, self.code)].tobytes()
