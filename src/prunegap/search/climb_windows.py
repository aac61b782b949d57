"""A climb at d >= 3: branch over integer rows that are made as they are needed, window after window of neurons.

A ticket of a window of neurons keeps one of those behind the width proven so far: this, and the error at inputs and
across kinks, are rows over which the choice is decided by branching (`search.window_rows`). Few rows at first; a
window that a few thousand nodes do not decide gets many, those that decide most are kept, and the others only look at
what is found. A choice that meets all rows gives its worst inputs as new rows, or is a ticket; then only narrower
ones are looked for, until none is left. In hard windows threads share the branches. Everything narrower is proven
impossible in real arithmetic: docs/decisions/0022-branching-beyond-the-plane.md.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from prunegap.kernels.branch import IMPOSSIBLE, SOLUTION
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.ascent import spread_directions, unit, violated_inputs
from prunegap.search.base import Deadline, certified
from prunegap.search.program import MAX_MAGNITUDE, Columns
from prunegap.search.stencils import FEW, MANY, Density
from prunegap.search.window_rows import ChosenRows, Integers, Pool, Walk

FIRST_WINDOW, WINDOW_STEP = 40, 0.2
"""Rows are made for a window of neurons, and again for one that is larger by this part, once it holds no ticket."""
HARD_STEP = 8
"""Neurons by which a window grows at most once it was hard."""
FIRST_WIDTH, STEP, LAST_STEP = 20, 4, 12
"""Neurons that are asked for together, at first and then; at most, where nobody expects a narrower ticket."""

CHUNK_NODES = 2000
"""Nodes of a walk between two looks at the clock and at the other threads."""


@dataclass(frozen=True)
class Stage:
    """For about `nodes` nodes the rows of `density` (None: those made before) that decided most.

    At most `rows`, of which the first `busy` are asked before the others (None: all).
    """

    density: Density | None
    rows: int | None
    busy: int | None
    nodes: float


STAGES = (
    Stage(FEW, None, None, 1500),
    Stage(None, None, 400, 20_000),
    Stage(MANY, None, None, 2500),
    Stage(None, 3000, 800, 20_000),
    Stage(None, 2000, 400, 200_000),
    Stage(None, None, 400, 5000),
)
HARD, CHOSEN, LONG = 2, 3, 4
"""Windows begin with the first stage, or, once one was hard, with HARD: two trials of many rows, and what is left.

Those are tried again, and chosen anew (CHOSEN), whenever the LONG stage is over: which rows decide depends on the
branch."""
LONGER, MOST_NODES = 1.3, 500_000
"""By which factor, and up to how many nodes, the long stage grows each time."""

PATIENCE = 32
"""Solutions that rows left aside refuse before these rows join."""
TAUGHT = 4
STARTS = 2048
NEW_INPUTS = 8
ELSEWHERE = 0.15
"""Nodes that others may spend looking for a ticket, as a part of the climb's own."""
WITHOUT_TICKET = 0.85
"""Part of its time after which a climb ends that nobody has found a ticket for: the rest is left to others."""


def refusal(problem: Problem) -> str | None:
    """Return why climbs beyond the plane do not apply: other granularities, or entries too large to multiply."""
    if not isinstance(problem.granularity, Neuron):
        return f"handles granularity neuron, not {problem.granularity}"
    arrays = problem.network.weights, problem.network.outputs, problem.target, np.array([problem.epsilon])
    if max(float(np.abs(array).max(initial=0.0)) for array in arrays) > MAX_MAGNITUDE:
        return f"an entry is above {MAX_MAGNITUDE:g}"
    return None


def without_neurons(problem: Problem, inputs: Matrix | None) -> Finding | None:
    """Return the answer where the empty ticket is one, or may be; None where its error is above epsilon."""
    empty = Mask.of_neurons([], problem.width, problem.dimension)
    certificate = certified(problem, empty)
    if certificate.proves(problem.epsilon):
        return Finding(mask=empty, reason="the empty ticket is within epsilon", inputs=inputs)
    if not certificate.refutes(problem.epsilon):
        return Finding(reason="the target's norm equals epsilon to the last digit", inputs=inputs)
    return None


class Elsewhere(Protocol):
    """Others who look for a ticket while a climb proves: `nodes` is what they spent, `proven` what they refused."""

    nodes: int
    proven: int

    @property
    def in_vain(self) -> bool:
        """Whether a whole round of looks, up to the width just below the ticket's, found nothing."""

    def look(self, proven: int, ticket: Mask | None) -> Mask | None:
        """Look once for a ticket wider than `proven` and narrower than `ticket`; return it if there is one."""


class Climb:
    """The climb over all neurons; `proven` says what is impossible, `learnt` holds the worst inputs of candidates."""

    def __init__(
        self,
        problem: Problem,
        deadline: Deadline,
        inputs: Matrix | None = None,
        most_nodes: float = math.inf,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Stand at width 0. The climb ends by the deadline, or soon after it has visited `most_nodes` nodes."""
        self.problem, self.deadline, self._most_nodes = problem, deadline, most_nodes
        self._elsewhere = elsewhere
        self._without_ticket = deadline if elsewhere is None else deadline.part(WITHOUT_TICKET)
        self.proven, self.nodes, self.stopped = 0, 0, ""
        self.ticket: Mask | None = None
        self.unsettled = problem.width + 1
        """The least width of a candidate that its certificate neither proves nor refutes."""
        self.learnt = np.zeros((0, problem.dimension)) if inputs is None else unit(inputs)
        self._starts = spread_directions(problem.dimension, STARTS, deadline.budget.seed)

    @property
    def end(self) -> int:
        """The width that remains to be refused: of all neurons, or one less than the ticket's."""
        return self.problem.width if self.ticket is None else self.ticket.least_width - 1

    @property
    def asks_all(self) -> bool:
        """Whether all that remains is asked at once: one question takes fewer nodes than several up to its width."""
        others, rest = self._elsewhere, self.end - self.proven
        return others is not None and self.ticket is not None and others.in_vain and rest <= LAST_STEP

    @property
    def asked(self) -> int:
        """The width that is asked for next."""
        return self.end if self.asks_all else min(self.end, max(self.proven + STEP, FIRST_WIDTH))

    @property
    def spent(self) -> str:
        """Why the climb has to end here, or nothing."""
        if self.deadline.expired or (self.ticket is None and self._without_ticket.expired):
            return "the time limit was reached"
        return f"{self._most_nodes} nodes were visited" if self.nodes >= self._most_nodes else ""

    def run(self, first_window: int = FIRST_WINDOW) -> None:
        """Widen the window until nothing narrower than a ticket is left, no neuron is, or the effort is spent."""
        size, hard = min(first_window, self.problem.width), False
        with ThreadPoolExecutor(self.deadline.budget.workers) as threads:
            while not self.stopped and self.proven < self.end:
                window = _Window(self, size, HARD if hard else 0)
                window.run(threads)
                hard = window.is_hard
                size = max(size, self.proven)
                size = min(self.end, size + (HARD_STEP if hard else math.ceil(WINDOW_STEP * size)))
                size = max(size, self.asked)

    def refused(self, width: int) -> None:
        """Take in that the first `width` neurons hold no ticket, but for candidates that nobody could settle."""
        self.proven = max(self.proven, min(width, self.unsettled - 1))
        if self.proven < width:
            self.stopped = f"a candidate of width {self.unsettled} is too close to epsilon to settle"

    def look_elsewhere(self) -> None:
        """Let the others look for a ticket where that is due."""
        others = self._elsewhere
        if others is None or others.nodes >= ELSEWHERE * self.nodes:
            return
        self.ticket = others.look(self.proven, self.ticket) or self.ticket
        self.proven = max(self.proven, others.proven)

    def worst_inputs(self, mask: Mask) -> Matrix:
        """Return inputs at which a candidate errs most; if by no more than epsilon, it is the ticket."""
        worst = violated_inputs(self.problem, mask.apply(self.problem.network), self._starts, NEW_INPUTS)
        if not len(worst):
            certificate = certified(self.problem, mask)
            if certificate.proves(self.problem.epsilon):
                self.ticket = mask
            elif not certificate.refutes(self.problem.epsilon):
                self.unsettled = min(self.unsettled, mask.least_width)
            worst = unit(np.array([certificate.worst_input]))
        self.learnt = np.concatenate([self.learnt, worst])
        return worst


class _Window:
    """Rows for the first `size` neurons, and the question which of them hold a ticket, a few more at a time."""

    def __init__(self, climb: Climb, size: int, stage: int) -> None:
        self._climb = climb
        self._problem = climb.problem.prefix(size)
        self._columns = Columns.of(self._problem)
        self._below = 0
        """The columns that are asked for: those before it."""
        self._walks: list[Walk] = []
        self._missed: list[Integers] = []
        self._long = STAGES[LONG].nodes
        self._pool: Pool
        self._rows: ChosenRows
        self._enter(stage)

    @property
    def is_hard(self) -> bool:
        """Whether few rows were not enough: then threads share the branches."""
        return self._stage >= HARD

    def run(self, threads: ThreadPoolExecutor) -> None:
        """Ask for a few neurons more until there is a ticket, no neuron is left, or the time is up."""
        climb, columns, size = self._climb, self._columns, self._problem.width
        while not climb.stopped and climb.proven < min(size, climb.end):
            if climb.asks_all and climb.end > size:
                return
            width = min(size, climb.asked)
            self._below = int(np.searchsorted(columns.neurons, width))
            self._pool.ask_for_one_behind(climb.proven)
            self._rows = self._pool.laid_out(self._rows.chosen)
            self._walks = [Walk(self._rows, None, STAGES[self._stage].busy, self._below)]
            self._decide(width, threads)

    def _decide(self, width: int, threads: ThreadPoolExecutor) -> None:
        """Branch until all choices among the first `width` neurons are refused, or the time is up."""
        climb = self._climb
        while self._walks:
            if spent := climb.spent:
                climb.stopped = spent
                return
            self._round(threads)
            if climb.nodes >= self._end or len(self._missed) >= PATIENCE:
                self._change_rows()
            self._look_elsewhere()
            if climb.proven >= min(width, climb.end):
                self._walks = []
        climb.refused(min(width, climb.end))

    def _look_elsewhere(self) -> None:
        """Let others look for a ticket where that is due; if they find one, ask for what is narrower."""
        climb, before = self._climb, self._climb.ticket
        climb.look_elsewhere()
        if climb.ticket is not before:
            self._below = min(self._below, int(np.searchsorted(self._columns.neurons, climb.end)))
            self._resume()

    def _enter(self, stage: int) -> None:
        """Make or choose the rows of a stage; behind the last come again the trials of chosen ones."""
        climb, stage = self._climb, CHOSEN if stage == len(STAGES) else stage
        asked = STAGES[stage]
        self._stage, self._end = stage, climb.nodes + (self._long if stage == LONG else asked.nodes)
        if stage == LONG:
            self._long = min(MOST_NODES, LONGER * self._long)
        elif stage > LONG:
            self._pool.fade()
        if asked.density is not None:
            seed = climb.deadline.budget.seed
            self._pool = Pool(self._problem, self._columns, climb.proven, climb.learnt, asked.density, seed)
        self._rows = self._pool.laid_out(self._pool.busiest(asked.rows))

    def _change_rows(self) -> None:
        """Enter the next stage once this one is over, or let the rows join that were missed."""
        for walk in self._walks:
            walk.teach()
        if self._climb.nodes >= self._end:
            self._enter(self._stage + 1)
        else:
            chosen = self._rows.chosen
            missed = np.setdiff1d(np.concatenate(self._missed), chosen)
            self._rows = self._pool.laid_out(np.concatenate([chosen, missed]))
        self._missed = []
        self._resume()

    def _resume(self) -> None:
        """Go on over the rows and columns that count from now on."""
        busy = STAGES[self._stage].busy
        self._walks = [Walk(self._rows, walk, busy, self._below) for walk in self._walks]

    def _round(self, threads: ThreadPoolExecutor) -> None:
        """Walk on with all threads, and take in what they found one after the other, so that a run repeats."""
        climb, before_ticket = self._climb, self._climb.ticket
        workers = climb.deadline.budget.workers if self.is_hard else 1
        while len(self._walks) < workers:
            other = next(filter(None, (walk.split() for walk in self._walks)), None)
            if other is None:
                break
            self._walks.append(other)
        before = sum(walk.nodes for walk in self._walks)
        chunk = int(min(CHUNK_NODES, max(1, (self._end - climb.nodes) // len(self._walks))))
        verdicts = list(threads.map(lambda walk: walk.advance(chunk), self._walks))
        climb.nodes += sum(walk.nodes for walk in self._walks) - before
        for walk, verdict in zip(self._walks, verdicts, strict=True):
            if verdict == IMPOSSIBLE:
                walk.teach()
            elif verdict == SOLUTION:
                self._consider(walk.kept)
        self._walks = [walk for walk, verdict in zip(self._walks, verdicts, strict=True) if verdict != IMPOSSIBLE]
        if climb.ticket is not before_ticket:
            self._resume()

    def _consider(self, kept: Integers) -> None:
        """Put a choice that meets the walks' rows to all others, then to its certificate."""
        climb, pool = self._climb, self._pool
        broken = pool.broken_by(kept)
        if not broken.size and kept[-1] < self._below:
            mask, size = self._columns.mask(kept, self._problem).resized(climb.problem.width), pool.size
            pool.learn(climb.worst_inputs(mask))
            broken = np.arange(size, pool.size)
            if climb.ticket is mask:
                self._below = int(kept[-1])
        self._missed.append(broken[:TAUGHT])
