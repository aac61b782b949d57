"""The canonical nested draw: width n is a prefix of width n + 1 for the same seed.

Anybody can reproduce it with two lines of numpy; the stream's name is stored with every ticket, so that another
generator is refused instead of silently verified against other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from prunegap.model.errors import BadInputError
from prunegap.model.network import Network, Vector, frozen_array

STREAM = "numpy-pcg64-rows-1"
"""Name of the bit stream; it changes whenever the numbers would."""
HELD_BYTES = 2_000_000_000
"""Bytes of the arrays of a network above which nobody should hold it: searches need a few times as much."""


class Initialisation(StrEnum):
    """The law of every entry: uniform U[-1, 1] or normal N(0, 1), independent."""

    UNIFORM = "uniform"
    NORMAL = "normal"

    @classmethod
    def parse(cls, name: str) -> Initialisation:
        """Return the initialisation called `name`; raises BadInputError for any other name."""
        try:
            return cls(name)
        except ValueError:
            raise BadInputError(f"init {name!r}", "must be uniform or normal", "use --init uniform") from None


@dataclass(frozen=True)
class Draw:
    """The recipe of a random network of any width and of its target neuron.

    rows = default_rng(seed).uniform(-1, 1, (n, d + 1)) (or standard_normal); W = rows[:, :d]; v = rows[:, d];
    t = default_rng([seed, 1]).standard_normal(d); w* = t / ||t||.
    Guarantees that network(n) is a prefix of network(n + 1). Raises BadInputError for dimension < 1 or seed < 0.
    """

    dimension: int
    seed: int
    initialisation: Initialisation = Initialisation.UNIFORM

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise BadInputError(f"dimension {self.dimension}", "must be at least 1", "use --dimension 2")
        if self.seed < 0:
            raise BadInputError(f"seed {self.seed}", "must be 0 or more", "use --seeds 5 for seeds 0 to 4")

    def network(self, width: int) -> Network:
        """Return the network of the given width; raises BadInputError for width < 0."""
        if width < 0:
            raise BadInputError(f"width {width}", "must be 0 or more", "use a width of at least 1")
        shape = (width, self.dimension + 1)
        if width == 0:
            return Network(np.empty((0, self.dimension)), np.empty(0))
        generator = np.random.default_rng(self.seed)
        if self.initialisation is Initialisation.UNIFORM:
            rows = generator.uniform(-1.0, 1.0, shape)
        else:
            rows = generator.standard_normal(shape)
        return Network(rows[:, : self.dimension], rows[:, self.dimension])

    def target(self) -> Vector:
        """Return the target vector w* of norm 1, shape (dimension,), read-only."""
        return _target(self.dimension, self.seed)


@lru_cache(maxsize=16)
def _target(dimension: int, seed: int) -> Vector:
    direction = np.random.default_rng([seed, 1]).standard_normal(dimension)
    return frozen_array(direction / np.linalg.norm(direction), "target", 1)


def is_too_wide(draw: Draw, width: int) -> bool:
    """Whether the network of that width takes more than HELD_BYTES."""
    return width > most_held(draw)


def most_held(draw: Draw) -> int:
    """Return the greatest width whose network takes at most HELD_BYTES."""
    return HELD_BYTES // (8 * (draw.dimension + 1))
