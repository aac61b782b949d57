"""Neuron pruning at d = 2, decided exactly: sweep both half circles, meet in the middle (F3).

A rung asks about one width: the circle is cut where a census says that both halves cost the same; the smaller half's
kept sets are stored, the other half's stream past them; matching pairs are screened and then certified exactly. The
rungs grow by a few neurons each, so that the last one, whose cost dominates, is barely wider than the answer. Every
ticket found lowers the bound on the neurons still tried, so a finished rung gives the least width, not just a ticket.
What a finished rung does not find is impossible in real arithmetic: docs/decisions/0005-plane-sweep.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.certify import certify
from prunegap.kernels.half_circle import LINEAR_COLUMNS
from prunegap.kernels.join import Cells, match, mirror
from prunegap.kernels.screen import screen
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.arcs import ARCS, Arcs, Quarters
from prunegap.search.base import Deadline
from prunegap.search.plane import Batch, Circle, PlaneSearch, Walk
from prunegap.search.ring import Ring
from prunegap.search.thinned import NEAR, thinned

FIRST_WIDTH = 12
WIDTH_STEP = 1.02
GROWTH = 2.5
CHEAP_NODES = 3e5
DEAR_NODES = 2e7
"""What the next width may cost before its tickets are looked for among a few neurons first."""

ARC_NODES, GROWN = 1e6, 2
"""What an arc of these may take at first, and how often it is doubled, every other attempt."""

FIRST_ATTEMPTS = 4
LEAST_NODES = 10_000
"""A part that takes less has failed at the target's kink; it counts as so many, since choosing takes time too."""

CHUNK_NODES = 1_000_000
CHUNK_LEAVES = 1 << 18
STORED_BYTES = 1.2e9


class _OutOfTimeError(Exception):
    """The deadline passed inside a rung."""


@final
class PlaneSweep(PlaneSearch):
    """Exact search for neuron pruning at d = 2, both readouts; it finds the least width itself."""

    name: ClassVar[str] = "sweep"

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        """Climb the rungs; each one proves its width impossible or finds the least ticket."""
        ladder = _Ladder(problem, deadline)
        try:
            ladder.climb()
        except (_OutOfTimeError, KeyboardInterrupt):
            ladder.reason = f"stopped while sweeping; {ladder.reason}"
        return Finding(ladder.best, ladder.proven, ladder.reason, ladder.nodes)


class _Ladder:
    """The widths that are asked one after the other, and what they have shown."""

    def __init__(self, problem: Problem, deadline: Deadline) -> None:
        self.problem, self.deadline = problem, deadline
        self.best: Mask | None = None
        self.proven, self.nodes = 0, 0
        self.reason = "no neuron is kept"
        self._uncertain = False
        self._attempts, self._dead, self._spent = 0, 0, 0.0
        self._costs: dict[tuple[int, int | None], float] = {}

    @property
    def _top(self) -> int:
        """The greatest width that is still open."""
        return self.problem.width if self.best is None else self.best.least_width - 1

    def climb(self) -> None:
        """Ask until the least width is known or a ticket is uncertain. Raises _OutOfTimeError."""
        linear = self.problem.readout is Readout.LINEAR
        allowed = CHEAP_NODES
        while self.proven < self._top and not self._uncertain:
            width = self._by_bisection(allowed) if linear else self._by_steps(allowed)
            cost = self._cost(width)
            if linear and cost > max(DEAR_NODES, allowed, 4 * self._spent):
                self._guess()
            else:
                self._sweep(width)
                allowed = GROWTH * max(CHEAP_NODES, cost)

    def _kept(self, width: int) -> int | None:
        """Return the neuron that every ticket of a width keeps: the last one, where there is none without it."""
        return self.proven if self.problem.readout is Readout.LINEAR and width == self.proven + 1 else None

    def _nodes(self, problem: Problem) -> float:
        seed = self.deadline.budget.seed
        return Cut.of(_opened(Circle.of(problem), self._kept(problem.width), seed), seed).nodes

    def _cost(self, width: int) -> float:
        """Return the nodes expected for a width; remembered, since wide ones take seconds and are asked again."""
        asked = width, self._kept(width)
        if asked not in self._costs:
            self._costs[asked] = self._nodes(self.problem.prefix(width))
        return self._costs[asked]

    def _by_steps(self, allowed: float) -> int:
        """Return a width within the nodes allowed; at least a step wider than what is proven, whatever it costs."""
        factor = WIDTH_STEP if self.proven else 1.25
        width = min(self._top, math.ceil(factor * self.proven) if self.proven else FIRST_WIDTH)
        while width < self._top:
            wider = min(self._top, math.ceil(factor * width))
            if self._cost(wider) > allowed:
                break
            width = wider
        return width

    def _by_bisection(self, allowed: float) -> int:
        """Return the widest width within the nodes allowed, or the next one, whatever it costs."""
        low, step = self.proven, 1 if self.proven else FIRST_WIDTH
        high = low + step
        while high <= self._top and self._cost(high) <= allowed:
            low, step = high, 2 * step
            high = low + step
        high = min(high, self._top + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._cost(middle) <= allowed else (low, middle)
        return max(low, self.proven + 1)

    def _sweep(self, width: int) -> None:
        """Ask about all neurons of a width."""
        rung = self._run(self.problem.prefix(width))
        if rung.uncertain:
            return
        self._attempts, self._dead, self._spent = 0, 0, 0.0
        self.proven = width if rung.best is None else rung.best.least_width - 1
        self.reason = f"all kept sets of {width} neurons were swept ({rung.nodes} nodes in the last rung)"

    def _guess(self) -> None:
        """Look for a ticket among a few neurons of the next width; in every other late attempt, of a wider one."""
        width, seed = self.proven + 1, self.deadline.budget.seed
        if self._attempts >= FIRST_ATTEMPTS and self._attempts % 2:
            wider = width + 2 ** ((self._attempts - FIRST_ATTEMPTS) // 2 + 1)
            width = min(self._top, wider if self.best is None else (width + self._top + 1) // 2)
        near = NEAR * 1.5 ** (self._dead + self._attempts % 2)
        allowed = ARC_NODES * 2 ** min(self._attempts // 2, GROWN)

        def fits(part: Problem) -> bool:
            return Quarters.fit(Ring.of(Circle.of(part), self._kept(width)), allowed, seed)

        part = thinned(self.problem.prefix(width), self.proven, near, self._attempts, fits)
        nodes = self._meet(part)
        self._attempts += 1
        # Where the target's kink fails again, neurons farther from it are needed.
        self._dead += nodes < LEAST_NODES
        self._spent += max(nodes, LEAST_NODES)

    def _meet(self, part: Problem) -> int:
        """Take the first ticket that four arcs of a part make; return their nodes. Raises _OutOfTimeError."""
        flat = Circle.of(part)
        if flat.angles.size < ARCS:
            return 0
        quarters = Quarters.of(Ring.of(flat, self._kept(part.width)), self.deadline.budget.seed)
        arcs = Arcs(flat, quarters, self.deadline, self._attempts)
        for neurons in arcs.tickets():
            mask = Mask.of_neurons(neurons, part.width, 2)
            if certify(part, mask).proves(part.epsilon):
                self.best = mask
                break
        self.nodes += arcs.nodes
        if self.deadline.expired and self.proven < self._top:
            raise _OutOfTimeError
        return arcs.nodes

    def _run(self, problem: Problem) -> _Rung:
        """Sweep a problem; keep its ticket and count its nodes, also where the time runs out."""
        rung = _Rung(problem, self.deadline, self._kept(problem.width))
        try:
            rung.run()
        finally:
            self.best, self.nodes = rung.best or self.best, self.nodes + rung.nodes
        if rung.uncertain:
            self._uncertain = True
            self.reason = f"the error of a candidate at width {problem.width} equals epsilon to the last digit"
        return rung


def _opened(flat: Circle, kept: int | None, seed: int) -> Circle:
    """Return the circle to walk: with a linear readout the one that is opened where its halves are cheapest."""
    if not flat.linear or flat.angles.size == 0:
        return flat
    ring = Ring.of(flat, kept)
    return ring.opened(ring.best_start(seed))


@dataclass(frozen=True)
class Cut:
    """Where to cut the circle: before kink `stop`, at angle `middle`; with the nodes and leaves expected."""

    stop: int
    middle: float
    nodes: float
    left_leaves: float
    right_leaves: float

    @classmethod
    def of(cls, circle: Circle, seed: int) -> Cut:
        """Return the cut with the fewest expected nodes whose smaller side fits into memory."""
        count = circle.angles.size
        left_nodes, left = circle.census(seed)
        right_nodes, right = (values[::-1] for values in circle.mirror.census(seed))
        edges = np.concatenate(([-np.pi / 2], circle.angles, [np.pi / 2]))
        middles = (edges[:-1] + edges[1:]) / 2
        leaf_bytes = 64 + 8 * (1 + np.minimum(np.arange(count + 1), count - np.arange(count + 1)) // 64)
        fits = np.minimum(left, right) <= STORED_BYTES / leaf_bytes
        inside = np.cos(middles) > circle.tube
        # The other half is not walked where nothing can be stored.
        total = np.where(left == 0.0, left_nodes, right_nodes + np.where(right == 0.0, 0.0, left_nodes))
        if not (inside & fits).any():
            fits[:] = True
        stop = int(np.argmin(np.where(inside & fits, total, np.inf)))
        return cls(stop, float(middles[stop]), float(total[stop]), float(left[stop]), float(right[stop]))


class _Rung:
    """The question about one width: sweep both halves, join, certify."""

    def __init__(self, problem: Problem, deadline: Deadline, kept: int | None) -> None:
        self.problem = problem
        self.deadline = deadline
        self.best: Mask | None = None
        self.uncertain = False
        self.nodes = 0
        self._flat = Circle.of(problem)
        self._circle = _opened(self._flat, kept, deadline.budget.seed)

    @property
    def _bound(self) -> int:
        """Tickets must be narrower than this to matter."""
        return self.problem.width + 1 if self.best is None else self.best.least_width

    def run(self) -> None:
        """Sweep the width; afterwards `best` is its narrowest ticket, or there is none. Raises _OutOfTimeError."""
        circle = self._circle
        if circle.angles.size == 0:
            return
        cut = Cut.of(circle, self.deadline.budget.seed)
        count = circle.angles.size
        halves = [(circle, cut.stop, cut.middle), (circle.mirror, count - cut.stop, -cut.middle)]
        query_mirrored = cut.left_leaves <= cut.right_leaves
        if not query_mirrored:
            halves.reverse()
        stored_walk = Walk(*halves[0])
        workers = min(2, self.deadline.budget.workers) if min(cut.left_leaves, cut.right_leaves) > 0.0 else 1
        with ThreadPoolExecutor(workers) as pool:
            # One pass, unless the stored half outgrows its memory: then the other half streams past each part of it.
            while not stored_walk.finished:
                query_walk = Walk(*halves[1])
                first = pool.submit(self._collect, stored_walk)
                early = pool.submit(self._collect, query_walk) if workers > 1 else None
                batches = first.result()
                if not any(batch.size for batch in batches):
                    continue
                store = _Store(batches)
                for batch in early.result() if early else ():
                    self._join(batch, store, query_walk, query_mirrored)
                for batch in self._stream(query_walk):
                    self._join(batch, store, query_walk, query_mirrored)
                self.nodes += query_walk.nodes
        self.nodes += stored_walk.nodes

    def _stream(self, walk: Walk) -> Iterator[Batch]:
        while not walk.finished:
            if self.deadline.expired:
                self.nodes += walk.nodes
                raise _OutOfTimeError
            yield walk.advance(self._bound, CHUNK_LEAVES, CHUNK_NODES)

    def _collect(self, walk: Walk) -> list[Batch]:
        """Return the walk's next leaves, as many as the memory takes; the walk may not be finished."""
        batches, held = [], 0.0
        for batch in self._stream(walk):
            batches.append(batch)
            held += batch.leaves.nbytes + batch.masks.nbytes + batch.widths.nbytes
            if held > STORED_BYTES:
                break
        return batches

    def _join(self, batch: Batch, store: _Store, walk: Walk, query_mirrored: bool) -> None:
        pairs = np.empty((1 << 14, 2), dtype=np.int64)
        # Sums held in single precision: two coordinates of at most `reach`, each rounded a few times.
        least = 1.0 - 2.0 * walk.circle.tube - 2.0**-19 * walk.circle.reach
        for part in store.parts:
            begin = 0
            while begin < batch.size:
                if self.deadline.expired:
                    raise _OutOfTimeError
                cells = part.cells
                found, reached = match(
                    batch.leaves, batch.widths, part.leaves, part.widths, cells.starts, cells.grid, cells.far,
                    walk.target, least, self._bound, begin, pairs,
                )  # fmt: skip
                for query, stored in pairs[:found]:
                    self._consider(batch.masks[query], part.masks[stored], query_mirrored)
                if reached == begin:
                    pairs = np.empty((4 * pairs.shape[0], 2), dtype=np.int64)
                begin = reached

    def _consider(self, query: NDArray[np.uint64], stored: NDArray[np.uint64], query_mirrored: bool) -> None:
        """Certify a pair that survives the screen; keep it if it is the narrowest ticket so far."""
        ours, theirs = _bits(query), _bits(stored)
        left, right = (theirs, ours) if query_mirrored else (ours, theirs)
        neurons = self._circle.neurons[np.concatenate((left, self._circle.angles.size - 1 - right))]
        neurons = neurons[neurons >= 0]
        if int(neurons.max(initial=-1)) + 1 >= self._bound:
            return
        circle = self._flat
        kept = np.flatnonzero(np.isin(circle.neurons, neurons))
        if not screen(circle.angles, circle.strengths, circle.is_b, kept, circle.tube, circle.linear):
            return
        mask = Mask.of_neurons(neurons, self.problem.width, 2)
        certificate = certify(self.problem, mask)
        if certificate.proves(self.problem.epsilon):
            self.best = mask
        elif not certificate.refutes(self.problem.epsilon):
            self.uncertain = True


class _Part:
    """Stored leaves in cell order."""

    def __init__(self, leaves: NDArray[np.float32], masks: NDArray[np.uint64], widths: NDArray[np.int64]) -> None:
        self.cells = Cells(leaves, float(np.median(_extents(leaves[:: 1 + len(leaves) // 10_000]))))
        order = self.cells.order
        self.leaves, self.masks = np.take(leaves, order, axis=0), np.take(masks, order, axis=0)
        self.widths = widths[order]


class _Store:
    """The stored half's leaves in the frame of the half that streams.

    With a relu readout a query looks as far as the widest box of a part, so the few wide ones are kept apart.
    """

    def __init__(self, batches: list[Batch]) -> None:
        leaves = np.concatenate([batch.leaves for batch in batches])
        masks = np.concatenate([batch.masks for batch in batches])
        widths = np.concatenate([batch.widths for batch in batches])
        batches.clear()
        mirror(leaves)
        if leaves.shape[1] == LINEAR_COLUMNS or leaves.shape[0] < 1000:
            self.parts = [_Part(leaves, masks, widths)] if leaves.shape[0] else []
            return
        extents = _extents(leaves)
        edges = np.quantile(extents[:: 1 + len(extents) // 10_000], (0.8, 0.98))
        classes = np.searchsorted(edges, extents)
        members = [np.flatnonzero(classes == k) for k in range(3)]
        self.parts = [_Part(leaves[rows], masks[rows], widths[rows]) for rows in members if rows.size]


def _extents(leaves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the greater side of each leaf's box."""
    return np.asarray(np.maximum(leaves[:, 1] - leaves[:, 0], leaves[:, 3] - leaves[:, 2]))


def _bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the positions of the set bits, ascending."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
