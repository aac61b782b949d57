"""Tickets of block:2 from its planes: one block a row at most, and each plane linear on its whole circle.

With a relu readout f is within ||p - <w*, x>|| of the target, and where every row keeps one block p is a sum over
blocks of p_b(x_b). If p_b - <w*_b, x_b> is at most e_b on the circle of each block, the error is at most
sqrt(sum_b e_b^2). So planes are met one after the other, each with the neurons that the others leave and with its
part of what they leave of epsilon^2.

In one plane the circle is cut at a random angle. From both ends of the half turn that follows a beam of masks is
swept to its middle (kernels/plane_beam.py), and pairs are joined that agree there in the even part, in its slope and,
added up, in the linear part: nearest neighbours in four dimensions. A block of one input is two sums of few weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import ClassVar, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from prunegap.kernels.few import nearest_few
from prunegap.kernels.plane_beam import swept_states
from prunegap.model.granularity import Block
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search

Integers = NDArray[np.int64]

BEAMS = (16384, 4096, 65536)
"""States of a beam, in turn: a small one will do in a network with room to spare."""
NARROWEST, STEP = 12, 1.12
"""Prefixes are tried first, from this part of the width in steps of this factor.

The more kinks there are to choose from, the more a fair sample is lost among masks that keep many."""
TUBES = (0.5, 0.8)
"""Range of the part of the error that the even part may take before the two ends of the sweep are joined."""
CANDIDATES = 40
"""Joined masks that are looked at in full."""
MARGIN = 1e-9
"""Share of epsilon left to rounding."""
SINGLE = 0.15
"""Part of epsilon for each sign of a block of one input."""


@final
class PlaneTickets(Search):
    """Finds tickets for block:2 at d >= 3 with a relu readout; never proves that there is none.

    `attempts` bounds the tries at the full width (None: until the deadline, or 24 without one). Repeats by seed.
    """

    name: ClassVar[str] = "planes"

    def __init__(self, attempts: int | None = None) -> None:
        self.attempts = attempts

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason unless rows are cut into blocks of two and the readout is relu."""
        if not isinstance(problem.granularity, Block) or problem.granularity.length != 2:
            return f"granularity {problem.granularity} does not cut rows into planes"
        if problem.readout is not Readout.RELU:
            return "with a linear readout p has to bend where the target does"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        bounded = 24 if deadline.budget.seconds is None else None
        attempt = 0
        for attempt, (width, beam) in enumerate(_efforts(problem.width, self.attempts or bounded), 1):
            random = np.random.default_rng([deadline.budget.seed, 7, attempt])
            mask = _attempt(problem.prefix(width), beam, deadline, random)
            if mask is not None:
                reason = f"planes met one by one, attempt {attempt}"
                return Finding(mask.resized(problem.width), -1, reason, attempt, inputs)
            if deadline.expired:
                break
        return Finding(None, -1, f"planes were not met in {attempt} attempts", attempt, inputs)


def _efforts(width: int, attempts: int | None) -> Iterator[tuple[int, int]]:
    """Yield widths and beams: narrower prefixes first, then `attempts` (None: no end) at the full width."""
    narrow = max(1.0, width / NARROWEST)
    while narrow < width / math.sqrt(STEP):
        yield int(narrow), BEAMS[0]
        narrow *= STEP
    for attempt in count() if attempts is None else range(attempts):
        yield width, BEAMS[attempt % len(BEAMS)]


def _attempt(problem: Problem, beam: int, deadline: Deadline, random: np.random.Generator) -> Mask | None:
    """Return a ticket made plane by plane, in random order but single inputs first, which cost least; or None."""
    weights, outputs = problem.network.weights, problem.network.outputs
    assert isinstance(problem.granularity, Block)
    parts = [np.arange(problem.dimension)[block] for block in problem.granularity.blocks(problem.dimension)]
    order = sorted(random.permutation(len(parts)).tolist(), key=lambda b: parts[b].size)
    rows = np.zeros(weights.shape, dtype=np.bool_)
    left = (problem.epsilon * (1.0 - MARGIN)) ** 2
    for k, part in enumerate(parts[b] for b in order):
        if deadline.expired:
            return None
        free = np.flatnonzero(~rows.any(axis=1))
        plane = _Plane(weights[free][:, part], outputs[free], problem.target[part])
        allowed = math.sqrt(left / (len(parts) - k))
        found = plane.met_by_few(SINGLE * problem.epsilon) if part.size == 1 else plane.met(allowed, beam, random)
        if found.error > allowed:
            return None
        rows[np.ix_(free[found.kept], part)] = True
        left -= found.error**2
    return Mask.from_rows(rows)


class _Found(NamedTuple):
    """Rows kept in a plane and sup |p_b - <w*_b, x>| on its circle."""

    kept: Integers
    error: float


class _Plane:
    """The free neurons in one block and the linear function that they are to add up to."""

    def __init__(self, weights: Matrix, outputs: Vector, target: Vector) -> None:
        self.weights, self.outputs, self.target = weights, outputs, target

    def found(self, kept: Integers) -> _Found:
        """Return the rows with their error."""
        return _Found(kept, linear_error(self.weights[kept], self.outputs[kept], self.target))

    def met_by_few(self, tolerance: float) -> _Found:
        """Return few single weights for both signs of a block of one input."""
        entries, goal = self.weights[:, 0], float(self.target[0])
        chosen = []
        for side, slope in ((entries > 0.0, goal), (entries < 0.0, -goal)):
            rows = np.flatnonzero(side & (self.outputs != 0.0))
            values = self.outputs[rows] * np.abs(entries[rows])
            chosen.append(rows[nearest_few(values, slope, tolerance)])
        return self.found(np.concatenate(chosen))

    def met(self, allowed: float, beam: int, random: np.random.Generator) -> _Found:
        """Return the fewest rows met whose error is within `allowed`, or those with the least error."""
        best = self.found(np.zeros(0, dtype=np.int64))
        if best.error <= allowed:
            return best
        for kept in self._joined(allowed, beam, random):
            found = self.found(kept)
            if best.error > allowed:
                better = found.error < best.error
            else:
                better = found.error <= allowed and found.kept.size < best.kept.size
            best = found if better else best
        return best

    def _joined(self, allowed: float, beam: int, random: np.random.Generator) -> Iterator[Integers]:
        """Yield masks from two beams that meet in the middle of a half turn, the best fitting first."""
        cut, tube = random.uniform(0.0, math.pi), random.uniform(*TUBES) * allowed
        turn = np.array([[math.cos(cut), math.sin(cut)], [-math.sin(cut), math.cos(cut)]])
        weights, target = self.weights @ turn.T, turn @ self.target
        kinks = (np.arctan2(weights[:, 1], weights[:, 0]) + 0.5 * math.pi) % math.pi
        kicks = self.outputs * np.linalg.norm(weights, axis=1)
        linear = 0.5 * self.outputs[:, None] * weights
        order, middle, sides = np.argsort(kinks, kind="stable"), 0.5 * math.pi, []
        for rows, angles in ((order, kinks), (order[::-1], math.pi - kinks)):
            used = rows[(angles[rows] < middle) & (kicks[rows] != 0.0)]
            states, kept = swept_states(angles[used], kicks[used], linear[used], middle, tube, beam, random)
            if not len(states):
                return
            sides.append((used, states, kept))
        (left, states, kept), (right, others, kept_others) = sides
        # The even part errs by half of a mismatch in (E, E'), the linear part by all of it.
        weight = np.array([0.5, 0.5, 1.0, 1.0])
        goals = np.stack([others[:, 0], -others[:, 1], target[0] - others[:, 2], target[1] - others[:, 3]], axis=1)
        nearest = cKDTree(goals * weight).query(states * weight, distance_upper_bound=allowed)
        distances, partners = np.atleast_1d(nearest[0]), np.atleast_1d(nearest[1])
        for k in np.argsort(distances, kind="stable")[:CANDIDATES].tolist():
            if not math.isfinite(distances[k]):
                return
            other = kept_others[partners[k]]
            yield np.concatenate([left[_bits(kept[k], left.size)], right[_bits(other, right.size)]])


def _bits(words: NDArray[np.uint64], size: int) -> NDArray[np.bool_]:
    """Return the first `size` bits, the lowest of the first word first."""
    places = np.arange(size, dtype=np.uint64)
    return np.asarray((words[places >> np.uint64(6)] >> (places & np.uint64(63))) & np.uint64(1) == 1)


def linear_error(weights: Matrix, outputs: Vector, target: Vector) -> float:
    """Return sup over ||x|| <= 1 of |sum_i v_i relu(<w_i, x>) - <w*, x>| at d = 1 or 2, in floats.

    `weights` (k, d), `outputs` (k,), `target` (d,). Between neighbouring kinks the difference is <c, x>: it peaks at
    c / ||c|| if that lies between them, else at a kink.
    """
    if target.size == 1:
        weights, target = np.pad(weights, ((0, 0), (0, 1))), np.pad(target, (0, 1))
    normals = np.arctan2(weights[:, 1], weights[:, 0])
    quarters = 0.5 * math.pi * np.arange(4)
    kinks = np.concatenate([normals + 0.5 * math.pi, normals - 0.5 * math.pi, quarters]) % (2.0 * math.pi)
    kinks = np.sort(kinks)
    widths = np.diff(kinks, append=kinks[0] + 2.0 * math.pi)
    middles = _on_circle(kinks + 0.5 * widths)
    forms = ((middles @ weights.T > 0.0) * outputs) @ weights - target
    lengths = np.linalg.norm(forms, axis=1)
    inside = np.abs((forms * middles).sum(axis=1)) >= lengths * np.cos(0.5 * widths)
    ends = np.abs((forms * _on_circle(kinks)).sum(axis=1))
    return float(np.concatenate([ends, lengths[inside]]).max())


def _on_circle(angles: Vector) -> Matrix:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
