"""Published bounds on the minimal width: the shape is known, the constant is not.

A bound can be drawn only after it has been scaled to measurements: `constant_touching` gives the one constant that
a set of measured widths neither contradicts nor leaves slack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from prunegap.model.network import Readout


@dataclass(frozen=True)
class Bound:
    """A published bound: width >= c * shape(d, eps) (side "lower") or width <= c * shape(d, eps) (side "upper").

    `formula` is how the source writes it, `source` where, `granularity` what it is about. The constant c is not
    published. `shape` takes the dimension and an epsilon in (0, 1) and returns a positive number. Hypotheses: the
    dimension is at least `least_dimension`, and the readout is one of `readouts`.
    """

    formula: str
    side: Literal["lower", "upper"]
    granularity: str
    source: str
    shape: Callable[[int, float], float]
    least_dimension: int = 1
    readouts: tuple[Readout, ...] = tuple(Readout)

    def applies(self, dimension: int, readout: Readout) -> bool:
        """Return whether the hypotheses hold."""
        return dimension >= self.least_dimension and readout in self.readouts

    def constant_touching(self, measured: Iterable[tuple[int, float, float]]) -> float | None:
        """Return the extreme constant that no measurement (dimension, epsilon, width) contradicts.

        Lower bound: c = min width / shape, the largest possible; upper bound: c = max width / shape, the smallest
        possible. None without a measurement at epsilon < 1.
        """
        quotients = [width / self.shape(d, epsilon) for d, epsilon, width in measured if epsilon < 1.0]
        if not quotients:
            return None
        return min(quotients) if self.side == "lower" else max(quotients)


NEURON_V1 = Bound(
    formula="Ω(d/ε)",
    side="lower",
    granularity="neuron",
    source="arXiv:2603.02234v1",
    shape=lambda dimension, epsilon: dimension / epsilon,
    # At d = 1 every neuron is a weight, and no kink is there to be matched.
    least_dimension=2,
)

NEURON_V3 = Bound(
    formula="Ω(1/ε)",
    side="lower",
    granularity="neuron",
    source="arXiv:2603.02234v3",
    shape=lambda dimension, epsilon: 1.0 / epsilon,
    least_dimension=2,
)

WEIGHT_V1 = Bound(
    formula="O(d log(1/ε))",
    side="upper",
    granularity="weight",
    source="arXiv:2603.02234v1",
    shape=lambda dimension, epsilon: dimension * math.log(1.0 / epsilon),
    # Without the relu after the sum, masked kinks would have to match the target's own.
    readouts=(Readout.RELU,),
)

WEIGHT_V3 = Bound(
    formula="O(log(1/ε))",
    side="upper",
    granularity="weight",
    source="arXiv:2603.02234v3",
    shape=lambda dimension, epsilon: math.log(1.0 / epsilon),
    readouts=(Readout.RELU,),
)

PUBLISHED = (NEURON_V1, NEURON_V3, WEIGHT_V1, WEIGHT_V3)
"""Every bound of the paper, in both of its versions, which disagree about the factor d."""
