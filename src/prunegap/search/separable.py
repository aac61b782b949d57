"""Weight pruning in any dimension: one weight a row at most, so that a ticket is 2d subset sums that share neurons.

With a relu readout the pre-activation need only be close to the linear function <w*, x>, and w x_j = relu(w x_j) -
relu(-w x_j) builds it coordinate by coordinate. Every neuron chooses freely which sum it serves (`assignment`), and
the error is shared between the sums as the certificate allows: by its squares, not in equal parts.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

from prunegap.model.granularity import NOfM, Weight
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.assignment import Assignment
from prunegap.search.base import Deadline, Search
from prunegap.search.mass import width_without_material
from prunegap.search.staged import MOST_PAIRED, Stages

MOST_SHARED = 20_000
"""Neurons times coordinates up to which the linear program is quick; beyond, mass is plentiful."""
FINEST_MENDED = 1e-6
"""Tolerance of a sum, epsilon / sqrt(d), below which no few sums at once meet theirs in the lists of mending."""
ROUNDS = 25
"""Rounds of mending in one attempt: about half a second."""


def coarsest_staged(dimension: int) -> float:
    """Return the tolerance of a sum from which on stages find narrower tickets than mending: measured."""
    return 1e-2 if dimension <= MOST_PAIRED else 5e-5


@final
class SeparableSearch(Search):
    """Finds tickets that keep at most one weight a row, in any dimension; it proves only a lack of material."""

    name: ClassVar[str] = "separable"

    def __init__(self, attempts: int = 8) -> None:
        self.attempts = attempts

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless single weights may be kept and the readout is relu."""
        if not isinstance(problem.granularity, Weight | NOfM):
            return f"granularity {problem.granularity} may not keep single weights"
        if problem.readout is not Readout.RELU:
            return "a linear readout needs more than single weights (it keeps the kink of the target)"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width = width_without_material(problem)
        if width >= problem.width:
            return Finding(impossible_width=width, reason="the weights of the right sign are too small in sum")
        assignment = Assignment(problem, deadline.budget.seed)
        scarce = assignment.contributions.size <= 2 * MOST_SHARED
        if scarce and not assignment.share_out():
            return Finding(None, width, "single weights cannot meet every sum, not even cut into fractions")
        tolerance = assignment.epsilon / math.sqrt(problem.dimension)
        stages = Stages(assignment) if tolerance <= coarsest_staged(problem.dimension) else None
        for attempt in range(1, self.attempts + 1):
            if stages is not None and stages.meet(deadline):
                return Finding(assignment.mask(), width, f"one weight a row, by stages, attempt {attempt}", attempt)
            if deadline.expired:
                break
            if tolerance < FINEST_MENDED:
                continue
            if not scarce or attempt % 2 == 0:
                assignment.meet_all(assignment.match(), deadline)
            elif attempt > 1:
                assignment.share_out()
            if assignment.error <= assignment.epsilon or assignment.mend(ROUNDS, deadline):
                return Finding(assignment.mask(), width, f"one weight a row, attempt {attempt}", attempt)
            if deadline.expired:
                break
        return Finding(None, width, f"no ticket of single weights in {attempt} attempts", attempt)
