"""Weight pruning decided exactly in few dimensions: all assignments of single weights, and all kinks that can mend.

At small epsilon hardly any row of several weights can be in a ticket (`isolated`). For each set of those that could,
the others keep one weight, so p is c(x) + sum_j P_j relu(x_j s_j) + M_j relu(-x_j s_j), s the signs of the target,
and every ticket meets two linear conditions a coordinate. Where g is w* itself, p is within epsilon of it:

* at s_j e_j: P_j lies within epsilon of |w*_j| - c(s_j e_j);
* with y the target's direction on the other inputs and x = y cos t - s_j e_j sin t, the difference p(x) - cos t p(y)
  holds M_j sin t, c(x) - cos t c(y) and nothing else of p: M_j lies within epsilon (1 + cos t) / sin t of the value
  that makes it exact. t is the widest angle with <w*, x> > epsilon.

So 2m sums have to fall into intervals, and `kernels.quadrants` lists all assignments that do, with every rounding
outward. Each is certified; where none is a ticket there is none. Widths are taken in ascending order, and at each one
the last neuron has to be kept: the first ticket is the narrowest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.quadrants import listed_class
from prunegap.model.granularity import NOfM, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network, Readout, Vector
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search, certified
from prunegap.search.isolated import Kinks
from prunegap.search.mass import width_without_material
from prunegap.search.walk import Lists, UnsettledError, Walk, in_time

Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Known = dict[tuple[tuple[int, ...], bytes], tuple[Matrix, Integers]]

DIMENSIONS = (2, 3, 4)
MOST_LISTED = 15_000_000
"""Entries of one of the four lists, times the inputs: some 240 MB."""
FEW_PAIRS = {2: 2e8, 3: 3e6, 4: 3e6}
"""By the number of inputs: where there are fewer pairs, the lists need not follow the signs of the second input."""
MOST_REMEMBERED = 6
"""Lists kept for the next set of rows of several weights, most of which leave most classes as they are."""
MOST_ANSWERS = 64
"""Draws remembered: a bracket asks about many widths of one, and time may end before the proof does."""
LEAST_GOAL = 3.0
"""In epsilons: a coordinate of the target that is smaller has no condition of its own."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known about a nested draw: no ticket up to `proven`, and one, the narrowest, or None."""

    problem: Problem
    proven: int
    mask: Mask | None

    def fits(self, problem: Problem) -> bool:
        """Return whether the problem is a prefix or an extension of the one answered."""
        mine, other = self.problem, problem
        n = min(mine.width, other.width)
        return (
            (mine.epsilon, mine.granularity) == (other.epsilon, other.granularity)
            and np.array_equal(mine.target, other.target)
            and np.array_equal(mine.network.weights[:n], other.network.weights[:n])
            and np.array_equal(mine.network.outputs[:n], other.network.outputs[:n])
        )


@final
class SignClasses(Search):
    """Exact for single weights at small epsilon in two to four dimensions: the narrowest ticket, or a proof."""

    name: ClassVar[str] = "signs"

    def __init__(self) -> None:
        self._answers: list[Answer] = []

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason where rows, readout or target are of another kind."""
        if not isinstance(problem.granularity, Weight | NOfM):
            return f"granularity {problem.granularity} may not keep single weights"
        if problem.readout is not Readout.RELU:
            return "a linear readout needs more than single weights (it keeps the kink of the target)"
        if problem.dimension not in DIMENSIONS:
            return f"dimension {problem.dimension} is not 2, 3 or 4"
        if float(np.abs(problem.target).min()) <= LEAST_GOAL * problem.epsilon:
            return "a coordinate of the target is too small beside epsilon"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        known = next((answer for answer in reversed(self._answers) if answer.fits(problem)), None)
        proven = width_without_material(problem) if known is None else min(known.proven, problem.width)
        if known is not None and known.mask is not None and known.mask.width <= problem.width:
            return Finding(known.mask.resized(problem.width), proven, "the narrowest of all, found before")
        mask, reason = None, "no choice of single weights, and of what their kinks allow, meets the sums"
        while proven < problem.width and mask is None:
            if deadline.expired:
                reason = "the time limit was reached"
                break
            try:
                mask = narrowest(problem.prefix(proven + 1), deadline)
            except UnsettledError as why:
                reason = f"width {proven + 1}: {why}"
                break
            proven += mask is None
        self._remember(problem, proven, mask, known)
        if mask is not None:
            reason = f"the first of all widths, {proven + 1}, at which single weights do"
        return Finding(None if mask is None else mask.resized(problem.width), proven, reason, proven)

    def _remember(self, problem: Problem, proven: int, mask: Mask | None, known: Answer | None) -> None:
        if known is not None:
            self._answers.remove(known)
            problem = max(problem, known.problem, key=lambda asked: asked.width)
            proven, mask = max(proven, known.proven), mask or known.mask
        self._answers = [*self._answers[-MOST_ANSWERS:], Answer(problem, proven, mask)]


def narrowest(problem: Problem, deadline: Deadline) -> Mask | None:
    """Return a certified ticket that keeps the last neuron, or None: there is none.

    Raises UnsettledError where time, memory or rounding leave the question open.
    """
    kinks = Kinks(problem)
    choices = kinks.choices(deadline)
    if choices is None:
        raise UnsettledError(f"{kinks.left().size} rows of several weights may mend each other's kinks")
    known: Known = {}
    for chosen in choices:
        in_time(deadline)
        mask = _Sums(problem, kinks, chosen, known).search(deadline)
        if mask is not None:
            return mask
    return None


class _Sums:
    """The sums that single weights have to meet beside some rows of several weights."""

    def __init__(self, problem: Problem, kinks: Kinks, chosen: Integers, known: Known) -> None:
        self.problem, self.known = problem, known
        self.several = np.zeros((problem.width, problem.dimension), dtype=np.bool_)
        used = kinks.columns.neurons[chosen]
        self.several[used] = kinks.columns.supports[chosen]
        kept = Network(kinks.columns.weights[chosen], kinks.columns.outputs[chosen])
        self.lows, self.highs = intervals(problem, kept)
        self.free = np.setdiff1d(np.flatnonzero(problem.network.outputs), used)
        self.last = problem.width - 1
        self.settled = True

    def search(self, deadline: Deadline) -> Mask | None:
        """Return a ticket, or None if there is none; raises UnsettledError."""
        if self.last not in self.free and not self.several[self.last].any():
            return None
        order = self._order()
        negative = self.problem.network.weights[self.free][:, order[:2]] < 0.0
        classes = [self.free[(negative[:, 0] == (k > 1)) & (negative[:, 1] == k % 2)] for k in range(4)]
        classes, aside = self._balanced(classes)
        for kept in self._kept(aside, self.several):
            mask = self._join(classes, order, kept, deadline)
            if mask is not None:
                return mask
        if not self.settled:
            raise UnsettledError("an error is too close to epsilon to settle")
        return None

    def _balanced(self, classes: list[Integers]) -> tuple[list[Integers], list[int]]:
        """Return the classes so that none is too long to list, and the neurons that are set aside for that.

        Where all pairs fit one slab, neurons change between A and B, and C and D: (2, +) need not be cut.
        """
        most = MOST_LISTED / self.problem.dimension
        sizes = [self._size(group) for group in classes]
        widths = self.highs - self.lows
        if max(sizes[0] * sizes[1], sizes[2] * sizes[3]) * float(widths.max()) < FEW_PAIRS[self.problem.dimension]:
            for one, other in ((0, 1), (2, 3)):
                both = np.concatenate([classes[one], classes[other]])
                classes[one], classes[other] = both[: both.size // 2], both[both.size // 2 :]
        aside: list[int] = []
        for k, group in enumerate(classes):
            while self._size(group) > most:
                aside.append(int(group[0]))
                classes[k] = group = group[1:]
        return classes, aside

    def _kept(self, aside: list[int], kept: Bools) -> Iterator[Bools]:
        """Yield `kept` with every choice of one weight, or none, for each of the neurons set aside."""
        if not aside:
            yield kept
            return
        neuron, rest = aside[0], aside[1:]
        if neuron != self.last:
            yield from self._kept(rest, kept)
        for j in np.flatnonzero(self.problem.network.weights[neuron]):
            more = kept.copy()
            more[neuron, j] = True
            yield from self._kept(rest, more)

    def _join(self, classes: list[Integers], order: tuple[int, ...], kept: Bools, deadline: Deadline) -> Mask | None:
        """Return a ticket that keeps `kept` and single weights of the classes, or None."""
        network, inputs = self.problem.network, np.array(order)
        lists: Lists = []
        for group in classes:
            weights = network.weights[group][:, inputs]
            values = np.abs(weights) * network.outputs[group][:, None]
            forced = int(np.flatnonzero(group == self.last)[0]) if self.last in group else -1
            name = (order, group.tobytes())
            in_time(deadline)
            if name not in self.known:
                while len(self.known) >= MOST_REMEMBERED:
                    self.known.pop(next(iter(self.known)))
                self.known[name] = listed_class(values, (weights < 0.0).astype(np.int64), forced)
            lists.append(self.known[name])
        columns = np.stack([2 * inputs, 2 * inputs + 1], axis=1).ravel()
        singles = np.where(kept & ~self.several, network.weights, 0.0)
        met = np.stack(
            [network.outputs @ np.maximum(singles, 0.0), network.outputs @ np.maximum(-singles, 0.0)], axis=1
        )
        walk = Walk(lists, (self.lows - met.ravel())[columns], (self.highs - met.ravel())[columns])
        for rows in walk.matches(deadline):
            chosen = kept.copy()
            for group, codes, row in zip(classes, walk.codes, rows, strict=True):
                code = int(codes[row])
                for neuron in group.tolist():
                    code, digit = divmod(code, self.problem.dimension + 1)
                    if digit:
                        chosen[neuron, order[digit - 1]] = True
            mask = Mask.from_rows(chosen)
            certificate = certified(self.problem, mask)
            if certificate.proves(self.problem.epsilon):
                return mask
            self.settled &= certificate.refutes(self.problem.epsilon)
        return None

    def _size(self, group: Integers) -> int:
        return math.prod((1 + np.count_nonzero(self.problem.network.weights[group], axis=1)).tolist())

    def _order(self) -> tuple[int, ...]:
        """Return the inputs, the two first that cut the neurons into the shortest lists with the fewest pairs."""
        negative = self.problem.network.weights[self.free] < 0.0
        m = self.problem.dimension

        def work(order: tuple[int, ...]) -> float:
            sizes = [
                int(np.count_nonzero((negative[:, order[0]] == (k > 1)) & (negative[:, order[1]] == k % 2)))
                for k in range(4)
            ]
            width = float(self.highs[2 * order[0]] - self.lows[2 * order[0]])
            grow = float(m + 1)
            pairs = grow ** (sizes[0] + sizes[1]) + grow ** (sizes[2] + sizes[3])
            return float(sum(grow**size for size in sizes) + width * pairs)

        return min(permutations(range(m)), key=work)


def intervals(problem: Problem, kept: Network) -> tuple[Vector, Vector]:
    """Return the ends of the intervals in which the sums (0, +), (0, -), (1, +), ... of every ticket lie, (2m,) each.

    The sums are those of the rows that keep one weight, beside the rows `kept` of several. Rounded outward.
    """
    m, epsilon, target = problem.dimension, problem.epsilon, problem.target
    lows, highs = np.empty(2 * m), np.empty(2 * m)
    scale = (
        1.0
        + float(np.linalg.norm(target))
        + float(np.abs(problem.network.outputs) @ np.abs(problem.network.weights).sum(axis=1))
    )
    slack = 1e-13 * scale * (problem.width + m)
    for j in range(m):
        sign = math.copysign(1.0, target[j])
        axis = np.zeros(m)
        axis[j] = sign
        others = target.copy()
        others[j] = 0.0
        rest = float(np.linalg.norm(others))
        other = others / rest
        # <w*, x> = rest cos t - |w*_j| sin t is above epsilon up to this angle.
        angle = math.atan2(rest, abs(target[j])) - math.asin(min(1.0, 1.001 * epsilon / math.hypot(rest, target[j])))
        cosine, sine = math.cos(angle), math.sin(angle)
        turned = cosine * other - sine * axis
        at_axis, at_other, at_turned = kept.preactivation(np.stack([axis, other, turned])).tolist()
        with_sign, against = (2 * j, 2 * j + 1) if sign > 0.0 else (2 * j + 1, 2 * j)
        middle = abs(target[j]) - at_axis
        lows[with_sign], highs[with_sign] = middle - epsilon - slack, middle + epsilon + slack
        middle = (-abs(target[j]) * sine - at_turned + cosine * at_other) / sine
        width = (1.0 + cosine) / sine * epsilon + 4.0 * slack / sine
        lows[against], highs[against] = middle - width, middle + width
    return lows, highs
