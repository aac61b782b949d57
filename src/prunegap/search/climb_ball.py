"""Neuron pruning at d >= 3: a climb that proves, and a hunt for tickets beside it.

The climb over all neurons (`search.climb_windows`) refuses one width after the other. Once that is hard, a part of
the nodes goes to climbs in the order of promise (`search.hunt`), which meet tickets long before it does. Then only
what is narrower than the ticket remains to be refused, and an interval that stays open has an upper end.
Everything narrower is proven impossible in real arithmetic: docs/decisions/0022-branching-beyond-the-plane.md.
"""

from __future__ import annotations

from typing import ClassVar, final

from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search
from prunegap.search.climb_windows import Climb, refusal, without_neurons
from prunegap.search.hunt import Hunt


@final
class NeuronClimbBall(Search):
    """Exact search for neuron pruning at any d, both readouts; it finds the least width itself."""

    name: ClassVar[str] = "climb-ball"
    finds_least: ClassVar[bool] = True

    def refusal(self, problem: Problem) -> str | None:
        """Return why it does not apply: other granularities, or entries too large to multiply."""
        return refusal(problem)

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        """Climb until the least width is known or the time is up."""
        if (finding := without_neurons(problem, inputs)) is not None:
            return finding
        hunt = Hunt(problem, deadline, inputs)
        climb = Climb(problem, deadline, inputs, elsewhere=hunt)
        try:
            climb.run()
            _hunt_on(hunt, climb)
        except KeyboardInterrupt:
            climb.stopped = "stopped"
        ticket = hunt.ticket if climb.ticket is None else climb.ticket
        proven = max(climb.proven, hunt.proven)
        proof = f"every choice of {proven} neurons breaks a condition ({climb.nodes} nodes in all)"
        reason = "; ".join(filter(None, (climb.stopped, proof)))
        return Finding(ticket, proven, reason, climb.nodes, climb.learnt if len(climb.learnt) else None)


def _hunt_on(hunt: Hunt, climb: Climb) -> None:
    """Hunt for tickets with the time that a climb without any has left."""
    if climb.ticket is not None or climb.deadline.budget.seconds is None:
        return
    while not climb.deadline.expired and hunt.width > max(climb.proven, hunt.proven):
        hunt.look(climb.proven, hunt.ticket)
