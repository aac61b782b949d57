"""Sums met stage by stage, each stage by as few neurons as will do, so that the last one has enough to be exact.

A stage is one input or two. One input has two sums that share no neuron (a neuron has one sign there): each is met
by the fewest of the free neurons (`kernels.trees`). Two inputs have four sums, met together: the four classes of
signs are listed, fewest neurons first, and joined (`walk`, as in `signs`). So many ways are found that the best are
kept: those that leave the most neurons and of the error, to whom the goals still open are the most likely, and whose
classes are short. The last stage may use all neurons that are left. With tolerance t a stage of one input takes
neurons enough for 1/t subsets a sum, one of two for 1/t^4 in all; and nothing is listed but the roots of these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.joint import error_of
from prunegap.kernels.subset_sum import best_subset
from prunegap.kernels.trees import chain, few_of_many, listed_few
from prunegap.search.assignment import Assignment
from prunegap.search.base import Deadline
from prunegap.search.walk import UnsettledError, Walk

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

FINEST_PAIRED = 1e-5
"""Tolerance of a sum below which the lists of two inputs would be too long."""
MOST_LISTED = 1 << 20
"""Entries of a list: 64 MB."""
MOST_PAIRED = 6
"""Inputs up to which pairs are worth their lists; with more, many tries of single inputs go as far in less time."""
CHAINS = 64
"""Inputs met, in all tries, before the pairs; most tries cost milliseconds."""
LISTED_LAST = 10.0
"""Entries of the last lists, in shares of one over the tolerance: all of them where few neurons are left."""
WAYS = 1000
"""Ways to meet one pair that are looked for."""
BEAM = 24
"""Ways that are followed."""
TAIL, FINISHES = 4, 4
"""Inputs that are met last, and how often they are tried before all is begun anew."""
MOST_EXACT = 38
"""Values of the last sums from which the best subset is chosen exactly."""
UNIFORM_SHARE = 1.6
"""Tolerance of one sum in shares of the square root of what its input may spend: residuals are spread over it."""
MOST_SPENT = 0.7
"""The same in shares of all that is left of epsilon: the last inputs need some."""


@dataclass(frozen=True, eq=False)
class State:
    """Who serves which sum so far, what is reached beyond the goals, and which inputs are met."""

    owner: Integers
    residuals: Floats
    met: NDArray[np.bool_]


class Stages:
    """The sums of an assignment, met stage by stage."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.contributions, self.goals = assignment.contributions, assignment.goals
        self.dimension, self.epsilon, self.random = assignment.dimension, assignment.epsilon, assignment.random
        self.sides = (self.contributions[self.dimension :] != 0.0).astype(np.int64).T
        self.values = (self.contributions[: self.dimension] + self.contributions[self.dimension :]).T
        tolerance = self.epsilon / math.sqrt(self.dimension)
        self.paired = 1 < self.dimension <= MOST_PAIRED and tolerance >= FINEST_PAIRED

    def meet(self, deadline: Deadline) -> bool:
        """Meet all sums, one input after the other, then two and two; tell whether the error is within epsilon."""
        for _ in range(max(1, CHAINS // self.dimension)):
            order = self._order()
            start = self._after(self._nothing(), order[:-TAIL], deadline)
            for _ in range(FINISHES):
                last = self.random.permutation(order[-TAIL:]).tolist()
                if deadline.expired:
                    return False
                if self._taken(self._last(self._after(start, last[:-1], deadline), last[-1])):
                    return True
        return self.paired and any(map(self._taken, self._by_pairs(deadline)))

    def _order(self) -> list[int]:
        """Return the inputs at random, those with the largest goals first, about: they need the most material."""
        noise = np.exp(0.3 * self.random.standard_normal(self.dimension))
        order = np.argsort(-np.abs(self.goals[: self.dimension]) * noise, kind="stable")
        return [int(j) for j in order]

    def _nothing(self) -> State:
        free = np.full(self.values.shape[0], -1, dtype=np.int64)
        return State(free, -self.goals, np.zeros(self.dimension, dtype=np.bool_))

    def _taken(self, state: State) -> bool:
        """Take the state over if its error is within epsilon; tell so."""
        if float(error_of(state.residuals)) > self.epsilon:
            return False
        self.assignment.owner[:], self.assignment.residuals[:] = state.owner, state.residuals
        return True

    def _after(self, state: State, inputs: list[int], deadline: Deadline) -> State:
        """Return the state with these inputs met by few neurons, as many of them as the time allows."""
        for j in inputs:
            if deadline.expired:
                break
            state = self._one(state, j)
        return state

    def _by_pairs(self, deadline: Deadline) -> Iterator[State]:
        """Yield states in which all inputs are met, two at a time, a single one last."""
        inputs = self.random.permutation(self.dimension).tolist()
        parts = [inputs[k : k + 2] for k in range(0, len(inputs), 2)]
        beam = [self._nothing()]
        for part, following in pairwise(parts):
            ways: list[tuple[float, State]] = []
            for state in beam:
                if not deadline.expired:
                    ways += [(self._merit(way, following), way) for way in self._two(state, part, WAYS, deadline)]
            ways.sort(key=lambda way: -way[0])
            beam = [way for merit, way in ways[:BEAM] if merit > -math.inf]
        for state in beam:
            if deadline.expired:
                return
            if len(parts[-1]) == 1:
                yield self._last(state, parts[-1][0])
            else:
                yield from self._two(state, parts[-1], WAYS, deadline, last=True)

    def _left(self, state: State) -> tuple[float, float]:
        """Return how far sums may lie below and above their goals, for what the met inputs leave of epsilon."""
        d, met = self.dimension, state.met
        r, s = state.residuals[:d][met], state.residuals[d:][met]
        over = float(np.square(np.maximum(np.maximum(r, s), 0.0)).sum())
        under = float(np.square(np.maximum(np.maximum(-r, -s), 0.0)).sum())
        return math.sqrt(max(self.epsilon**2 - under, 0.0)), math.sqrt(max(self.epsilon**2 - over, 0.0))

    def _one(self, state: State, j: int) -> State:
        """Return the state with both sums of one input met by few of the free neurons, or by the nearest few."""
        waiting = int(np.count_nonzero(~state.met))
        tolerance = min(MOST_SPENT, UNIFORM_SHARE / math.sqrt(waiting)) * min(self._left(state))
        owner, residuals, met = state.owner.copy(), state.residuals.copy(), state.met.copy()
        met[j] = True
        for place in (j, j + self.dimension):
            free = np.flatnonzero((owner < 0) & (self.contributions[place] != 0.0))
            free = self.random.permutation(free)
            goal = float(self.goals[place])
            if abs(goal) > tolerance:
                values = self.contributions[place, free]
                found, _ = few_of_many(values, goal, max(tolerance, 1e-15), MOST_LISTED)
                owner[free[found]] = place
                residuals[place] = values[found].sum() - goal
        return State(owner, residuals, met)

    def _last(self, state: State, j: int) -> State:
        """Return the state with both sums of the last input met by the best subsets of the free neurons."""
        owner, residuals, met = state.owner.copy(), state.residuals.copy(), state.met.copy()
        met[j] = True
        for place in (j, j + self.dimension):
            free = np.flatnonzero((owner < 0) & (self.contributions[place] != 0.0))
            free = self.random.permutation(free)[:MOST_EXACT]
            values, goal = self.contributions[place, free], float(self.goals[place])
            chosen, _ = best_subset(values, goal, within=0.5 * min(self._left(state)))
            owner[free[chosen]] = place
            residuals[place] = values[chosen].sum() - goal
        return State(owner, residuals, met)

    def _two(
        self, state: State, pair: list[int], most: int, deadline: Deadline, last: bool = False
    ) -> Iterator[State]:
        """Yield up to `most` states in which the four sums of two inputs are met as well."""
        if deadline.expired:
            return
        below, above = self._left(state)
        if not last:
            share = math.sqrt(2.0 / np.count_nonzero(~state.met))
            below, above = share * below, share * above
        places = np.array([pair[0], pair[0] + self.dimension, pair[1], pair[1] + self.dimension])
        free = self.random.permutation(np.flatnonzero(state.owner < 0))
        # Lists of L entries hold about (L t)^4 ways within the tolerance t of four sums.
        wanted = int(min(MOST_LISTED, (LISTED_LAST if last else most**0.25) / max(min(below, above), 1e-300) + 1.0))
        kind = 2 * self.sides[free, pair[0]] + self.sides[free, pair[1]]
        classes = [free[kind == k] for k in range(4)]
        trees = [
            listed_few(
                np.ascontiguousarray(self.values[group][:, pair]),
                np.ascontiguousarray(self.sides[group][:, pair]),
                min(wanted, 3 ** min(group.size, 20)),
            )
            for group in classes
        ]
        walk = Walk(
            [(sums, np.arange(parents.size)) for sums, parents, _ in trees],
            self.goals[places] - below,
            self.goals[places] + above,
        )
        met = state.met.copy()
        met[pair] = True
        try:
            for count, rows in enumerate(walk.matches(deadline)):
                if count == most:
                    return
                owner, residuals = state.owner.copy(), state.residuals.copy()
                residuals[places] = -self.goals[places]
                for k, row in enumerate(rows):
                    sums, parents, choices = trees[k]
                    entry = int(walk.codes[k][row])
                    residuals[places] += sums[entry]
                    picked = chain(parents, choices, entry)
                    neurons, which = classes[k][picked // 2], np.array(pair)[picked % 2]
                    owner[neurons] = which + self.dimension * self.sides[neurons, which]
                yield State(owner, residuals, met)
        except UnsettledError:
            return

    def _merit(self, state: State, following: list[int]) -> float:
        """Return about the logarithm of the number of ways left to meet all other sums, less that of the work."""
        below, above = self._left(state)
        if min(below, above) <= 0.0:
            return -math.inf
        free, left = np.flatnonzero(state.owner < 0), np.flatnonzero(~state.met)
        choices = left.size + 1.0
        merit = free.size * math.log(choices) + left.size * math.log((below + above) * below)
        for side in (0, self.dimension):
            pieces = self.contributions[np.ix_(left + side, free)]
            squares = np.square(pieces).sum(axis=1)
            if not squares.all():
                return -math.inf
            mean, variance = pieces.sum(axis=1) / choices, squares * (choices - 1.0) / choices**2
            off = self.goals[left + side] - mean
            merit -= float((0.5 * off**2 / variance + 0.5 * np.log(2.0 * math.pi * variance)).sum())
        if len(following) == 2:
            sides = self.sides[free][:, following]
            sizes = np.bincount(2 * sides[:, 0] + sides[:, 1], minlength=4).astype(np.float64)
            merit -= math.log(float((3.0**sizes).sum()) + 2e4)
        return merit
