"""Medians and ranges over seeds of proven intervals.

A minimal width N is known as lower + 1 <= N <= upper, so every statistic of several of them is known as an interval
too: its ends are the statistic of all the lower ends and of all the upper ends. Nothing is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout
from prunegap.study.row import Row


@dataclass(frozen=True)
class Span:
    """A number that is proven to lie in [low, high]; high is infinite where nothing bounds it."""

    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether low and high are one number."""
        return self.low == self.high

    def over(self, other: Span) -> Span | None:
        """Return the quotient self / other of two non-negative numbers; None where the divisor is surely 0."""
        if other.high == 0.0:
            return None
        low = 0.0 if math.isinf(other.high) else self.low / other.high
        return Span(low, self.high / other.low if other.low > 0.0 else math.inf)


@dataclass(frozen=True)
class Statistic:
    """Median and range of numbers that are known as spans, one a seed."""

    spans: tuple[Span, ...]

    @property
    def median(self) -> Span:
        """The median over the seeds."""
        return Span(median(s.low for s in self.spans), median(s.high for s in self.spans))

    @property
    def least(self) -> Span:
        """The least over the seeds."""
        return Span(min(s.low for s in self.spans), min(s.high for s in self.spans))

    @property
    def greatest(self) -> Span:
        """The greatest over the seeds."""
        return Span(max(s.low for s in self.spans), max(s.high for s in self.spans))

    @property
    def is_known(self) -> bool:
        """Whether every seed's number is known."""
        return all(s.is_known for s in self.spans)


@dataclass(frozen=True)
class Block:
    """The rows that share dimension, readout and initialisation: one table, one panel."""

    dimension: int
    readout: Readout
    initialisation: Initialisation
    rows: tuple[Row, ...]

    @property
    def epsilons(self) -> list[float]:
        """Every epsilon, largest first."""
        return sorted({row.cell.epsilon for row in self.rows}, reverse=True)

    @property
    def granularities(self) -> list[str]:
        """Every granularity's name, in the order of the rows."""
        return list(dict.fromkeys(row.cell.granularity.name for row in self.rows))

    @property
    def seeds(self) -> list[int]:
        """Every seed, ascending."""
        return sorted({row.cell.seed for row in self.rows})

    def spans(self, epsilon: float, granularity: str) -> dict[int, Span]:
        """Return the minimal width of every seed."""
        return {
            row.cell.seed: Span(row.lower + 1, math.inf if row.upper is None else row.upper)
            for row in self.rows
            if row.cell.epsilon == epsilon and row.cell.granularity.name == granularity
        }

    def width(self, epsilon: float, granularity: str) -> Statistic | None:
        """Return the minimal width over seeds, or None where nothing was measured."""
        spans = self.spans(epsilon, granularity)
        return Statistic(tuple(spans.values())) if spans else None

    def ratio(self, epsilon: float) -> Statistic | None:
        """Return neuron width / weight width over the seeds that have both, seed by seed; None without any."""
        weight, neuron = self.spans(epsilon, "weight"), self.spans(epsilon, "neuron")
        quotients = [neuron[seed].over(weight[seed]) for seed in weight if seed in neuron]
        known = tuple(q for q in quotients if q is not None)
        return Statistic(known) if known else None


def blocks(rows: Sequence[Row]) -> list[Block]:
    """Return the rows grouped by dimension, readout and initialisation, in the order they first appear."""
    groups: dict[tuple[int, Readout, Initialisation], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.cell.dimension, row.cell.readout, row.cell.initialisation), []).append(row)
    return [Block(*name, tuple(members)) for name, members in groups.items()]
