"""Lower ends from fewer inputs: a ticket of all inputs is, on the inputs of one slice, a ticket of that slice.

Let S be some of the inputs. Where all others are 0 every mask leaves a network of the inputs in S, with the columns
of W in S and all of v; its target is w* on S, and its error is at most that of the whole. Its rows obey the
granularity cut to S: on one block of block:k a row keeps everything or nothing, so it is a question of neuron pruning
at dimension k (F3 answers it at k = 2, for epsilon far below the reach of any program); on a pair of inputs single
weights stay single weights. So no ticket in a slice at width n is no ticket at width n. Nothing is rounded: columns
are selected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, final

import numpy as np

from prunegap.model.granularity import Block, Granularity, Neuron, NOfM, Weight
from prunegap.model.network import Matrix, Network
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search

MOST_REMEMBERED = 64
PATIENCE = 2.0
"""An undecided slice is asked again where there is so much more time than the last time."""


def slices_of(problem: Problem, size: int = 2) -> list[Problem]:
    """Return the questions on the slices that say the most, those with the longest part of the target first.

    block:k gives one for each block of at least two inputs; weight and N:M one for each `size` inputs. Slices on
    which the target is at most epsilon long, where the empty ticket would do, are left out.
    """
    d, granularity = problem.dimension, problem.granularity
    if isinstance(granularity, Block):
        parts = [tuple(range(d)[block]) for block in granularity.blocks(d)]
    elif isinstance(granularity, Weight | NOfM):
        parts = list(combinations(range(d), size))
    else:
        parts = []
    lengths = {part: float(np.linalg.norm(problem.target[list(part)])) for part in parts if len(part) > 1}
    told = sorted((part for part in lengths if lengths[part] > problem.epsilon), key=lambda part: -lengths[part])
    return [_cut(problem, part) for part in told if len(part) < d]


def _cut(problem: Problem, inputs: tuple[int, ...]) -> Problem:
    chosen = list(inputs)
    network = Network(problem.network.weights[:, chosen], problem.network.outputs)
    granularity = _cut_granularity(problem.granularity, inputs)
    return Problem(network, problem.target[chosen], problem.epsilon, granularity, problem.readout)


def _cut_granularity(granularity: Granularity, inputs: tuple[int, ...]) -> Granularity:
    """Return a granularity that allows every row that a row of the given one is on these inputs."""
    if isinstance(granularity, Block):
        return Neuron()
    if isinstance(granularity, NOfM) and len({i // granularity.group for i in inputs}) == 1:
        return NOfM(min(granularity.kept, len(inputs)), len(inputs)).plain(len(inputs))
    return Weight()


@dataclass(frozen=True, eq=False)
class _Answer:
    """What is known about a slice: no ticket up to `proven`, one at `found` or None; last asked for `allowed` s."""

    problem: Problem
    proven: int
    found: int | None
    allowed: float

    def fits(self, problem: Problem) -> bool:
        """Return whether the problem is a prefix or an extension of the one answered, as in a nested draw."""
        mine, other = self.problem, problem
        n = min(mine.width, other.width)
        return (
            (mine.epsilon, mine.granularity, mine.readout) == (other.epsilon, other.granularity, other.readout)
            and np.array_equal(mine.target, other.target)
            and np.array_equal(mine.network.weights[:n], other.network.weights[:n])
            and np.array_equal(mine.network.outputs[:n], other.network.outputs[:n])
        )

    def suffices(self, width: int, remaining: float) -> bool:
        """Return whether asking again at `width` would tell nothing new."""
        if width <= self.proven or (self.found is not None and width >= self.found):
            return True
        undecided = self.proven < self.problem.width
        return undecided and width >= self.problem.width and remaining < PATIENCE * self.allowed


@final
class InputSlices(Search):
    """Proves that there is no ticket where there is none on some of the inputs; finds none itself.

    `prover` gives the exact search for a slice of `size` inputs (or one block). Answers are remembered, since a
    bracket asks about many widths of one draw.
    """

    name: ClassVar[str] = "slices"

    def __init__(self, prover: Callable[[Problem], Search], size: int = 2) -> None:
        self.prover, self.size = prover, size
        self._answers: list[_Answer] = []

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless some slice of the problem is handled by a prover."""
        if any(self.prover(part).refusal(part) is None for part in slices_of(problem, self.size)):
            return None
        return f"granularity {problem.granularity} at dimension {problem.dimension} has no slices to go by"

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width, parts = -1, slices_of(problem, self.size)
        for k, part in enumerate(parts):
            # A part of no time at all would still begin with a step that takes some.
            if deadline.expired:
                break
            width = max(width, self._proven(part, deadline.part(1.0 / (len(parts) - k))))
            if width >= problem.width:
                break
        reason = "some of the inputs alone need more neurons" if width >= problem.width else "no slice needs more"
        return Finding(None, width, reason, inputs=inputs)

    def _proven(self, part: Problem, deadline: Deadline) -> int:
        """Return the greatest width at which the slice is known to hold no ticket."""
        prover = self.prover(part)
        if prover.refusal(part) is not None:
            return -1
        known = next((answer for answer in reversed(self._answers) if answer.fits(part)), None)
        if known is None or not known.suffices(part.width, deadline.remaining):
            allowed = deadline.remaining
            finding = prover._search(part, deadline, None)
            proven = max(finding.impossible_width, known.proven if known else -1)
            tickets = [known.found if known else None, finding.mask.least_width if finding.mask is not None else None]
            found = min((width for width in tickets if width is not None), default=None)
            known = _Answer(part, proven, found, allowed)
            self._answers = [*self._answers[-MOST_REMEMBERED:], known]
        return min(known.proven, part.width)
