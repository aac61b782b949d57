"""A neuron-pruning problem at d = 2, seen from its target: kinks in angular order (F3).

The target is put at angle 0 and scaled to norm 1. Every living neuron has one kink theta in [-pi/2, pi/2] with
strength kappa = v ||w||; it is active to the right of it (type B) or to the left (type A).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.census import census
from prunegap.kernels.half_circle import LINEAR_COLUMNS, RELU_COLUMNS, advance, start
from prunegap.kernels.tube import SLOPE_BINS, VERTICES, viability
from prunegap.model.granularity import Neuron
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.search.base import Search

CENSUS_ROOM = 400


def strengths_of(problem: Problem, norm: float) -> NDArray[np.float64]:
    """Return every neuron's strength v ||w||, in units of the target's norm."""
    weights = problem.network.weights
    return np.asarray(problem.network.outputs * np.hypot(weights[:, 0], weights[:, 1]) / norm)


def reach_of(strengths: NDArray[np.float64]) -> float:
    """Return more than any state's norm among kinks of these strengths."""
    return 2.0 + float(np.abs(strengths).sum())


def rounding_of(strengths: NDArray[np.float64]) -> float:
    """Return more than a walk over kinks of these strengths loses by rounding."""
    return 2.0 * (strengths.size + 8) * 64.0 * 2.0**-53 * reach_of(strengths)


def tube_of(epsilon: float, strengths: NDArray[np.float64]) -> float:
    """Return epsilon, relaxed by more than the rounding of a walk over kinks of these strengths."""
    return epsilon * (1.0 + 1e-6) + rounding_of(strengths)


@lru_cache(maxsize=4)
def refusal(problem: Problem) -> str | None:
    """Return why a problem is none for the plane: other dimensions, granularities, epsilon too large or too small."""
    if not isinstance(problem.granularity, Neuron):
        return f"handles granularity neuron, not {problem.granularity}"
    if problem.dimension != 2:
        return f"handles dimension 2, not {problem.dimension}"
    norm = float(np.hypot(problem.target[0], problem.target[1]))
    epsilon = problem.epsilon / norm
    if epsilon > 0.9:
        return f"needs epsilon at most 0.9 of the target's norm, not {epsilon:g} of it"
    # Sums of magnitudes instead of norms: a quick bound that is nearly always enough.
    weights, outputs = problem.network.weights, problem.network.outputs
    if tube_of(epsilon, outputs * (np.abs(weights[:, 0]) + np.abs(weights[:, 1])) / norm) <= 1.1 * epsilon:
        return None
    strengths = strengths_of(problem, norm)
    if not tube_of(epsilon, strengths[strengths != 0.0]) <= 1.1 * epsilon:  # also where weights overflow
        return f"epsilon {problem.epsilon:g} is below what double precision can prove for weights this large"
    return None


class PlaneSearch(Search):
    """An exact search for neuron pruning at d = 2, both readouts, that finds the least width itself."""

    finds_least: ClassVar[bool] = True

    def __init__(self, scout: Search | None = None) -> None:
        self.scout = scout

    def refusal(self, problem: Problem) -> str | None:
        """Return why it does not apply: other dimensions or granularities, epsilon too large or too small."""
        return refusal(problem)


@dataclass(frozen=True, eq=False)
class Circle:
    """The kinks of a problem, ascending: angles, strengths, type B or not, and the neuron each belongs to.

    `tube` is epsilon plus more than all rounding of the walks (docs/decisions/0005-plane-sweep.md), in units of the
    target's norm; `reach` bounds every state.
    """

    angles: NDArray[np.float64]
    strengths: NDArray[np.float64]
    is_b: NDArray[np.bool_]
    neurons: NDArray[np.int64]
    epsilon: float
    linear: bool
    forced: NDArray[np.bool_]
    opened: bool = False
    """Whether the target is one of the kinks, and -pi/2 is where the circle was cut open (`search.ring`)."""

    continuations: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None
    """The table of viable states, and the mirror image's, where they look beyond the ends."""

    left_end: float = -math.pi / 2
    """Where the first kinks' walk begins."""

    @classmethod
    def of(cls, problem: Problem) -> Circle:
        """Return the problem's kinks without those that compute nothing (v = 0 or w = 0)."""
        norm = float(np.hypot(problem.target[0], problem.target[1]))
        along, across = problem.target / norm
        rows = problem.network.weights @ np.array([[along, -across], [across, along]])
        strengths = strengths_of(problem, norm)
        directions = np.arctan2(rows[:, 1], rows[:, 0])
        is_b = directions >= 0.0
        angles = np.where(is_b, directions - np.pi / 2, directions + np.pi / 2)
        order = np.argsort(angles, kind="stable")
        order = order[strengths[order] != 0.0]
        linear = problem.readout is Readout.LINEAR
        return cls(angles[order], strengths[order], is_b[order], order, problem.epsilon / norm, linear, order < 0)

    @cached_property
    def reach(self) -> float:
        """More than any state's norm: the target's, all strengths, and 1 to spare for the relaxed tube."""
        return reach_of(self.strengths)

    @cached_property
    def rounding(self) -> float:
        """More than a walk over all kinks loses by rounding."""
        return rounding_of(self.strengths)

    @cached_property
    def tube(self) -> float:
        """Epsilon, relaxed by more than the rounding of a walk over all kinks."""
        return tube_of(self.epsilon, self.strengths)

    @cached_property
    def slope_limit(self) -> float:
        """Steeper states are not tabulated."""
        return 2.0 * float(np.abs(self.strengths).max(initial=0.1))

    @cached_property
    def two_sided(self) -> NDArray[np.bool_]:
        """Kinks at which the error is bounded from below too."""
        if self.linear:
            return np.ones(self.angles.size, dtype=np.bool_)
        return np.asarray(np.cos(self.angles) > self.tube)

    @cached_property
    def viable(self) -> NDArray[np.uint64]:
        """The table of states from which the tube can be kept to the right end, and beyond it where that is known."""
        if self.continuations is not None:
            return self.continuations[0]
        table: NDArray[np.uint64] = viability(
            self.angles, self.strengths, self.two_sided, self.forced, self.tube, self.slope_limit
        )
        return table

    @cached_property
    def outward(self) -> NDArray[np.uint64]:
        """The row of states left of the first kink from which the tube can be kept to the left and on, if known."""
        return np.empty((0, SLOPE_BINS), dtype=np.uint64) if self.continuations is None else self.continuations[1][:1]

    def begin(self, middle: float) -> NDArray[np.float64]:
        """Cosine and sine of the first kink, in the frame of `middle`."""
        angle = float(self.angles[0]) - middle if self.angles.size else 0.0
        return np.array([math.cos(angle), math.sin(angle)])

    @cached_property
    def mirror(self) -> Circle:
        """The mirror image, in which the right end is the left one."""
        turned, tables = slice(None, None, -1), self.continuations
        return Circle(
            -self.angles[turned],
            self.strengths[turned].copy(),
            ~self.is_b[turned],
            self.neurons[turned].copy(),
            self.epsilon,
            self.linear,
            self.forced[turned].copy(),
            self.opened,
            None if tables is None else (tables[1][turned].copy(), tables[0][turned].copy()),
        )

    def rest(self, k: int) -> Circle:
        """Return the part of an opened circle that begins with kink k: any state within the tube may start there."""
        return Circle(
            self.angles[k:],
            self.strengths[k:],
            self.is_b[k:],
            self.neurons[k:],
            self.epsilon,
            self.linear,
            self.forced[k:],
            self.opened,
            None if self.continuations is None else (self.continuations[0][k:], self.continuations[1][k:]),
            float(self.angles[k]),
        )

    @cached_property
    def inner_angle(self) -> float:
        """The first angle at which the error is bounded from below too."""
        return self.left_end + (0.0 if self.linear else math.asin(min(1.0, self.tube)))

    def inner(self, middle: float) -> NDArray[np.float64]:
        """Cosine and sine of the first two-sided angle, in the frame of `middle`."""
        return np.array([math.cos(self.inner_angle - middle), math.sin(self.inner_angle - middle)])

    @cached_property
    def first(self) -> int:
        """How many kinks lie before the first two-sided angle."""
        return int(np.searchsorted(self.angles, self.inner_angle))

    def census(self, seed: int, room: int = CENSUS_ROOM) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return estimates (nodes, leaves) of the left walk that stops before kink k, k = 0..n."""
        walk = _States(2 * room + 4)
        start(walk.polygons, walk.counts, walk.sums, walk.positions, walk.meta, self.left_end, self.tube,
              self.reach, self.linear)  # fmt: skip
        nodes, alive = census(
            np.cos(self.angles), np.sin(self.angles), self.strengths, self.is_b, self.two_sided, self.forced,
            self.first, self.inner(0.0), self.viable, self.begin(0.0), self.outward, self.tube, self.slope_limit,
            walk.polygons, walk.counts, walk.sums, room, seed,
        )  # fmt: skip
        with np.errstate(over="ignore"):
            return np.concatenate(([0.0], np.cumsum(nodes))), np.concatenate(([1.0], alive))


class _States:
    """The arrays a walk lives in."""

    def __init__(self, depths: int) -> None:
        self.polygons = np.zeros((depths, 2, VERTICES))
        self.counts = np.zeros(depths, dtype=np.int64)
        self.sums = np.zeros((depths, 4))
        self.positions = np.zeros(depths, dtype=np.int64)
        self.kept = np.zeros(depths, dtype=np.int64)
        self.widths = np.zeros(depths, dtype=np.int64)
        self.meta = np.zeros(3, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """Leaves of a walk: boxes and sums, kept kinks as bits, and the width each needs."""

    leaves: NDArray[np.float32]
    masks: NDArray[np.uint64]
    widths: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return int(self.widths.size)


class Walk:
    """A resumable enumeration of the kept sets among the first `stop` kinks of a circle, up to the angle `middle`.

    Leaves are in the frame of `frame`, which is `middle` where two halves meet.
    """

    def __init__(self, circle: Circle, stop: int, middle: float, frame: float | None = None) -> None:
        self.circle = circle
        self.stop = stop
        frame = middle if frame is None else frame
        # The start state is alpha less the target, unless the target is one of the kinks.
        self.target = np.array([math.cos(frame), -math.sin(frame)]) * (0.0 if circle.opened else 1.0)
        self._end = np.array([math.cos(middle - frame), math.sin(middle - frame)])
        turned = circle.angles[: stop + 1] - frame
        self._cosines, self._sines = np.cos(turned), np.sin(turned)
        self._inner, self._begin = circle.inner(frame), circle.begin(frame)
        self._states = states = _States(stop + 4)
        start(states.polygons, states.counts, states.sums, states.positions, states.meta, circle.left_end - frame,
              circle.tube, circle.reach, circle.linear)  # fmt: skip

    @property
    def finished(self) -> bool:
        """Whether every kept set has been listed."""
        return bool(self._states.meta[0] < 0)

    @property
    def nodes(self) -> int:
        """Kept sets visited so far."""
        return int(self._states.meta[2])

    def advance(self, bound: int, room: int, node_limit: int) -> Batch:
        """Return up to `room` further leaves with neurons below `bound`, visiting about `node_limit` nodes."""
        circle, states = self.circle, self._states
        leaves = np.empty((room, LINEAR_COLUMNS if circle.linear else RELU_COLUMNS), dtype=np.float32)
        masks = np.empty((room, max(1, (self.stop + 63) // 64)), dtype=np.uint64)
        widths = np.empty(room, dtype=np.int64)
        count = advance(
            self._cosines, self._sines, circle.strengths, circle.is_b, circle.two_sided, circle.forced,
            circle.neurons, circle.first, self._inner, self.stop, self.target, self._end, circle.viable, self._begin,
            circle.outward, circle.tube, circle.slope_limit, circle.rounding, circle.linear, bound,
            states.polygons, states.counts, states.sums, states.positions, states.kept, states.widths, states.meta,
            leaves, masks, widths, node_limit,
        )  # fmt: skip
        batch = Batch(leaves[:count], masks[:count], widths[:count])
        # A view keeps the whole room alive, so it is only worth it where the room is nearly full.
        return batch if 2 * count > room else Batch(batch.leaves.copy(), batch.masks.copy(), batch.widths.copy())
