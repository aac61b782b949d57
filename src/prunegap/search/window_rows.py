"""The integer rows of one window of neurons at d >= 3, and a walk over those of them that act (F4, F5).

A *point* row is the error tube at one input, a *short* row a second difference across a kink (`search.stencils`).
Any of them is met by every ticket, so leaving some out is as sound as adding more: a walk branches over the rows that
earn their place, and what it lets pass is put to all the others.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.branch import (
    DEPTH,
    FREE,
    NODES,
    follow,
    laid_out,
    left_at_levels,
    states_of,
    whole_vectors,
)
from prunegap.kernels.row_vectors import LANES
from prunegap.kernels.tents import MOST
from prunegap.model.network import Matrix
from prunegap.model.problem import Problem
from prunegap.search.program import Columns, Rows, first_inputs
from prunegap.search.stencils import Density, stencils

Integers = NDArray[np.int64]

MUST = 1 << 40
"""What a row that every walk needs is held to have decided."""


class Pool:
    """All rows known about one window: -below <= steps^T m <= above for every ticket m; steps has shape (n, rows).

    `weights` says how often each row broke, `acts` how often it decided something, over all walks so far. Sizes,
    shifts and greatest entries are kept as walks need them (`kernels.branch.laid_out`).
    """

    def __init__(
        self, problem: Problem, columns: Columns, proven: int, learnt: Matrix, density: Density, seed: int
    ) -> None:
        """Make the rows of a problem whose first `proven` neurons hold no ticket, and those at inputs `learnt`."""
        self.problem, self.columns = problem, columns
        self.steps = np.zeros((columns.neurons.size, 0), dtype=np.int32)
        self.above = self.below = np.zeros(0, dtype=np.int64)
        self._laid = _described(self.steps)
        self.weights, self.acts = np.ones(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        count = columns.neurons.size
        self._add(Rows(np.ones((1, count), dtype=np.int64), np.ones(1, dtype=np.int64), np.full(1, count)))
        self.acts[:] = MUST
        self.ask_for_one_behind(proven)
        places = stencils(problem, columns.weights, columns.outputs, seed, density)
        self._add(Rows.of_stencils(problem, columns, places, MOST))
        self.learn(np.concatenate([first_inputs(problem), learnt]))

    @property
    def size(self) -> int:
        """Number of rows."""
        return int(self.above.size)

    def ask_for_one_behind(self, proven: int) -> None:
        """Let the first row say that a ticket keeps one of the neurons behind the first `proven`, which hold none."""
        self.steps[:, 0] = self.columns.neurons >= proven
        for mine, new in zip(self._laid, _described(self.steps[:, :1]), strict=True):
            mine[:1] = new

    def learn(self, inputs: Matrix) -> None:
        """Add the rows at `inputs`, shape (k, d)."""
        self._add(Rows.of(self.problem, self.columns, inputs, MOST))

    def _add(self, rows: Rows) -> None:
        """Add rows, but for those that no choice can break."""
        most = np.maximum(rows.coefficients, 0).sum(axis=1)
        least = np.minimum(rows.coefficients, 0).sum(axis=1)
        useful = (rows.upper < most) | (rows.lower > least)
        count = int(useful.sum())
        steps = rows.coefficients[useful].T.astype(np.int32)
        self.steps = np.concatenate([self.steps, steps], axis=1)
        self._laid = tuple(np.concatenate(parts) for parts in zip(self._laid, _described(steps), strict=True))
        self.above = np.concatenate([self.above, rows.upper[useful]])
        self.below = np.concatenate([self.below, -rows.lower[useful]])
        self.weights = np.concatenate([self.weights, np.ones(count, dtype=np.float32)])
        self.acts = np.concatenate([self.acts, np.zeros(count, dtype=np.int64)])

    def broken_by(self, kept: Integers) -> Integers:
        """Return the rows that the choice of these columns breaks, those it breaks most first."""
        sums = self.steps[kept].sum(axis=0, dtype=np.int64)
        excess = np.maximum(sums - self.above, -sums - self.below)
        broken = np.flatnonzero(excess > 0)
        return np.asarray(broken[np.argsort(-excess[broken], kind="stable")])

    def fade(self) -> None:
        """Let what rows decided so far count a tenth of what they will."""
        self.acts[self.acts < MUST] //= 10

    def busiest(self, most: int | None) -> Integers:
        """Return up to `most` rows (None: all), those that decided most first."""
        return np.argsort(-self.acts, kind="stable")[:most]

    def laid_out(self, chosen: Integers) -> ChosenRows:
        """Return some of the rows as walks take them, with rows behind them that nothing breaks."""
        behind = -chosen.size % LANES
        steps, above, below = whole_vectors(self.steps[:, chosen], self.above[chosen], self.below[chosen])
        sizes, shifts, greatest = (_with_zeros(part[chosen], behind) for part in self._laid)
        return ChosenRows(self, chosen, (steps, sizes, shifts), greatest, above, below)


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Rows of a pool as walks share them: `laid` as `kernels.branch.follow` takes them, and their bounds."""

    pool: Pool
    chosen: Integers
    laid: tuple[NDArray[np.int32], NDArray[np.uint16], NDArray[np.int32]]
    greatest: NDArray[np.int32]
    above: Integers
    below: Integers


class Walk:
    """A resumable walk over the choices of columns that meet chosen rows."""

    def __init__(
        self, rows: ChosenRows, before: Walk | None = None, busy: int | None = None, below: int | None = None
    ) -> None:
        """Begin, or go on where the walk `before`, over other rows of this window, stands.

        The first `busy` rows (all: None) choose the columns and are asked before the others. Only choices of the
        first `below` columns (all: None) are looked for.
        """
        self._rows = rows
        (count, size), chosen = rows.laid[0].shape, rows.chosen
        self._weights, self._acts = np.ones(size, dtype=np.float32), np.zeros(size, dtype=np.int64)
        self._weights[: chosen.size] = rows.pool.weights[chosen]
        self._gain = np.ones(1)
        self._busy = size if busy is None else min(size, busy // LANES * LANES)
        self._states = states_of(count + 2, count)
        self._left = np.zeros((count + 2, size), dtype=np.int32), np.zeros((count + 2, size), dtype=np.int32)
        self._reach = np.zeros((count + 2, size), dtype=np.int32)
        self._path = np.zeros(count + 2, dtype=np.int64), np.zeros(count + 2, dtype=np.int8)
        self._meta = np.array([count - 1, -1, 0])
        below = count if below is None else below
        if before is None:
            root = np.zeros((1, count), dtype=np.int8)
            root[0, :below] = FREE
            self._stand(root)
        else:
            self._resume(before, below)

    def _resume(self, before: Walk, below: int) -> None:
        """Take over the branches of another walk, but for columns from `below` on."""
        states = before._states[: int(before._meta[DEPTH]) + 1].copy()
        kept_others = np.flatnonzero((states[:, below:] == 1).any(axis=1))
        if kept_others.size:
            states = states[: kept_others[0]]
        states[:, below:] = 0
        for mine, other in zip(self._path, before._path, strict=True):
            mine[:] = other
        self._stand(states)
        branches, tried = self._path
        depth = int(self._meta[DEPTH])
        if depth >= 0 and tried[depth] == 1 and branches[depth] >= below:
            # It is left out here already: another column is needed.
            tried[depth] = 0

    def _stand(self, states: NDArray[np.int8]) -> None:
        """Stand at the last of these levels, or before the first at which a row is broken."""
        rows = self._rows
        self._states[: len(states)] = states
        levels = left_at_levels(rows.laid[0], rows.above, rows.below, self._states, len(states), *self._left)
        # Nothing is known yet about which of a row's entries are decided.
        self._reach[:levels] = rows.greatest
        self._meta[DEPTH] = levels - 1

    def split(self) -> Walk | None:
        """Return a walk that takes over the greatest branch still to be followed, or None where there is none."""
        branches, tried = self._path
        waiting = np.flatnonzero(tried[: int(self._meta[DEPTH]) + 1] == 1)
        if not waiting.size:
            return None
        level = int(waiting[0])
        tried[level] = 2
        other = copy.copy(self)
        other._weights, other._gain = self._weights.copy(), self._gain.copy()
        other._acts = np.zeros_like(self._acts)
        other._states = _first_levels(self._states, level + 1)
        other._left = _first_levels(self._left[0], level + 1), _first_levels(self._left[1], level + 1)
        other._reach = _first_levels(self._reach, level + 1)
        other._path = branches.copy(), np.full_like(tried, 2)
        other._path[1][level] = 1
        other._meta = self._meta.copy()
        other._meta[DEPTH], other._meta[NODES] = level, 0
        return other

    @property
    def nodes(self) -> int:
        """Choices visited."""
        return int(self._meta[NODES])

    @property
    def kept(self) -> Integers:
        """The columns of the solution found."""
        return np.flatnonzero(self._states[self._meta[DEPTH]] == 1)

    def advance(self, nodes: int) -> int:
        """Go on for about so many nodes; return PAUSED, SOLUTION or IMPOSSIBLE (`kernels.branch`)."""
        return int(
            follow(
                *self._rows.laid, self._weights, self._gain, self._acts, self._states, *self._left, self._reach,
                *self._path, self._meta, self._busy, nodes,
            )
        )  # fmt: skip

    def teach(self) -> None:
        """Tell the pool what the rows did."""
        pool, chosen = self._rows.pool, self._rows.chosen
        pool.weights[chosen] = self._weights[: chosen.size] / np.float32(self._gain[0])
        pool.acts[chosen] += self._acts[: chosen.size]
        self._acts[:] = 0


def _described(steps: NDArray[np.int32]) -> tuple[NDArray[Any], ...]:
    _, sizes, shifts, greatest = laid_out(steps)
    return sizes, shifts, greatest


def _first_levels(array: NDArray[Any], levels: int) -> NDArray[Any]:
    first = np.zeros_like(array)
    first[:levels] = array[:levels]
    return first


def _with_zeros(array: NDArray[Any], behind: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((behind, *array.shape[1:]), dtype=array.dtype)])
