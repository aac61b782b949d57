"""The random network that tickets are cut from: one seed, any entry at random access, nothing ever redrawn.

Target layer l with inputs j becomes two random layers. The first has `width` hidden neurons (j, t) for every input
j, the constant inputs of a bias (always 1) included: U of shape (hidden, inputs + constants). The second reads all
of them: V of shape (outputs, hidden), or (outputs, hidden / groups, kh, kw) where the target is a convolution (da
Cunha, Natale, Viennot 2022: the first layer is then a 1x1 convolution). The entries of U are uniform on (-1, 1),
those of V on (-scale, scale), with scale a power of two, the one number that a layer takes from its target. A draw is
an odd multiple of 2^-24, so that float32 holds every entry and float64 every sum of up to 16 products exactly.

Draw p of the stream (seed, layer, j, part) is number p of numpy.random.Philox(key=[seed, KEY], counter=[0, part, j,
layer]): its upper 24 bits b give (2 b + 1) / 2^24 - 1. Part 0 holds U[(j, t), i] at t (inputs + constants) + i,
part 1 holds column (j, t) of V at t m..t m + m - 1, so a wider source has the narrower one inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.philox import BITS, drawn_apart, drawn_rows
from prunegap.kernels.smallest import MOST_CANDIDATES
from prunegap.model.errors import BadInputError
from prunegap.nn.graph import LayerShape

STREAM = "philox4x64-10/odd-24-bit/blocks-1"
"""Name of the bit stream; it changes whenever the numbers would."""
UNIT = 2.0 ** (-2 * BITS)
"""Products of numerators of two draws count these."""
MAX_SEED = 2**63 - 1
MAX_WIDTH = 1024
MAX_CONSTANTS = 16

Draws = NDArray[np.int32]
Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """The hidden neurons (j, t) that may carry one side of input j: t in `rows` (k,), ascending.

    Candidate k is worth factors[k] draws[k, g] 2^-48 scale to output weight g: |u| and v in units of 2^-24.
    """

    rows: NDArray[np.int64]
    factors: Floats
    draws: Draws


@dataclass(frozen=True)
class SourceLayer:
    """The two random layers for one layer of the target.

    `index` is the layer's place among the layers of its network, `width` the hidden neurons an input has, scale =
    2^exponent, `constants` the inputs that are always 1 (0 without bias; more than one where the bias is large).
    Raises BadInputError for a seed outside 0..2^63 - 1 or a width outside 1..1024.
    """

    shape: LayerShape
    seed: int
    index: int
    width: int
    exponent: int
    constants: int = -1

    def __post_init__(self) -> None:
        if self.constants == -1:
            object.__setattr__(self, "constants", int(self.shape.bias))
        if not self.shape.bias <= self.constants <= MAX_CONSTANTS * self.shape.bias:
            raise BadInputError(f"{self.constants} constant inputs", "do not fit the bias", "make the ticket anew")
        if not 0 <= self.seed <= MAX_SEED:
            raise BadInputError(f"seed {self.seed}", "must lie in 0..2^63 - 1", "use --seed 0")
        if not 1 <= self.width <= MAX_WIDTH:
            raise BadInputError(f"width {self.width}", f"must lie in 1..{MAX_WIDTH}", "use --width 64")
        if not -126 + BITS <= self.exponent <= 64:
            raise BadInputError(f"scale 2^{self.exponent}", "leaves the range of float32", "rescale the target")

    @property
    def scale(self) -> float:
        """Half the range of the second layer's entries."""
        return 2.0**self.exponent

    @property
    def blocks(self) -> int:
        """Inputs, the constant ones included."""
        return self.shape.inputs + self.constants

    @property
    def hidden(self) -> int:
        """Hidden neurons (channels) of the random layer pair."""
        return self.blocks * self.width

    @property
    def source_weights(self) -> int:
        """Weights of both random layers."""
        second = self.shape.widened(self.width).weight_count + self.shape.outputs * self.constants * self.width
        return self.hidden * self.blocks + second

    def served(self, block: int) -> int:
        """Return the number of target weights that input `block` has."""
        return self.shape.outputs if block >= self.shape.inputs else self.shape.weights_per_input

    def first(self, block: int) -> Draws:
        """Return the numerators of U[(block, t), block] for every t, shape (width,)."""
        drawn = np.empty(self.width, dtype=np.int32)
        drawn_apart(self.seed, self.index, block, 0, block, self.blocks, drawn)
        return drawn

    def candidates(self, block: int, side: int) -> Candidates:
        """Return the first 40 hidden neurons of an input whose weight u has the sign `side` (1 or -1)."""
        first = self.first(block)
        rows = np.flatnonzero(first * side > 0)[:MOST_CANDIDATES]
        draws = np.empty((rows.size, self.served(block)), dtype=np.int32)
        drawn_rows(self.seed, self.index, block, 1, rows, draws)
        return Candidates(rows, np.abs(first[rows]).astype(np.float64), draws)

    def first_dense(self) -> Float32s:
        """Return U, shape (hidden, inputs + constants); neuron (j, t) is row j width + t, the constants last."""
        drawn = self._all(0, self.blocks).astype(np.float32) * np.float32(2.0**-BITS)
        return drawn.reshape(self.hidden, self.blocks)

    def second_dense(self) -> Float32s:
        """Return V, shape (outputs, inputs width) or (outputs, inputs / groups width, kh, kw), without the
        constant's.

        `constant_dense` has the columns of the constant input.
        """
        blocks = range(self.shape.inputs)
        rows = np.arange(self.width)
        columns = np.empty((self.shape.inputs, self.width, self.shape.weights_per_input), dtype=np.int32)
        for block in blocks:
            drawn_rows(self.seed, self.index, block, 1, rows, columns[block])
        flat = columns.reshape(self.shape.inputs * self.width, -1).astype(np.float32)
        flat *= np.float32(2.0**-BITS * self.scale)
        return self.shape.widened(self.width).from_columns(flat)

    def constant_dense(self) -> Float32s:
        """Return the columns of V that the constants' hidden neurons have, shape (outputs, constants width)."""
        draws = np.empty((self.constants * self.width, self.shape.outputs), dtype=np.int32)
        for k in range(self.constants):
            part = draws[k * self.width : (k + 1) * self.width]
            drawn_rows(self.seed, self.index, self.shape.inputs + k, 1, np.arange(self.width), part)
        return np.ascontiguousarray((draws.astype(np.float32) * np.float32(2.0**-BITS * self.scale)).T)

    def _all(self, part: int, length: int) -> Draws:
        drawn = np.empty((self.blocks, self.width, length), dtype=np.int32)
        for block in range(self.blocks):
            drawn_rows(self.seed, self.index, block, part, np.arange(self.width), drawn[block])
        return drawn
