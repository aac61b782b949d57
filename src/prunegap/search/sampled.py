"""Tickets of wide networks of neurons at d >= 3: climbs over random samples of the neurons.

m neurons taken at random from a wide network are a draw of width m like any other, and some draws hold a ticket where
most hold none yet. So samples are climbed (`search.climb_ball`) one after the other, each for as many nodes as take
seconds, until one of them holds a ticket. It proves nothing about the network.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Deadline, Search, certified
from prunegap.search.climb_ball import FIRST_WINDOW, Climb, NeuronClimbBall

NODES = 300_000
"""Nodes of one sample: at d = 3, epsilon 0.05 they decide 100 to 115 neurons."""
FURTHER = 4
"""Neurons by which a sample is larger than what the first one decided."""
UNLIMITED = 16
"""Samples where there is no time limit."""


@final
class SampledClimb(Search):
    """Finds tickets of neurons at any d and width, both readouts; never proves that there is none.

    Repeats by seed and number of threads where the time limit does not cut it short. `samples` bounds their number
    (None: until the deadline, or UNLIMITED without one).
    """

    name: ClassVar[str] = "sampled"

    def __init__(self, samples: int | None = None) -> None:
        self.samples = samples

    def refusal(self, problem: Problem) -> str | None:
        """Return the climb's reason where it does not apply."""
        return NeuronClimbBall().refusal(problem)

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        empty = Mask.of_neurons([], problem.width, problem.dimension)
        if certified(problem, empty).proves(problem.epsilon):
            return Finding(mask=empty, reason="the empty ticket is within epsilon", inputs=inputs)
        most = self.samples or (UNLIMITED if deadline.budget.seconds is None else 1 << 30)
        workers = deadline.budget.workers
        first = _Sample(problem, deadline, inputs, 0, problem.width)
        first.climb.run(FIRST_WINDOW)
        tried, nodes, found = 1, first.climb.nodes, first.ticket
        if first.climb.proven == problem.width:
            return Finding(None, -1, "all neurons together hold no ticket", nodes, inputs)
        size = min(problem.width, first.climb.proven + FURTHER)
        with ThreadPoolExecutor(workers) as threads:
            while found is None and tried < most and not deadline.expired:
                samples = [
                    _Sample(problem, deadline, inputs, k, size) for k in range(tried, min(most, tried + workers))
                ]
                list(threads.map(lambda sample: sample.climb.run(size), samples))
                tried, nodes = tried + len(samples), nodes + sum(sample.climb.nodes for sample in samples)
                found = next(filter(None, (sample.ticket for sample in samples)), None)
        reason = f"one of {tried} samples held a ticket" if found else f"none of {tried} samples held a ticket"
        return Finding(found, -1, reason, nodes, inputs)


class _Sample:
    """A climb over `size` of a problem's neurons, in random order."""

    def __init__(self, problem: Problem, deadline: Deadline, inputs: Matrix | None, number: int, size: int) -> None:
        self._problem = problem
        random = np.random.default_rng([deadline.budget.seed, 4, number])
        self._neurons: NDArray[np.int64] = random.permutation(problem.width)[:size]
        network = problem.network
        sample = replace(problem, network=Network(network.weights[self._neurons], network.outputs[self._neurons]))
        remaining = None if deadline.budget.seconds is None else max(1e-3, deadline.remaining)
        alone = Deadline(Budget(remaining, 1, deadline.budget.seed))
        self.climb = Climb(sample, alone, inputs, NODES)

    @property
    def ticket(self) -> Mask | None:
        """The ticket, as one of the whole network."""
        found = self.climb.ticket
        if found is None:
            return None
        kept = np.sort(self._neurons[: found.width][found.alive])
        return Mask.of_neurons(kept, self._problem.width, self._problem.dimension)
