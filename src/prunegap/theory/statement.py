"""A bound as something that can be listed, questioned and printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout

Shape = Callable[[int, float], float]


@dataclass(frozen=True)
class Statement:
    """A lower or upper bound on `quantity`, what it assumes and where it comes from.

    `formula` is as the source writes it. `value` is a function where every constant is known; `shape` one where only
    the growth is, so that the bound is an unknown constant times it; both None where the source gives no more than
    words. Both take the dimension and an epsilon in (0, 1). `granularity` is what the proof is about; see
    `speaks_of`.
    """

    name: str
    side: Literal["lower", "upper", "estimate"]
    granularity: Literal["weight", "neuron"]
    formula: str
    hypotheses: str
    source: str
    quantity: str = "hidden width"
    value: Shape | None = None
    shape: Shape | None = None
    least_dimension: int = 1
    greatest_dimension: int | None = None
    readouts: tuple[Readout, ...] = tuple(Readout)
    initialisations: tuple[Initialisation, ...] = tuple(Initialisation)

    @property
    def constant(self) -> Literal["known", "unknown"]:
        """Whether the bound is a number, or a shape that a constant must be fitted to."""
        return "unknown" if self.value is None else "known"

    def applies(self, dimension: int, readout: Readout, initialisation: Initialisation) -> bool:
        """Return whether the hypotheses hold."""
        in_range = self.least_dimension <= dimension <= (self.greatest_dimension or dimension)
        return in_range and readout in self.readouts and initialisation in self.initialisations

    def speaks_of(self, granularity: str) -> bool:
        """Return whether it bounds the width at a granularity.

        No ticket among all weight masks means none at any granularity; a weight ticket that is built from rows of one
        weight is an N:M ticket; a neuron ticket is a block ticket and a weight ticket.
        """
        if granularity == self.granularity:
            return True
        if self.side == "lower":
            return self.granularity == "weight"
        if self.granularity == "weight":
            return re.fullmatch(r"\d+:\d+", granularity) is not None
        return self.side == "upper" and (granularity == "weight" or granularity.startswith("block:"))
