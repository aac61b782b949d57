"""Tickets of neurons at d >= 3: climbs over a network's neurons in the order of their promise.

In which order neurons are climbed is free: the first neurons of any order are a network like any other, and a ticket
of theirs is one of the whole. A kept neuron bends f along its own kink, where the target is straight; it promises
more the weaker its bend and the nearer its kink to the target's, where the target bends too. Among a few dozen
neurons so ordered there often is a ticket, and an exact climb (`search.climb_windows`) meets it at once, where all
neurons together are beyond it. So ever narrower networks are looked at, with ever more nodes:
docs/decisions/0025-hunts.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search
from prunegap.search.climb_windows import Climb, refusal, without_neurons

FIRST_NODES, MORE = 30_000, 2
"""Nodes of a climb at first, and how many times as many once a round up to the widest was in vain."""
FINENESS = 1.05
"""A factor between two widths below which the narrower one is passed over."""
BALANCED, OTHERS = 1.0, (0.0, 0.6, 0.3, 2.0, 1.4)
"""What the strength of a bend counts against the place of its kink: one of the others is tried before the balanced.

In networks many times as wide as needed the place alone says most, in narrow ones both do."""
CLIMB_COST = 100_000
"""Nodes that the rows of one climb are as dear as."""
MOST_EFFORT = 16 * FIRST_NODES
"""Nodes of a climb at which a hunt without a time limit ends."""


def by_promise(problem: Problem, weighing: float) -> NDArray[np.int64]:
    """Return the neurons that compute something, in the order of their promise; shape (living,).

    Least first: (1 - |cos(w_i, w*)|) / mean + weighing |v_i| ||w_i|| / mean.
    """
    norms = np.linalg.norm(problem.network.weights, axis=1)
    strengths = np.abs(problem.network.outputs) * norms
    living = np.flatnonzero(strengths > 0.0)
    if not living.size:
        return living
    along = problem.network.weights[living] @ problem.target
    away = 1.0 - np.abs(along) / (norms[living] * np.linalg.norm(problem.target))
    scores = away / max(away.mean(), 1e-12) + weighing * strengths[living] / strengths[living].mean()
    return living[np.argsort(scores, kind="stable")]


class Hunt:
    """Looks for ever narrower tickets: `ticket` is the narrowest so far, `proven` neurons were seen to hold none."""

    def __init__(self, problem: Problem, deadline: Deadline, inputs: Matrix | None = None) -> None:
        self.problem, self.deadline = problem, deadline
        self.ticket: Mask | None = None
        self.proven = 0
        self.nodes = CLIMB_COST
        """What was spent, and what the first climb costs."""
        self._inputs = inputs
        self._failed, self._level, self._balanced = 0, 0, False
        self._passed: int | None = None

    @property
    def width(self) -> int:
        """The greatest width that is still asked for."""
        return self.problem.width if self.ticket is None else self.ticket.least_width - 1

    @property
    def in_vain(self) -> bool:
        """Whether a whole round of looks, up to the width just below the ticket's, found nothing."""
        return self._passed == self.width

    @property
    def effort(self) -> int:
        """Nodes of one climb."""
        return int(FIRST_NODES * MORE**self._level)

    def look(self, proven: int, ticket: Mask | None) -> Mask | None:
        """Climb once in a width above `proven` and below the ticket that is known; return a narrower one or None."""
        self.proven, self.ticket = max(self.proven, proven), ticket
        if self.width <= self.proven:
            return None
        self._failed = max(self._failed, self.proven)
        if self._failed >= self.width:
            self._level, self._failed, self._passed = self._level + 1, self.proven, self.width
        width = self.width if self.ticket is None else max(self._failed + 1, math.isqrt(self._failed * self.width))
        if FINENESS * width >= self.width:
            width = self.width
        climb = _Ordered(self, width, BALANCED if self._balanced else OTHERS[self._level % len(OTHERS)])
        climb.run()
        self.nodes += CLIMB_COST + climb.nodes
        self._inputs = climb.learnt
        if climb.refused_all:
            self.proven = max(self.proven, width)
        found = climb.ticket
        if found is not None:
            self.ticket = found
        elif self._balanced:
            self._failed = width
        self._balanced = found is None and not self._balanced
        return found


class _Ordered:
    """A climb over the first `width` neurons of a hunt's problem, in the order of their promise."""

    def __init__(self, hunt: Hunt, width: int, weighing: float) -> None:
        problem = hunt.problem.prefix(width)
        self._whole = hunt.problem
        self._neurons = by_promise(problem, weighing)
        network = Network(problem.network.weights[self._neurons], problem.network.outputs[self._neurons])
        remaining = None if hunt.deadline.budget.seconds is None else max(1e-3, hunt.deadline.remaining)
        deadline = Deadline(replace(hunt.deadline.budget, seconds=remaining))
        self._climb = Climb(replace(problem, network=network), deadline, hunt._inputs, hunt.effort)

    def run(self) -> None:
        self._climb.run()

    @property
    def nodes(self) -> int:
        return self._climb.nodes

    @property
    def learnt(self) -> Matrix:
        return self._climb.learnt

    @property
    def refused_all(self) -> bool:
        """Whether all neurons together hold no ticket."""
        return self._climb.proven == self._neurons.size

    @property
    def ticket(self) -> Mask | None:
        """The ticket, as one of the whole network."""
        found = self._climb.ticket
        if found is None:
            return None
        kept = np.sort(self._neurons[: found.width][found.alive])
        return Mask.of_neurons(kept, self._whole.width, self._whole.dimension)


@final
class TicketHunt(Search):
    """Finds tickets of neurons at any d and width, both readouts; proves only what a climb over all neurons does.

    Repeats by seed and number of threads where the time limit does not cut it short.
    """

    name: ClassVar[str] = "hunt"

    def refusal(self, problem: Problem) -> str | None:
        """Return why it does not apply: other granularities, or entries too large to multiply."""
        return refusal(problem)

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        if (finding := without_neurons(problem, inputs)) is not None:
            return finding
        hunt = Hunt(problem, deadline, inputs)
        while hunt.width > hunt.proven and not deadline.expired:
            if deadline.budget.seconds is None and hunt.effort > MOST_EFFORT:
                break
            hunt.look(0, hunt.ticket)
        proof = f"all {hunt.proven} neurons together hold no ticket" if hunt.proven else ""
        spent = f"climbs of up to {hunt.effort} nodes ({hunt.nodes} in all)"
        return Finding(hunt.ticket, hunt.proven, "; ".join(filter(None, (proof, spent))), hunt.nodes, inputs)
