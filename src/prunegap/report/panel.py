"""What one panel of the picture shows, as plain data: seeds, medians, bounds and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from prunegap.report.palette import STYLES, slots
from prunegap.study.row import Row
from prunegap.study.summary import Block
from prunegap.theory.bounds import PUBLISHED, Bound

Point = dict[str, Any]


@dataclass(frozen=True)
class Label:
    """A text at the right end of a curve, centred at the given width."""

    text: str
    colour: str
    width: float
    is_bold: bool


class Panel:
    """One block's points; `family` are the blocks with the same readout and initialisation, which share constants."""

    def __init__(self, block: Block, family: Sequence[Block], among: Iterable[str] = ()) -> None:
        self.block = block
        # Asked for at every point, and each a walk over all rows.
        self._names, self.places = block.granularities, slots(block.granularities, among)
        self.inverses = sorted({1.0 / epsilon for epsilon in block.epsilons if epsilon < 1.0})
        self.seeds = [self._seed(row) for row in block.rows if row.cell.epsilon < 1.0]
        self.medians = [point for name in block.granularities for point in self._medians(name)]
        self.bounds = self._bounds(family)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw on logarithmic axes."""
        return not self.seeds

    @property
    def widths(self) -> list[float]:
        """Every width that is drawn."""
        drawn = [point[end] for point in self.seeds for end in ("low", "high")]
        return drawn + [point["width"] for points in self.bounds.values() for point in points]

    @property
    def labels(self) -> list[Label]:
        """The labels of all curves, each at the end of its curve."""
        ends = {point["granularity"]: point for point in self.medians}
        named = [
            Label(f"{name} pruning", point["colour"], math.sqrt(point["low"] * (point["high"] or point["low"])), True)
            for name, point in ends.items()
        ]
        last = {text: points[-1] for text, points in self.bounds.items()}
        return named + [Label(text, point["colour"], point["width"], False) for text, point in last.items()]

    def _colour(self, granularity: str) -> str:
        return STYLES[self.places[granularity]].mark

    def _seed(self, row: Row) -> Point:
        names = self._names
        # Granularities stand side by side, or their dots and bars would hide each other.
        shift = 1.0 + 0.035 * (names.index(row.cell.granularity.name) - (len(names) - 1) / 2.0)
        low = max(1, row.lower + 1)
        return {
            "inverse": shift / row.cell.epsilon,
            "low": low,
            "high": low if row.upper is None else max(low, row.upper),
            "status": str(row.status),
            "granularity": row.cell.granularity.name,
            "colour": self._colour(row.cell.granularity.name),
        }

    def _medians(self, granularity: str) -> list[Point]:
        points: list[Point] = []
        for epsilon in self.block.epsilons:
            statistic = self.block.width(epsilon, granularity)
            if statistic is not None and epsilon < 1.0 and statistic.median.low >= 1.0:
                low, high = statistic.median.low, statistic.median.high
                points.append(
                    {
                        "inverse": 1.0 / epsilon,
                        "low": low,
                        "high": None if math.isinf(high) else high,
                        "granularity": granularity,
                        "colour": self._colour(granularity),
                    }
                )
        return points

    def _bounds(self, family: Sequence[Block]) -> dict[str, list[Point]]:
        """Return the curves of the published bounds by label; bounds that coincide in this panel share one."""
        curves: dict[str, tuple[list[Bound], list[Point]]] = {}
        for bound in PUBLISHED:
            points = self._curve(bound, family)
            if points:
                shape = " ".join(f"{point['width']:.6g}" for point in points)
                curves.setdefault(shape, ([], points))[0].append(bound)
        return {_bound_label(bounds): points for bounds, points in curves.values()}

    def _curve(self, bound: Bound, family: Sequence[Block]) -> list[Point]:
        block = self.block
        measured = []
        for other in family:
            for epsilon in other.epsilons:
                statistic = other.width(epsilon, bound.granularity)
                if statistic is not None and bound.applies(other.dimension, other.readout):
                    median = statistic.median
                    end = median.high if bound.side == "upper" and median.high < math.inf else median.low
                    measured.append((other.dimension, epsilon, end))
        constant = bound.constant_touching([point for point in measured if point[2] >= 1.0])
        shown = bound.applies(block.dimension, block.readout) and bound.granularity in block.granularities
        if constant is None or not shown or len(self.inverses) < 2:
            return []
        steps = 40
        factor = self.inverses[-1] / self.inverses[0]
        inverses = [self.inverses[0] * factor ** (i / steps) for i in range(steps + 1)]
        colour, shape = self._colour(bound.granularity), bound.shape
        return [
            {
                "inverse": x,
                "width": constant * shape(block.dimension, 1.0 / x),
                "granularity": bound.granularity,
                "colour": colour,
            }
            for x in inverses
        ]


def _bound_label(bounds: Sequence[Bound]) -> str:
    names = " = ".join(f"{bound.formula} {bound.source[-2:]}" for bound in bounds)
    return f"{names} ({bounds[0].side} bound)"


def spread(labels: Sequence[Label], widths: tuple[float, float], height: float, least: float) -> list[Label]:
    """Return the labels, lowest first, moved apart to at least `least` pixels on a log axis of `height` pixels."""
    per_pixel = (math.log(widths[1]) - math.log(widths[0])) / height
    ordered = sorted(labels, key=lambda label: label.width)
    places = [(math.log(label.width) - math.log(widths[0])) / per_pixel for label in ordered]
    for _ in range(200):
        for i in range(len(places) - 1):
            push = max(0.0, least - (places[i + 1] - places[i])) / 2.0
            places[i] -= push
            places[i + 1] += push
    return [
        Label(label.text, label.colour, widths[0] * math.exp(place * per_pixel), label.is_bold)
        for label, place in zip(ordered, places, strict=True)
    ]


def round_numbers(low: float, high: float) -> list[float]:
    """Return the numbers 1, 2, 5 times a power of ten between the ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
