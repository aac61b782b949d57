"""Neuron pruning at d >= 3: climb the widths one neuron at a time over rows that are made as they are needed.

A ticket at width n + 1 that width n does not hold keeps neuron n + 1: so every neuron in turn is kept, and the choice
among those before it is decided by branching over integer rows (`search.window_rows`). A width that a few thousand
nodes do not decide gets four times as many rows; those that decide most are kept, the others only look at what is
found. A choice that meets all rows gives its worst inputs as new rows, or is a ticket of least width. In hard windows
threads share the branches of one neuron. Everything narrower is proven impossible in real arithmetic:
docs/decisions/0022-branching-beyond-the-plane.md.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, final

import numpy as np

from prunegap.kernels.branch import IMPOSSIBLE, SOLUTION
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.ascent import spread_directions, unit, violated_inputs
from prunegap.search.base import Deadline, Search, certified
from prunegap.search.program import MAX_MAGNITUDE, Columns
from prunegap.search.stencils import FEW, MANY
from prunegap.search.window_rows import Integers, Pool, Walk

FIRST_WINDOW = 40
WINDOW_STEP, HARD_STEP = 0.2, 4
"""Rows are made for so many neurons, and again for more once these hold no ticket: a part more, or a few."""
HARDEST_NODES = 50_000
"""Windows that take more are followed by one neuron at a time."""

CHUNK_NODES = 2000
FEW_NODES, MANY_NODES = 6000, 5000
"""Nodes of a window with few rows, then with many: a trial of the rows."""
KEPT_ROWS = 1200
PATIENCE = 32
"""Solutions that rows left aside refuse before these rows join."""
TAUGHT = 4
STARTS = 2048
NEW_INPUTS = 8


@final
class NeuronClimbBall(Search):
    """Exact search for neuron pruning at any d, both readouts; it finds the least width itself."""

    name: ClassVar[str] = "climb-ball"
    finds_least: ClassVar[bool] = True

    def __init__(self, scout: Search | None = None) -> None:
        self.scout = scout

    def refusal(self, problem: Problem) -> str | None:
        """Return why it does not apply: other granularities, or entries too large to multiply."""
        if not isinstance(problem.granularity, Neuron):
            return f"handles granularity neuron, not {problem.granularity}"
        arrays = problem.network.weights, problem.network.outputs, problem.target, np.array([problem.epsilon])
        if max(float(np.abs(array).max(initial=0.0)) for array in arrays) > MAX_MAGNITUDE:
            return f"an entry is above {MAX_MAGNITUDE:g}"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        """Widen the window until it holds a ticket."""
        empty = Mask.of_neurons([], problem.width, problem.dimension)
        certificate = certified(problem, empty)
        if certificate.proves(problem.epsilon):
            return Finding(mask=empty, reason="the empty ticket is within epsilon", inputs=inputs)
        if not certificate.refutes(problem.epsilon):
            return Finding(reason="the target's norm equals epsilon to the last digit", inputs=inputs)
        climb = _Climb(problem, deadline, inputs)
        try:
            climb.run()
        except KeyboardInterrupt:
            climb.stopped = "stopped"
        proof = f"every choice of {climb.proven} neurons breaks a condition ({climb.nodes} nodes in all)"
        reason = "; ".join(filter(None, (climb.stopped, proof)))
        return Finding(climb.ticket, climb.proven, reason, climb.nodes, climb.learnt if len(climb.learnt) else None)


class _Climb:
    """The climb over all neurons; `proven` says what is impossible, `learnt` holds the worst inputs of candidates."""

    def __init__(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> None:
        self.problem, self.deadline = problem, deadline
        self.proven, self.nodes, self.stopped = 0, 0, ""
        self.ticket: Mask | None = None
        self.learnt = np.zeros((0, problem.dimension)) if inputs is None else unit(inputs)
        self._starts = spread_directions(problem.dimension, STARTS, deadline.budget.seed)
        self._hard = self._unsettled = False

    def run(self) -> None:
        """Climb until there is a ticket, no neuron is left, or the time is up."""
        window = min(FIRST_WINDOW, self.problem.width)
        while self.ticket is None and not self.stopped and self.proven < self.problem.width:
            before = self.nodes
            self._window(window)
            took = self.nodes - before
            self._hard = self._hard or took > FEW_NODES
            # Rows are chosen by what they decide at a window's first neuron: its last ones would go without theirs.
            step = math.ceil(WINDOW_STEP * window) if not self._hard else HARD_STEP if took < HARDEST_NODES else 1
            window = min(self.problem.width, window + step)

    def _window(self, window: int) -> None:
        """Decide the neurons up to `window`, from the width proven on."""
        problem, seed = self.problem.prefix(window), self.deadline.budget.seed
        columns = Columns.of(problem)
        pool = Pool(problem, columns, self.learnt, MANY if self._hard else FEW, seed)
        chosen, trial = np.arange(pool.size), self.nodes + (MANY_NODES if self._hard else FEW_NODES)
        walk = Walk(pool, chosen, int(np.searchsorted(columns.neurons, self.proven)))
        while (missed := self._branch(walk, pool, trial)) is not None:
            if missed.size:
                chosen = np.union1d(chosen, missed)
            elif self._hard:
                chosen, trial = pool.busiest(KEPT_ROWS), 1 << 62
                if self.deadline.budget.workers > 1:
                    self._share(Walk(pool, chosen, 0, walk), pool, chosen)
                    return
            else:
                self._hard, trial = True, self.nodes + MANY_NODES
                pool = Pool(problem, columns, self.learnt, MANY, seed)
                chosen = np.arange(pool.size)
            walk = Walk(pool, chosen, 0, walk)

    def _share(self, walk: Walk, pool: Pool, chosen: Integers) -> None:
        """Decide the rest of the window, neuron after neuron, each with the branches shared among the threads."""
        neurons, width = pool.columns.neurons, pool.problem.width
        with ThreadPoolExecutor(self.deadline.budget.workers) as threads:
            for last in range(max(0, walk.last), neurons.size):
                walk.until = last + 1
                walk, chosen = self._shared(walk, pool, chosen, threads)
                if self.ticket is None and not self.stopped and self._unsettled:
                    self.stopped = _too_close(self.proven)
                if self.ticket is not None or self.stopped:
                    return
                self.proven = max(self.proven, int(neurons[last + 1]) if last + 1 < neurons.size else width)

    def _shared(
        self, first: Walk, pool: Pool, chosen: Integers, threads: ThreadPoolExecutor
    ) -> tuple[Walk, Integers]:
        """Finish the neuron of a walk, or find a ticket; return the walk and the rows that it is over by then."""
        walks, missed = [first], list[Integers]()
        while walks and not self.stopped:
            while len(walks) < self.deadline.budget.workers:
                other = next(filter(None, (walk.split() for walk in walks)), None)
                if other is None:
                    break
                walks.append(other)
            before = sum(walk.nodes for walk in walks)
            verdicts = list(threads.map(lambda walk: walk.advance(CHUNK_NODES), walks))
            self.nodes += sum(walk.nodes for walk in walks) - before
            for walk, verdict in zip(walks, verdicts, strict=True):
                if verdict == IMPOSSIBLE:
                    walk.teach()
                elif verdict == SOLUTION and self.ticket is None:
                    missed.append(self._consider(walk.kept, pool))
            if self.ticket is not None:
                break
            walks = [walk for walk, verdict in zip(walks, verdicts, strict=True) if verdict != IMPOSSIBLE]
            if len(missed) >= PATIENCE:
                for walk in (*walks, first):
                    walk.teach()
                chosen, missed = np.union1d(chosen, np.concatenate(missed)), []
                others = [Walk(pool, chosen, 0, walk) for walk in walks if walk is not first]
                is_done = first not in walks
                first = Walk(pool, chosen, 0, first)
                walks = others if is_done else [first, *others]
            if walks and self.deadline.expired:
                self.stopped = "the time limit was reached"
        return first, chosen

    def _branch(self, walk: Walk, pool: Pool, most: int) -> Integers | None:
        """Walk on to about `most` nodes in all; return the rows that PATIENCE solutions asked for in vain, or none.

        No array where nothing is left to do: a ticket, no time, or the end of the window.
        """
        missed: list[Integers] = []
        neurons, before = pool.columns.neurons, self.nodes
        while self.nodes < most and len(missed) < PATIENCE:
            verdict = walk.advance(CHUNK_NODES)
            self.nodes = before + walk.nodes
            proven = pool.problem.width if verdict == IMPOSSIBLE else int(neurons[walk.last])
            if self._unsettled and proven > self.proven:
                self.stopped = _too_close(self.proven)
                return None
            self.proven = max(self.proven, proven)
            if verdict == IMPOSSIBLE:
                return None
            if verdict == SOLUTION:
                missed.append(self._consider(walk.kept, pool))
            if self.ticket is None and not self.stopped and self.deadline.expired:
                self.stopped = "the time limit was reached"
            if self.ticket is not None or self.stopped:
                return None
        walk.teach()
        return np.unique(np.concatenate(missed)) if len(missed) >= PATIENCE else np.zeros(0, dtype=np.int64)

    def _consider(self, kept: Integers, pool: Pool) -> Integers:
        """Return some rows of the pool that the choice breaks, new ones if need be; or it is a ticket."""
        broken = pool.broken_by(kept)
        if broken.size:
            return broken[:TAUGHT]
        mask = pool.columns.mask(kept, pool.problem)
        worst = violated_inputs(pool.problem, mask.apply(pool.problem.network), self._starts, NEW_INPUTS)
        if not len(worst):
            mask = mask.resized(self.problem.width)
            certificate = certified(self.problem, mask)
            if certificate.proves(self.problem.epsilon):
                self.ticket = mask
            # A width may hold a ticket beside candidates that no certificate settles, but it is not refused then.
            elif not certificate.refutes(self.problem.epsilon):
                self._unsettled = True
            worst = unit(np.array([certificate.worst_input]))
        size = pool.size
        pool.learn(worst)
        self.learnt = np.concatenate([self.learnt, worst])
        return np.arange(size, pool.size)


def _too_close(proven: int) -> str:
    return f"a candidate of width {proven + 1} is too close to epsilon to settle"
