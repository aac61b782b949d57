"""Neuron pruning at d = 2 where epsilon is wide: climb the widths one neuron at a time (F4, F5).

A ticket at width n + 1 that width n does not hold keeps neuron n + 1. So every neuron in turn is kept, and the choice
among those before it is decided by branching over integer rows that every ticket meets (`kernels.tents`,
`kernels.branch`). What is learnt about the rows at one width steers the next. A choice that meets all rows is
screened and then certified exactly; the first that passes is a ticket of least width, and everything narrower is
proven impossible in real arithmetic: docs/decisions/0018-branching-on-neurons.md.
"""

from __future__ import annotations

import math
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.branch import IMPOSSIBLE, LAST, NODES, PAUSED, laid_out, room_left, states_of, whole_vectors
from prunegap.kernels.screened_climb import climb_to_screened
from prunegap.kernels.tents import POINTS, REACHES, conditions, rounded
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, certified
from prunegap.search.plane import Circle, PlaneSearch

FIRST_WINDOW, FIRST_POWER = 20.0, 0.3
WINDOW_STEP = 1.3
"""Rows are made for FIRST_WINDOW / tube^FIRST_POWER neurons, and again for more once these hold no ticket."""

CHUNK_NODES = 20_000


@final
class NeuronClimb(PlaneSearch):
    """Exact search for neuron pruning at d = 2, both readouts; it finds the least width itself. One thread."""

    name: ClassVar[str] = "climb"

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        """Widen the window until it holds a ticket."""
        tube = problem.epsilon / float(np.linalg.norm(problem.target))
        proven, nodes, window = 0, 0, min(math.ceil(FIRST_WINDOW / tube**FIRST_POWER), problem.width)
        memory, reason = np.ones(0, dtype=np.float32), "no neuron is kept"
        while proven < problem.width:
            walk = _Walk(problem, window, proven, memory)
            try:
                walk.run(deadline)
            except KeyboardInterrupt:
                walk.stopped = "stopped"
            proven, nodes, memory = walk.proven, nodes + walk.nodes, walk.memory
            reason = f"every choice of {proven} neurons breaks a condition ({nodes} nodes in all)"
            if walk.ticket is not None or walk.stopped:
                return Finding(walk.ticket, proven, "; ".join(filter(None, (walk.stopped, reason))), nodes)
            window = min(problem.width, math.ceil(WINDOW_STEP * window))
        return Finding(None, proven, reason, nodes)


class _Walk:
    """The climb over the neurons of one window, from the width `proven` on."""

    def __init__(self, problem: Problem, window: int, proven: int, memory: NDArray[np.float32]) -> None:
        self.problem, self.window, self.proven = problem, window, proven
        self.ticket: Mask | None = None
        self.stopped = ""
        self._circle = circle = Circle.of(problem.prefix(window))
        self._kinks = np.argsort(circle.neurons, kind="stable")
        """The kink of each column; columns are in the order of their neurons."""
        self._meta = np.array(
            [int(np.searchsorted(circle.neurons[self._kinks], proven)) - 1, -1, 0, self._kinks.size]
        )
        values, low, high, ids = conditions(
            circle.angles[self._kinks], circle.strengths[self._kinks], circle.is_b[self._kinks], circle.tube,
            circle.linear, POINTS, REACHES,
        )  # fmt: skip
        steps, up, down, useful = rounded(values, low, high)
        self._ids = ids[useful]
        self._steps, up, down = whole_vectors(steps[:, useful], up[useful], down[useful])
        self._room = room_left(self._steps, up, down, int(self._meta[LAST]) + 1)
        self.memory = np.ones(POINTS + circle.neurons.size * REACHES.size, dtype=np.float32)
        self.memory[: memory.size] = memory

    @property
    def nodes(self) -> int:
        """Choices visited."""
        return int(self._meta[NODES])

    def run(self, deadline: Deadline) -> None:
        """Climb until there is a ticket, no neuron is left, or the time is up; `proven` says what is impossible."""
        count, rows = self._steps.shape
        laid = laid_out(self._steps)
        weights, acts, gain = np.ones(rows, dtype=np.float32), np.zeros(rows, dtype=np.int64), np.ones(1)
        weights[: self._ids.size] = self.memory[self._ids]
        states = states_of(count + 2, count)
        ups, downs, reach = np.zeros((3, count + 2, rows), dtype=np.int32)
        branches, tried = np.zeros(count + 2, dtype=np.int64), np.zeros(count + 2, dtype=np.int8)
        circle = self._circle
        kinks = circle.angles, circle.strengths, circle.is_b, np.argsort(self._kinks), circle.tube, circle.linear
        kept = np.empty(count, dtype=np.int64)
        while not self.stopped and self.ticket is None:
            verdict, size = climb_to_screened(
                *laid, *self._room, weights, gain, acts, states, ups, downs, reach, branches, tried,
                self._meta, CHUNK_NODES,
                *kinks, kept,
            )  # fmt: skip
            last = int(self._meta[LAST])
            self.proven = self.window
            if verdict == IMPOSSIBLE:
                break
            self.proven = int(self._circle.neurons[self._kinks[last]])
            if verdict == PAUSED:
                self.stopped = "the time limit was reached" if deadline.expired else ""
            else:
                self._consider(kept[:size])
        self.memory[self._ids] = weights[: self._ids.size] / np.float32(gain[0])

    def _consider(self, kept: NDArray[np.int64]) -> None:
        """Certify the kept kinks, ascending, which have passed the screen."""
        mask = Mask.of_neurons(self._circle.neurons[kept], self.problem.width, 2)
        # The caller asks for the certificate of this mask again.
        certificate = certified(self.problem, mask)
        if certificate.proves(self.problem.epsilon):
            self.ticket = mask
        elif not certificate.refutes(self.problem.epsilon):
            self.stopped = f"the error of a candidate at width {mask.least_width} equals epsilon to the last digit"
