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
from prunegap.kernels.join import Cells, match, mirror, screen
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline
from prunegap.search.plane import Batch, Circle, PlaneSearch, Walk

FIRST_WIDTH = 12
WIDTH_STEP = 1.02
GROWTH = 2.5
CHEAP_NODES = 3e5
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
        best: Mask | None = None
        proven, nodes = 0, 0
        reason = "no neuron is kept"
        try:
            for width in _rungs(problem, deadline):
                rung = _Rung(problem.prefix(width), deadline)
                try:
                    rung.run()
                finally:
                    best, nodes = rung.best, nodes + rung.nodes
                if rung.uncertain:
                    reason = f"the error of a candidate at width {width} equals epsilon to the last digit"
                    break
                proven = width if best is None else best.least_width - 1
                reason = f"all kept sets of {width} neurons were swept ({rung.nodes} nodes in the last rung)"
                if best is not None:
                    break
        except (_OutOfTimeError, KeyboardInterrupt):
            reason = f"stopped while sweeping; {reason}"
        return Finding(best, proven, reason, nodes)


def _rungs(problem: Problem, deadline: Deadline) -> Iterator[int]:
    """Yield growing widths: first the widest that is still cheap, then each about GROWTH times as costly."""

    def cost(width: int) -> float:
        return Cut.of(Circle.of(problem.prefix(width)), deadline.budget.seed).nodes

    width, allowed, factor = min(FIRST_WIDTH, problem.width), CHEAP_NODES, 1.25
    while True:
        while width < problem.width:
            wider = min(problem.width, math.ceil(factor * width))
            if cost(wider) > allowed:
                break
            width = wider
        yield width
        if width == problem.width:
            return
        # The next rung is wider by a step even where that step alone costs more.
        factor = WIDTH_STEP
        allowed = GROWTH * max(CHEAP_NODES, cost(width))
        width = min(problem.width, math.ceil(factor * width))


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
        fits = np.minimum(left, right) * leaf_bytes <= STORED_BYTES
        inside = np.cos(middles) > circle.tube
        total = left_nodes + right_nodes
        if not (inside & fits).any():
            fits[:] = True
        stop = int(np.argmin(np.where(inside & fits, total, np.inf)))
        return cls(stop, float(middles[stop]), float(total[stop]), float(left[stop]), float(right[stop]))


class _Rung:
    """The question about one width: sweep both halves, join, certify."""

    def __init__(self, problem: Problem, deadline: Deadline) -> None:
        self.problem = problem
        self.deadline = deadline
        self.best: Mask | None = None
        self.uncertain = False
        self.nodes = 0
        self._circle = Circle.of(problem)

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
        with ThreadPoolExecutor(max(1, min(2, self.deadline.budget.workers))) as pool:
            # One pass, unless the stored half outgrows its memory: then the other half streams past each part of it.
            while not stored_walk.finished:
                query_walk = Walk(*halves[1])
                first = pool.submit(self._collect, stored_walk)
                early = pool.submit(self._collect, query_walk) if self.deadline.budget.workers > 1 else None
                store = _Store(first.result())
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
        circle = self._circle
        ours, theirs = _bits(query), _bits(stored)
        left, right = (theirs, ours) if query_mirrored else (ours, theirs)
        kept = np.concatenate((left, np.sort(circle.angles.size - 1 - right)))
        neurons = circle.neurons[kept]
        if int(neurons.max(initial=-1)) + 1 >= self._bound:
            return
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
