"""What a study says about widths, and nothing more: one proven interval for one seed.

A row at epsilon >= 1 says nothing about a law, since the empty ticket is enough there; nor does an interval that
excludes no width and bounds none. Both are counted as trivial and left out; every other cell counts, closed or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prunegap.model.draw import Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.network import Readout
from prunegap.model.problem import checked_epsilon
from prunegap.study.row import Row


@dataclass(frozen=True)
class Observation:
    """The minimal width of one nested draw lies in (lower, upper]; `upper` is None where no ticket was found.

    Raises BadInputError for dimension < 1, an epsilon that is not finite and above 0, or upper <= lower.
    """

    dimension: int
    epsilon: float
    seed: int
    lower: int
    upper: int | None

    def __post_init__(self) -> None:
        checked_epsilon(self.epsilon)
        if self.dimension < 1:
            raise BadInputError(f"dimension {self.dimension}", "must be at least 1", "use for example 2")
        if self.upper is not None and self.upper <= self.lower:
            raise BadInputError(f"interval ({self.lower}, {self.upper}]", "holds no width", "give lower below upper")

    @property
    def is_trivial(self) -> bool:
        """Whether it says nothing about a law."""
        return self.epsilon >= 1.0 or (self.lower < 1 if self.upper is None else self.upper < 1)

    @property
    def is_bounded(self) -> bool:
        """Whether it speaks about a law and has an upper end."""
        return not self.is_trivial and self.upper is not None

    @property
    def is_closed(self) -> bool:
        """Whether the width is known exactly."""
        return self.is_bounded and self.upper == self.lower + 1


@dataclass(frozen=True)
class Cells:
    """How many cells a law rests on: widths known exactly, known between two ends, known from below; and left out."""

    closed: int
    open: int
    censored: int
    trivial: int

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Cells:
        """Return the counts."""
        trivial = sum(o.is_trivial for o in observations)
        closed = sum(o.is_closed for o in observations)
        bounded = sum(o.is_bounded for o in observations)
        return cls(closed, bounded - closed, len(observations) - trivial - bounded, trivial)

    def __str__(self) -> str:
        return f"{self.closed} closed, {self.open} open, {self.censored} censored"


@dataclass(frozen=True)
class Group:
    """What a law is about: rows that differ only in dimension, epsilon and seed."""

    readout: Readout
    initialisation: Initialisation
    granularity: str

    @classmethod
    def of(cls, row: Row) -> Group:
        """Return the row's group."""
        return cls(row.cell.readout, row.cell.initialisation, row.cell.granularity.name)

    def __str__(self) -> str:
        return f"{self.granularity} pruning ({self.readout} readout, {self.initialisation} init)"


def observed(row: Row) -> Observation:
    """Return what the row says about its width."""
    return Observation(row.cell.dimension, row.cell.epsilon, row.cell.seed, row.lower, row.upper)


def grouped(rows: Iterable[Row]) -> dict[Group, list[Observation]]:
    """Return the observations of every group, in the order in which groups first appear."""
    groups: dict[Group, list[Observation]] = {}
    for row in rows:
        groups.setdefault(Group.of(row), []).append(observed(row))
    return groups
