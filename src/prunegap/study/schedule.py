"""Which cell next: the one expected to take longest, so that no long cell is left alone at the end.

What a cell costs is first a guess from dimension, epsilon and granularity, and then whatever its like took: the seeds
of one question differ by a factor of about two, questions by a million. So the cells of one question share one
estimate: the mean of what was measured, and before anything was, the guess times the factor by which the guess was
wrong at the nearest epsilon of the same kind. A wrong estimate costs time at the end of a run, never a result.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final

from prunegap.model.granularity import Block, Neuron
from prunegap.study.cell import Cell
from prunegap.study.width import Effort

LEAST_SECONDS: Final = 0.02
"""What a cell takes at the least, its row and its ticket included."""
UNLIMITED: Final = 86400.0
"""Seconds at which an estimate ends where there is no time limit."""

Kind = tuple[int, str, str, str]
Question = tuple[Kind, float]


def question_of(cell: Cell) -> Question:
    """Return all of a cell but its seed: its kind (d, granularity, readout, init), and its epsilon."""
    kind = (cell.dimension, cell.granularity.name, cell.readout.value, cell.initialisation.value)
    return kind, cell.epsilon


def _cost_question(cell: Cell) -> Question:
    """Return the question whose cost the cell shares: at d = 1 all granularities are one (fact F8)."""
    (dimension, granularity, readout, init), epsilon = question_of(cell)
    return (dimension, "any" if dimension == 1 else granularity, readout, init), epsilon


def guessed_seconds(cell: Cell) -> float:
    """Return a guess of the seconds that a cell takes, before anything like it was measured.

    Structure that cancels kinks (neuron, block) grows with a power of 1/eps that grows with d: 1.9 at d = 2, 2.6 at
    d = 3, 7.7 at d = 4, from docs/studies/neuron-width.md; single weights with its logarithm.
    """
    fine = max(1.0, 0.4 / cell.epsilon)
    if isinstance(cell.granularity, (Neuron, Block)) and cell.dimension > 1:
        power = {2: 1.9, 3: 2.6}.get(cell.dimension, 7.7)
        scale = {2: 4e-4, 3: 0.1}.get(cell.dimension, 0.2)
    else:
        power, scale = 0.3, 0.05 * cell.dimension**1.5
    return max(LEAST_SECONDS, min(UNLIMITED, scale * math.pow(fine, power)))


@dataclass
class CostModel:
    """Expected seconds of a cell, learnt from every row it is shown; none is ever above the time limit."""

    effort: Effort
    _measured: dict[Question, tuple[int, float]] = field(default_factory=dict)
    _kinds: dict[Kind, dict[float, float]] = field(default_factory=dict)

    def observe(self, cell: Cell, seconds: float, count: int = 1) -> None:
        """Take in that `count` cells of this cell's question took `seconds` altogether."""
        question = _cost_question(cell)
        cells, total = self._measured.get(question, (0, 0.0))
        cells, total = cells + count, total + seconds
        self._measured[question] = cells, total
        kind, epsilon = question
        wrong = max(LEAST_SECONDS, total / cells) / guessed_seconds(cell)
        self._kinds.setdefault(kind, {})[epsilon] = wrong

    def seconds(self, cell: Cell) -> float:
        """Return the seconds that a cell is expected to take from its beginning."""
        limit, question = self.limit, _cost_question(cell)
        if question in self._measured:
            cells, total = self._measured[question]
            return min(limit, max(LEAST_SECONDS, total / cells))
        wrong = self._kinds.get(question[0])
        factor = 1.0
        if wrong:
            near = min(wrong, key=lambda epsilon: abs(math.log(epsilon / cell.epsilon)))
            factor = wrong[near]
        return min(limit, max(LEAST_SECONDS, factor * guessed_seconds(cell)))

    @property
    def limit(self) -> float:
        """Seconds that a cell takes which was left open before: all it is given."""
        return UNLIMITED if self.effort.seconds is None else self.effort.seconds


class Agenda:
    """The cells still to run: longest first by what is known by then, and after them `then`, in its own order.

    `tried` holds the cells that were left open before, which take all the time they are given. One estimate a
    question: taking a cell costs time in proportion to the number of questions, not of cells.
    """

    def __init__(
        self, cells: Iterable[Cell], costs: CostModel, tried: Container[Cell] = (), then: Iterable[Cell] = ()
    ) -> None:
        self._costs, self._tried = costs, tried
        self._then = deque(then)
        self._later = frozenset(self._then)
        self._waiting: dict[tuple[Question, bool], deque[Cell]] = {}
        self._count = 0
        # Smallest epsilon first, which decides where two questions are expected to take equally long.
        for cell in sorted(cells, key=lambda cell: (-cell.dimension, cell.epsilon)):
            self.give(cell)

    def give(self, cell: Cell) -> None:
        """Add a cell, or give one back."""
        if cell in self._later:
            self._then.appendleft(cell)
        else:
            self._waiting.setdefault((_cost_question(cell), cell in self._tried), deque()).append(cell)
            self._count += 1

    def take(self) -> Cell:
        """Remove and return the next cell; raises IndexError where none is left."""
        if not self._waiting:
            return self._then.popleft()
        place = max(self._waiting, key=self._seconds)
        cell = self._waiting[place].popleft()
        if not self._waiting[place]:
            del self._waiting[place]
        self._count -= 1
        return cell

    def __len__(self) -> int:
        return self._count + len(self._then)

    def seconds(self) -> float:
        """Return the seconds that all the cells left are expected to take, one after the other."""
        longest_first = sum(len(cells) * self._seconds(name) for name, cells in self._waiting.items())
        return longest_first + len(self._then) * self._costs.limit

    def expected(self, cell: Cell) -> float:
        """Return the seconds that one cell is expected to take."""
        return self._costs.limit if cell in self._later or cell in self._tried else self._costs.seconds(cell)

    def _seconds(self, name: tuple[Question, bool]) -> float:
        return self._costs.limit if name[1] else self._costs.seconds(self._waiting[name][0])
