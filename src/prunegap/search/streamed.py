"""Tickets in draws too wide to hold: rows stream by, and every sum remembers the few neurons nearest to its goal.

At d = 4096 a network of 10^6 neurons takes 33 GB. A ticket of single weights needs no more of it than one or two
neurons a sum (`assignment`), and since draws are nested, what is met by a prefix is met by the whole. So the rows are
drawn in their canonical order, some at a time; each of the 2d sums keeps the NEAREST neurons whose contribution is
closest to its goal; and whenever the best of each would do, a matching of least cost gives every sum its own neuron,
or none where its goal is small. Memory does not depend on the width. Only sums of one neuron are looked for: where
the draw is narrow (a few neurons a sum) `separable` finds more, and a failure here proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from prunegap.certify.claim import Claim
from prunegap.certify.separable import certify_separable
from prunegap.kernels.jit import compiled
from prunegap.kernels.joint import error_of
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Certificate
from prunegap.model.problem import checked_epsilon
from prunegap.search.base import Budget, Deadline

Integers = NDArray[np.int64]

NEAREST = 12
"""Neurons remembered for each sum: rivals take the nearest away."""
ENTRIES = 1 << 22
"""Numbers drawn at a time: 32 MB."""
WIDENING = 1.1
"""By how much the network has to grow before a matching is tried again."""
MARGIN = 1e-9
"""Share of epsilon left to the rounding of the certificate."""


@dataclass(frozen=True, eq=False)
class StreamedTicket:
    """A ticket that keeps one weight a row: neuron `neurons[k]` keeps its weight `inputs[k]`; all others are removed.

    It needs the first `least_width` neurons of the draw only, and holds in every wider network of it.
    """

    draw: Draw
    epsilon: float
    neurons: Integers
    inputs: Integers
    certificate: Certificate

    @property
    def least_width(self) -> int:
        """The narrowest prefix that holds the ticket."""
        return int(self.neurons.max(initial=-1)) + 1


def drawn_rows(draw: Draw, width: int) -> Iterator[tuple[int, Matrix]]:
    """Yield the rows (W_i, v_i) of the canonical draw in order, some at a time, each part with its first index."""
    generator = np.random.default_rng(draw.seed)
    step = max(1, ENTRIES // (draw.dimension + 1))
    for start in range(0, width, step):
        shape = (min(step, width - start), draw.dimension + 1)
        uniform = draw.initialisation is Initialisation.UNIFORM
        yield start, generator.uniform(-1.0, 1.0, shape) if uniform else generator.standard_normal(shape)


@compiled
def remember(
    rows: Matrix, start: int, goals: Vector, apart: Matrix, neurons: Integers, weights: Matrix, outputs: Matrix
) -> None:
    """Take the rows (k, d + 1) into the neurons nearest to each goal; goals (2d,), the others (2d, NEAREST).

    `apart` holds |contribution - goal|, ascending, infinite where nothing is remembered.
    """
    dimension, size = goals.shape[0] // 2, apart.shape[1]
    for i in range(rows.shape[0]):
        v = rows[i, dimension]
        for j in range(dimension):
            w = rows[i, j]
            place = j if w > 0.0 else j + dimension
            distance = abs(v * abs(w) - goals[place])
            if distance >= apart[place, size - 1] or w == 0.0:
                continue
            k = size - 1
            while k > 0 and apart[place, k - 1] > distance:
                apart[place, k], neurons[place, k] = apart[place, k - 1], neurons[place, k - 1]
                weights[place, k], outputs[place, k] = weights[place, k - 1], outputs[place, k - 1]
                k -= 1
            apart[place, k], neurons[place, k], weights[place, k], outputs[place, k] = distance, start + i, w, v


class _Memory:
    """The nearest neurons of every sum, in the order (0, +), ..., (d - 1, +), (0, -), ..., (d - 1, -)."""

    def __init__(self, target: Vector) -> None:
        self.goals = np.concatenate([target, -target])
        shape = (self.goals.size, NEAREST)
        self.apart, self.neurons = np.full(shape, np.inf), np.full(shape, -1, dtype=np.int64)
        self.weights, self.outputs = np.zeros(shape), np.zeros(shape)

    def take(self, start: int, rows: Matrix) -> None:
        """Look at more rows."""
        remember(rows, start, self.goals, self.apart, self.neurons, self.weights, self.outputs)

    def least_error(self) -> float:
        """Return the error if every sum could have its nearest neuron to itself, or none: never too much."""
        return float(error_of(np.minimum(self.apart[:, 0], np.abs(self.goals))))

    def matched(self) -> tuple[Integers, Integers, float]:
        """Return the sums that get a neuron, which of their nearest they get, and the error."""
        place, rank = np.nonzero(np.isfinite(self.apart))
        known, neuron = np.unique(self.neurons[place, rank], return_inverse=True)
        sums = np.arange(self.goals.size)
        costs = np.concatenate([np.square(self.apart[place, rank]), np.square(self.goals)])
        # The matching takes explicit zeros for missing edges, so every cost is lifted by the same amount.
        costs = costs / max(float(costs.max(initial=0.0)), 1e-300) + 1.0
        rows, columns = np.concatenate([place, sums]), np.concatenate([neuron, known.size + sums])
        graph = csr_array((costs, (rows, columns)), shape=(sums.size, known.size + sums.size))
        taken = min_weight_full_bipartite_matching(graph)[1]
        chosen = taken[place] == neuron
        place, rank = place[chosen], rank[chosen]
        residuals = -self.goals
        residuals[place] += self.outputs[place, rank] * np.abs(self.weights[place, rank])
        return place, rank, float(error_of(residuals))


def streamed_ticket(draw: Draw, width: int, epsilon: float, budget: Budget | None = None) -> StreamedTicket | None:
    """Return a certified ticket of single weights in the first `width` neurons of the draw (relu readout), or None.

    Reads no more rows than it needs. Time is about 5 ns a weight read, memory some 100 numbers a sum and what the
    certificate takes: a dense row for each kept neuron. None says nothing about whether there is a ticket; the time
    of `budget` may have run out, too. Raises BadInputError for a width below 1 or an epsilon that is not above 0.
    """
    if width < 1:
        raise BadInputError(f"width {width}", "must be at least 1", "use a width of at least 1")
    within = checked_epsilon(epsilon) * (1.0 - MARGIN)
    memory, tried, deadline = _Memory(draw.target()), 0.0, Deadline(budget or Budget())
    for start, rows in drawn_rows(draw, width):
        if deadline.expired:
            return None
        memory.take(start, rows)
        seen = start + len(rows)
        if (seen < WIDENING * tried and seen < width) or memory.least_error() > within:
            continue
        tried = seen
        place, rank, error = memory.matched()
        if error <= within:
            ticket = _certified(draw, epsilon, memory, place, rank)
            if ticket.certificate.proves(epsilon):
                return ticket
    return None


def _certified(draw: Draw, epsilon: float, memory: _Memory, place: Integers, rank: Integers) -> StreamedTicket:
    """Return the ticket with its certificate, neurons in ascending order."""
    order = np.argsort(memory.neurons[place, rank])
    place, rank = place[order], rank[order]
    inputs = place % draw.dimension
    weights = np.zeros((place.size, draw.dimension))
    weights[np.arange(place.size), inputs] = memory.weights[place, rank]
    claim = Claim(weights, memory.outputs[place, rank], draw.target(), Readout.RELU)
    return StreamedTicket(draw, epsilon, memory.neurons[place, rank], inputs, certify_separable(claim))
