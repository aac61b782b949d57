"""The inputs that a certificate speaks of, as a text that a file can hold.

box:0:1                        every entry in [0, 1]
box:-2.12,-2.04,-1.8:2.25,2.43,2.64    for each channel an interval
pixels:0.1307:0.3081           (p - mean) / spread for pixels p in [0, 1], the mean and the spread of each channel
ball:1                         ||x||_2 <= 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prunegap.model.errors import BadInputError

_FORMS = "must be box:LOW:HIGH, pixels:MEAN:SPREAD or ball:RADIUS"
_REMEDY = "use --inputs box:0:1; for channels of their own give numbers with commas"


@dataclass(frozen=True)
class InputSet:
    """The box low <= x <= high, given once or for each channel (the first axis), or the ball ||x||_2 <= radius.

    Raises BadInputError for an empty or infinite set.
    """

    kind: str = "box"
    low: float | tuple[float, ...] = 0.0
    high: float | tuple[float, ...] = 1.0
    radius: float = 1.0

    def __post_init__(self) -> None:
        lows, highs = (self.lows, self.highs) if self.kind == "box" else ((0.0,), (self.radius,))
        good = self.kind in ("box", "ball") and len(lows) == len(highs) > 0
        if not good or not all(
            math.isfinite(low) and math.isfinite(high) and low < high for low, high in zip(lows, highs, strict=True)
        ):
            raise BadInputError(f"input set {self}", _FORMS, _REMEDY)

    @property
    def lows(self) -> tuple[float, ...]:
        """The least value of each channel, or one for all."""
        return self.low if isinstance(self.low, tuple) else (self.low,)

    @property
    def highs(self) -> tuple[float, ...]:
        """The greatest value of each channel, or one for all."""
        return self.high if isinstance(self.high, tuple) else (self.high,)

    @classmethod
    def parse(cls, text: str) -> InputSet:
        """Return the set that `text` names; raises BadInputError for any other text."""
        kind, *parts = text.split(":")
        try:
            values = [tuple(float(number) for number in part.split(",")) for part in parts]
        except ValueError:
            values = []
        if kind == "pixels" and len(values) == 2 and len(values[0]) == len(values[1]) and min(values[1]) > 0.0:
            pairs = list(zip(*values, strict=True))
            # Rounded outwards, for networks that normalise in float32.
            values = [
                tuple(_outward(-mean / spread, -1.0) for mean, spread in pairs),
                tuple(_outward((1.0 - mean) / spread, 1.0) for mean, spread in pairs),
            ]
            kind = "box"
        if kind == "box" and len(values) == 2:
            low, high = (value[0] if len(value) == 1 else value for value in values)
            return cls("box", low=low, high=high)
        if kind == "ball" and len(values) == 1 and len(values[0]) == 1:
            return cls("ball", radius=values[0][0])
        raise BadInputError(f"input set {text!r}", _FORMS, _REMEDY)

    def __str__(self) -> str:
        if self.kind != "box":
            return f"ball:{self.radius!r}".removesuffix(".0")
        return "box:" + ":".join(
            ",".join(repr(v).removesuffix(".0") for v in side) for side in (self.lows, self.highs)
        )

    @property
    def non_negative(self) -> bool:
        """Whether no input has a negative entry."""
        return self.kind == "box" and min(self.lows) >= 0.0

    def non_negative_after(self, by: Sequence[float], padded: bool) -> bool:
        """Return whether low + by is nowhere negative, channel by channel; zeros of a padding count as inputs."""
        lows = self.lows * (len(by) // len(self.lows))
        return (
            self.kind == "box"
            and len(lows) == len(by)
            and all((min(low, 0.0) if padded else low) + add >= 0.0 for low, add in zip(lows, by, strict=True))
        )

    def ends(self, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest value of every entry, (1, *shape) float64.

        Raises BadInputError where the input has another number of channels.
        """
        if self.kind != "box":
            ones = torch.ones((1, *shape), dtype=torch.float64)
            return -self.radius * ones, self.radius * ones
        if len(self.lows) not in (1, shape[0]):
            raise BadInputError(f"input set {self}", f"has other channels than an input of {list(shape)}", _REMEDY)
        across = (1, -1, *[1] * (len(shape) - 1))
        low, high = (torch.tensor(side, dtype=torch.float64).reshape(across) for side in (self.lows, self.highs))
        return low.expand(1, *shape).clone(), high.expand(1, *shape).clone()


def _outward(value: float, side: float) -> float:
    return float(f"{value + side * 1e-6 * max(1.0, abs(value)):.9g}")
