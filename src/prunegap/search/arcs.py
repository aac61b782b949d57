"""A ticket of a ring whose halves are too many to list: four arcs, met two and two at a chosen linear part (F3).

Four conditions join two halves of a circle. Two say that the state comes back; the other two that the linear part of
all kept neurons, sum of v w, is that of the target, up to 2 epsilon: a sum of its own for every arc, whatever its
path. So sets of two neighbouring arcs are listed only where their linear part is near a chosen place, and those of
the other two where it is near the opposite one (Schroeppel and Shamir 1981, with the place for the modulus). A small
share of each half meets the same share of all tickets, not its square, and where many sets remain there are many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.arc_join import join_arcs, passing
from prunegap.kernels.half_circle import ALPHA0, ALPHA1, BETA0, BETA1, LINEAR_COLUMNS, Z_HIGH0, Z_LOW0
from prunegap.kernels.join import Cells, match
from prunegap.search.base import Deadline
from prunegap.search.plane import Circle, Walk
from prunegap.search.ring import Ring

ARCS = 4
SAMPLE = 40
BEFORE_TARGET = (0.02, 0.06, 0.125, 0.25)
"""Shares of the kinks that lie between the place where a circle is opened and the target's: a few are tried."""

SUSPECTED_GROWTH = 1.4
"""By how much more nodes each kink counts for behind the one at which a sample died out."""

TOO_MANY = 1e100

FINEST = 1.15
"""Arcs are balanced until their nodes are known up to this factor."""

MOST_NODES = 8.0
"""An arc is given up once it takes so many times the nodes expected, and a million."""

MOST_JOINED = 1_000_000
PLACES = 12
"""Linear parts that are tried with the same arcs."""

CHUNK_NODES = 1_000_000
QUERIES = 1 << 16
PAIRS = 1 << 18
FIRST_HALF = 2.0
"""Linear parts of the left half lie this far from their place, in tubes; more where few sets do."""

ROUNDING = 1e-6

SQUARE = 5.0
"""Side of the squares of linear parts in which sets of an arc are sorted, in tubes."""


@dataclass(frozen=True, eq=False)
class Quarters:
    """Where a ring is opened and cut into four arcs, and the nodes that the greatest of them takes, about."""

    ring: Ring
    opened: int
    cuts: tuple[int, ...]
    nodes: float

    @classmethod
    def of(cls, ring: Ring, seed: int) -> Quarters:
        """Return the cuts that need the fewest nodes, for a few places to open the ring at."""
        count = ring.line.angles.size
        openings = sorted({(count - 1 - math.ceil(share * count)) % count for share in BEFORE_TARGET})
        return min((cls._balanced(ring, k, seed) for k in openings), key=lambda quarters: quarters.nodes)

    @classmethod
    def fit(cls, ring: Ring, allowed: float, seed: int) -> bool:
        """Return whether four arcs of at most so many nodes go round the ring, as far as a census can tell."""
        count = ring.line.angles.size
        opened = (count - 1 - math.ceil(BEFORE_TARGET[1] * count)) % count
        return _Reach(ring.opened(opened), seed).cuts(allowed)[-1] == count

    @classmethod
    def _balanced(cls, ring: Ring, opened: int, seed: int) -> Quarters:
        reach = _Reach(ring.opened(opened), seed)
        count = ring.line.angles.size
        low, high = 1.0, 2.0
        while reach.cuts(high)[-1] < count:
            low, high = high, high * high
        while high > FINEST * low:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if reach.cuts(middle)[-1] < count else (low, middle)
        return cls(ring, opened, reach.cuts(high), high)


class _Reach:
    """How far arcs of an opened circle go with so many nodes."""

    def __init__(self, circle: Circle, seed: int) -> None:
        self.circle, self.seed = circle, seed
        self._nodes: dict[int, NDArray[np.float64]] = {}

    def cuts(self, allowed: float) -> tuple[int, ...]:
        """Return where four arcs end that take at most `allowed` nodes each; every one has a kink at least."""
        cuts, count = [0], self.circle.angles.size
        for left in range(ARCS, 0, -1):
            begin = cuts[-1]
            if begin not in self._nodes:
                nodes, alive = self.circle.rest(begin).census(self.seed, SAMPLE)
                # Where a sample has died out, others may live on, and they would grow again.
                behind = np.arange(nodes.size) - np.count_nonzero(alive)
                with np.errstate(over="ignore"):
                    nodes = nodes * SUSPECTED_GROWTH ** np.maximum(behind, 0)
                self._nodes[begin] = np.minimum(nodes, TOO_MANY)
            taken = int(np.searchsorted(self._nodes[begin], allowed, side="right")) - 1
            cuts.append(min(begin + max(1, taken), count - left + 1))
        return tuple(cuts)


@dataclass(frozen=True, eq=False)
class _Arc:
    """The kept sets of an arc, as leaves in a common frame."""

    leaves: NDArray[np.float32]
    masks: NDArray[np.uint64]
    nodes: int

    @property
    def linear_parts(self) -> NDArray[np.float64]:
        """The linear part of every set, (k, 2)."""
        return self.leaves[:, ALPHA0 : ALPHA1 + 1].astype(np.float64) + self.leaves[:, BETA0 : BETA1 + 1]

    def ordered(self, order: NDArray[np.int64]) -> _Arc:
        """Return the same sets in another order."""
        return _Arc(self.leaves[order], self.masks[order], self.nodes)


@dataclass(frozen=True, eq=False)
class _Squares:
    """The sets of an arc sorted for `join_arcs`, by squares of linear parts, `side` wide from `low` on."""

    arc: _Arc
    starts: NDArray[np.int64]
    low: NDArray[np.float64]
    counts: NDArray[np.int64]
    side: float
    reach: float

    @classmethod
    def of(cls, arc: _Arc, side: float) -> _Squares:
        leaves, parts = arc.leaves, arc.linear_parts
        low = parts.min(axis=0)
        squares = np.floor((parts - low) / side).astype(np.int64)
        counts = squares.max(axis=0) + 1
        squares = squares[:, 0] * counts[1] + squares[:, 1]
        middles = (leaves[:, Z_LOW0] + leaves[:, Z_HIGH0]) / 2 + leaves[:, ALPHA0]
        starts = np.concatenate(([0], np.cumsum(np.bincount(squares, minlength=int(counts.prod())))))
        reach = float((leaves[:, Z_HIGH0] - leaves[:, Z_LOW0]).max()) / 2 + ROUNDING
        return cls(arc.ordered(np.lexsort((middles, squares))), starts, low, counts, side, reach)


@dataclass(frozen=True, eq=False)
class _Joined:
    """Sets of two neighbouring arcs: their leaves, which two each is made of, and whether there are more."""

    leaves: NDArray[np.float32]
    pairs: NDArray[np.int32]
    cut: bool

    @property
    def size(self) -> int:
        return len(self.leaves)


def _pairs(first: _Arc, second: _Squares, centre: NDArray[np.float64], half: float) -> _Joined:
    """Return sets of two neighbours with a linear part within `half` of `centre`, as many as there is room for."""
    leaves = np.empty((MOST_JOINED, LINEAR_COLUMNS), dtype=np.float32)
    pairs = np.empty((MOST_JOINED, 2), dtype=np.int32)
    found, reached = join_arcs(
        first.leaves, second.arc.leaves, second.starts, second.low, second.counts, second.side, second.reach,
        centre, half, leaves, pairs,
    )  # fmt: skip
    return _Joined(leaves[:found], pairs[:found], reached < len(first.leaves))


class Arcs:
    """The kept sets of four arcs, and the tickets that they make together."""

    def __init__(self, flat: Circle, quarters: Quarters, deadline: Deadline, attempt: int = 0) -> None:
        self.flat, self.quarters, self.deadline = flat, quarters, deadline
        self.circle = quarters.ring.opened(quarters.opened)
        self.nodes = 0
        self._random = np.random.default_rng([deadline.budget.seed, attempt])

    def tickets(self) -> Iterator[NDArray[np.int64]]:
        """Yield sets of neurons whose error is within the tube, as far as floats can tell; stops at the deadline."""
        tube = self.circle.tube
        with ThreadPoolExecutor(self.deadline.budget.workers) as pool:
            arcs = list(pool.map(self._listed, range(ARCS)))
            self.nodes += sum(arc.nodes for arc in arcs)
            if not all(len(arc.leaves) for arc in arcs):
                return
            # A half that finds no room for all its sets begins with any of them.
            left, right = (arc.ordered(self._random.permutation(len(arc.leaves))) for arc in arcs[::2])
            second, fourth = (_Squares.of(arc, SQUARE * tube) for arc in arcs[1::2])
            masks = left.masks, second.arc.masks, right.masks, fourth.arc.masks
            half = FIRST_HALF * tube
            for place in self._places(arcs):
                if self.deadline.expired:
                    return
                ours = pool.submit(_pairs, left, second, place, half)
                theirs = pool.submit(_pairs, right, fourth, -place, half + 2.0 * tube)
                yield from self._met(masks, ours.result(), theirs.result(), pool)
                half *= 0.7 if ours.result().cut else 1.0 if 4 * ours.result().size > MOST_JOINED else 1.4

    def _listed(self, which: int) -> _Arc:
        """Return all kept sets of an arc; none if they are too many or the time is up."""
        circle, cuts = self.circle, self.quarters.cuts
        begin, end = cuts[which], cuts[which + 1]
        edges = np.append(circle.angles, circle.angles[0] + np.pi)
        frame = (edges[cuts[2] - 1] + edges[cuts[2]]) / 2
        walk = Walk(circle.rest(begin), end - begin, (edges[end - 1] + edges[end]) / 2, frame)
        batches = []
        most = CHUNK_NODES + MOST_NODES * self.quarters.nodes
        while not walk.finished and walk.nodes < most and not self.deadline.expired:
            batches.append(walk.advance(1 << 62, CHUNK_NODES, CHUNK_NODES))
        if not walk.finished:
            batches = [walk.advance(1 << 62, 0, 0)]  # no leaves, of the right shape
        leaves, masks = [batch.leaves for batch in batches], [batch.masks for batch in batches]
        return _Arc(np.concatenate(leaves), np.concatenate(masks), walk.nodes)

    def _places(self, arcs: list[_Arc]) -> Iterator[NDArray[np.float64]]:
        """Yield linear parts of the left half that many sets of both halves have, as if all were normal."""
        parts = [arc.linear_parts for arc in arcs]
        means = [part.mean(axis=0) for part in parts]
        spreads = [np.cov(part.T, bias=True) + self.circle.tube**2 * np.eye(2) for part in parts]
        left, right = np.linalg.inv(spreads[0] + spreads[1]), np.linalg.inv(spreads[2] + spreads[3])
        both = np.linalg.inv(left + right)
        centre = both @ (left @ (means[0] + means[1]) - right @ (means[2] + means[3]))
        yield centre
        yield from self._random.multivariate_normal(centre, both, PLACES - 1)

    def _met(
        self, masks: tuple[NDArray[np.uint64], ...], left: _Joined, right: _Joined, pool: Executor
    ) -> Iterator[NDArray[np.int64]]:
        """Yield what passes the screen of the pairs of joined sets that may belong together."""
        self.nodes += left.size + right.size
        if not left.size or not right.size:
            return
        cells = Cells(right.leaves, float(np.median(right.leaves[:, 1] - right.leaves[:, 0])))
        right = _Joined(right.leaves[cells.order], right.pairs[cells.order], right.cut)
        nothing = np.zeros(max(left.size, right.size), dtype=np.int64)
        cuts = np.array(self.quarters.cuts)

        def met(begin: int) -> list[NDArray[np.int64]]:
            leaves, pairs, found = left.leaves[begin : begin + QUERIES], left.pairs[begin : begin + QUERIES], []
            room, kept = np.empty((PAIRS, 2), dtype=np.int64), np.empty(self.flat.angles.size, dtype=np.int64)
            at = 0
            while at < len(leaves):
                size, at = match(
                    leaves, nothing, right.leaves, nothing, cells.starts, cells.grid, cells.far, np.zeros(2), 0.0, 1,
                    at, room,
                )  # fmt: skip
                if not size:
                    break
                length = passing(
                    room[:size], pairs, right.pairs, masks, cuts, self.quarters.opened, kept,
                    self.flat.angles, self.flat.strengths, self.flat.is_b, self.flat.tube,
                )  # fmt: skip
                if length:
                    found.append(self.flat.neurons[kept[:length]])
            return found

        for found in pool.map(met, range(0, left.size, QUERIES)):
            yield from found
