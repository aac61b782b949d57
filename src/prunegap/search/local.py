"""Tickets at any granularity, dimension and width by local search: upper ends where exact searches run out of time.

What every neuron adds, with every support it may keep, is tabulated at a growing set of inputs; annealing walks over
choices of one support, or none, for each neuron, and each move (add, drop, swap, change the support, or a pair of
neighbouring kinks at once) costs one pass over the inputs. A choice that meets all
conditions is a candidate: its worst inputs join the table and the walk goes on from there, until a candidate passes
its certificate. It proves nothing about widths where it fails.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.anneal import anneal
from prunegap.model.errors import BadInputError
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.ascent import spread_directions, unit, violated_inputs
from prunegap.search.base import Deadline, Search, certified
from prunegap.search.program import Columns

Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

FIRST_INPUTS = 128
NEW_INPUTS = 24
STARTS = {1: 2, 2: 1024}
MORE_STARTS = 2048
HOT, WARM, COLD = 20.0, 1.0, 0.08
"""Temperatures in units of epsilon^2, about the energy of one broken condition: at a start, a reheating, an end."""
MOVES = 3000
"""Moves for each neuron between two temperatures of a cycle."""
CHUNKS = 10
"""Temperatures in a cycle, at each of which a run looks at the clock."""
CYCLES = 8
"""Coolings in vain before a new start."""
MOST_MENDINGS = 60
PARTNERS = 8
POOLS = ((40, 1.0), (96, 1.0), (64, 0.95), (24, 1.0), (96, 0.7), (64, 0.7), (1 << 30, 1.0))
"""How many columns a run may choose from, in turn (the last takes all), and the blur of their order.

The order is drawn anew for every run, by random factors from the blur to 1."""
UNIT_POOLS = (96, 192, 384, 1 << 30)
"""Of how many of the first neurons every other run may keep one unit each: one block, one weight.

Rows with one unit are enough for small epsilon, and the fewer the ways to keep a neuron, the finer the walk."""
MOST_COLUMNS = 1 << 15
SHRINKAGE, MORE_SHRINKAGE = 0.98, 0.93
"""Candidates are sought for this part of epsilon, so that fewer break between the inputs; the second beyond d = 3,
where a proof takes the longer the nearer the error is to epsilon."""

TOLERANCE = 1e-3
"""Part of epsilon by which the sums may miss what is sought: annealing rounds them."""


@final
class LocalSearch(Search):
    """Finds tickets at any granularity, dimension and width, both readouts; never proves that there is none.

    Repeats by seed where the time limit does not cut it short. `restarts` bounds the runs (None: until the deadline,
    or 64 without one).
    """

    name: ClassVar[str] = "local"

    def __init__(self, restarts: int | None = None) -> None:
        self.restarts = restarts

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason where the supports are too many to tabulate."""
        try:
            columns = len(problem.granularity.row_supports(problem.dimension)) * problem.width
        except BadInputError as error:
            return error.rule
        return f"{columns} columns are too many to tabulate" if columns > MOST_COLUMNS else None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        empty = Mask.of_neurons([], problem.width, problem.dimension)
        if certified(problem, empty).proves(problem.epsilon):
            return Finding(mask=empty, reason="the empty ticket is within epsilon", inputs=inputs)
        walk = _Walk(problem, deadline, inputs)
        if not walk.columns.neurons.size:
            return Finding(reason="no neuron computes anything", inputs=inputs)
        unlimited = 64 if deadline.budget.seconds is None else 1 << 30
        for run in range(self.restarts or unlimited):
            if deadline.expired:
                break
            mask = walk.run(run)
            if mask is not None:
                return Finding(mask, -1, "local search met a ticket", run + 1, walk.inputs)
        return Finding(None, -1, "local search met no ticket", walk.runs, walk.inputs)


class _Walk:
    """The table of one problem and the walks over its choices of columns: one support, or none, for each neuron."""

    def __init__(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> None:
        self.problem, self.deadline = problem, deadline
        self.columns = Columns.of(problem)
        self.units = _are_units(self.columns.supports, problem)
        self.starts = spread_directions(
            problem.dimension, STARTS.get(problem.dimension, MORE_STARTS), deadline.budget.seed
        )
        self.runs = 0
        self.inputs = np.zeros((0, problem.dimension))
        self.table = np.zeros((self.columns.neurons.size, 0))
        self.low = self.high = np.zeros(0)
        target = unit(problem.target[None, :])
        self._learn(np.concatenate([spread_directions(problem.dimension, FIRST_INPUTS, 1), target, -target]))
        if inputs is not None:
            self._learn(unit(inputs))

    def _learn(self, inputs: Matrix) -> None:
        """Add inputs of norm 1 to the table."""
        goal = np.maximum(inputs @ self.problem.target, 0.0)
        reach = (SHRINKAGE if self.problem.dimension <= 3 else MORE_SHRINKAGE) * self.problem.epsilon
        low = goal - reach
        if self.problem.readout is Readout.RELU:
            low = np.where(low > 0.0, low, -np.inf)
        added = self.columns.outputs[:, None] * np.maximum(self.columns.weights @ inputs.T, 0.0)
        self.inputs = np.concatenate([self.inputs, inputs])
        self.table = np.concatenate([self.table, added], axis=1)
        self.low, self.high = np.concatenate([self.low, low]), np.concatenate([self.high, goal + reach])

    def run(self, run: int) -> Mask | None:
        """Return a ticket, or None where this start led to none."""
        self.runs += 1
        random = np.random.default_rng([self.deadline.budget.seed, 3, run])
        pool = self._pool(run, random)
        kept = np.zeros(self.columns.neurons.size, dtype=np.bool_)
        kept[self._start(pool, random)] = True
        partners = _partners(self.columns.weights[pool])
        hot = HOT
        for _ in range(MOST_MENDINGS):
            if not self._settle(kept, pool, partners, hot, random):
                return None
            mask = self.columns.mask(np.flatnonzero(kept), self.problem)
            worst = violated_inputs(self.problem, mask.apply(self.problem.network), self.starts, NEW_INPUTS)
            if not len(worst):
                certificate = certified(self.problem, mask)
                if certificate.proves(self.problem.epsilon):
                    return mask
                worst = unit(np.array([certificate.worst_input]))
            self._learn(worst)
            hot = WARM
        return None

    def _start(self, pool: Integers, random: np.random.Generator) -> Integers:
        """Return the columns kept at the start: at most one of each neuron."""
        chosen = random.permutation(pool[random.random(pool.size) < random.uniform(0.05, 0.5)])
        return np.asarray(chosen[np.unique(self.columns.neurons[chosen], return_index=True)[1]])

    def _pool(self, run: int, random: np.random.Generator) -> Integers:
        """Return the columns of one run: all, or in a wide network those whose kinks are nearest to the target's.

        The fewer to choose from, the finer the walk; a kink near the target's bends p where its error is small.
        Where rows may be cut, every other run keeps to rows with one unit.
        """
        if not self.units.all():
            run, cut = divmod(run, 2)
            if cut:
                first = self.columns.neurons < UNIT_POOLS[run % len(UNIT_POOLS)]
                return np.flatnonzero(self.units & first)
        size, blur = POOLS[run % len(POOLS)]
        weights = self.columns.weights
        if len(weights) <= size:
            return np.arange(len(weights))
        directions = weights / np.linalg.norm(weights, axis=1)[:, None]
        cosines = np.abs(directions @ self.problem.target) / np.linalg.norm(self.problem.target)
        return np.sort(np.argsort(-cosines * random.uniform(blur, 1.0, cosines.size), kind="stable")[:size])

    def _settle(
        self, kept: Flags, pool: Integers, partners: Integers, hot: float, random: np.random.Generator
    ) -> bool:
        """Cool, and reheat in vain a few times; return whether every condition of the table is met."""
        table, part, owners = np.ascontiguousarray(self.table[pool]), kept[pool], self.columns.neurons[pool]
        for _ in range(CYCLES):
            steps = self.problem.epsilon**2 * np.geomspace(hot, COLD, CHUNKS + 1)
            for begin, end in pairwise(steps):
                if self.deadline.expired:
                    return False
                moves, seed = max(1, MOVES * pool.size // CHUNKS), int(random.integers(2**31))
                anneal(table, self.low, self.high, part, owners, partners, begin, end, moves, seed)
                sums, tolerance = part.astype(np.float64) @ table, TOLERANCE * self.problem.epsilon
                if not ((sums < self.low - tolerance) | (sums > self.high + tolerance)).any():
                    kept[pool] = part
                    return True
            hot = WARM
        kept[pool] = part
        return False


def _are_units(supports: Flags, problem: Problem) -> Flags:
    """Return which supports hold no smaller one that the granularity allows: one weight, one block, a whole row."""
    listed = problem.granularity.row_supports(problem.dimension)
    units = [row for row in listed if sum(bool((other <= row).all()) for other in listed) == 1]
    return np.asarray((supports[:, None, :] == np.array(units)[None]).all(axis=2).any(axis=1))


def _partners(weights: Matrix) -> Integers:
    """Return for each row the rows whose kinks are nearest to its own, shape (n, PARTNERS or fewer)."""
    directions = weights / np.linalg.norm(weights, axis=1)[:, None]
    order = np.argsort(-np.abs(directions @ directions.T), axis=1, kind="stable")
    return np.ascontiguousarray(order[:, : PARTNERS + 1])
