"""One question: does this network hold a ticket for this target at this granularity and error?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from prunegap.model.draw import Draw
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity
from prunegap.model.network import Network, Readout, Vector, frozen_target


def checked_epsilon(epsilon: float) -> float:
    """Return epsilon as a float; raises BadInputError unless it is finite and above 0."""
    value = float(epsilon)
    if not math.isfinite(value) or value <= 0.0:
        raise BadInputError(f"epsilon {epsilon}", "must be a finite number above 0", "use for example 0.05")
    return value


@dataclass(frozen=True, eq=False)
class Problem:
    """Find a mask with sup over ||x|| <= 1 of |f_mask(x) - relu(<w*, x>)| <= epsilon, or prove there is none.

    `target` is w*, shape (dimension,), any norm but 0. Raises BadInputError for epsilon <= 0 or not finite, a target
    of norm 0 or of another dimension, or a granularity that does not fit the dimension.
    """

    network: Network
    target: Vector
    epsilon: float
    granularity: Granularity
    readout: Readout = Readout.RELU

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", checked_epsilon(self.epsilon))
        object.__setattr__(self, "target", frozen_target(self.target, self.network.dimension))
        # A granularity refuses a dimension it cannot cut (a block longer than the row).
        self.granularity._admits_rows(np.ones((1, self.network.dimension), dtype=np.bool_))

    @classmethod
    def from_draw(
        cls,
        draw: Draw,
        width: int,
        epsilon: float,
        granularity: Granularity,
        readout: Readout = Readout.RELU,
    ) -> Problem:
        """Return the problem of the canonical nested draw at the given width."""
        return cls(draw.network(width), draw.target(), epsilon, granularity, readout)

    @property
    def width(self) -> int:
        """Number of hidden neurons n of the source network."""
        return self.network.width

    @property
    def dimension(self) -> int:
        """Number of inputs d."""
        return self.network.dimension

    @property
    def plain(self) -> Problem:
        """The same question under the simplest name of its granularity, by which searches choose and are chosen."""
        granularity = self.granularity.plain(self.dimension)
        return self if granularity is self.granularity else replace(self, granularity=granularity)

    def prefix(self, width: int) -> Problem:
        """Return the same question about the first `width` neurons."""
        return replace(self, network=self.network.prefix(width))
