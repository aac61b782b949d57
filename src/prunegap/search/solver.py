"""A thin, typed face of OR-Tools CP-SAT: binary columns in groups, integer rows, one verdict.

CP-SAT works in exact 64-bit integers, so its "infeasible" is a proof about the integer rows it was given.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.search.base import Deadline

Integers = NDArray[np.int64]


MAX_WORKERS = 8


class Verdict(Enum):
    """What the solver says about the rows it holds."""

    SOLUTION = auto()
    INFEASIBLE = auto()
    STOPPED = auto()


class Solver:
    """A growing feasibility program over `count` binary columns, at most one of each group chosen.

    `relax` says whether the solver may use linear relaxations; the verdict does not depend on it.
    """

    def __init__(self, groups: list[list[int]], count: int) -> None:
        # Imported here, since loading OR-Tools takes half a second.
        from ortools.sat.python import cp_model

        self._cp_model: Any = cp_model
        self._model: Any = cp_model.CpModel()
        self.relax = True
        self._columns = [self._model.new_bool_var("") for _ in range(count)]
        for group in groups:
            if len(group) > 1:
                self._model.add_at_most_one(self._columns[c] for c in group)

    def add(self, coefficients: Integers, lower: Integers, upper: Integers) -> None:
        """Add the rows lower <= coefficients @ m <= upper, shapes (k, count), (k,) and (k,)."""
        for row, least, most in zip(coefficients, lower, upper, strict=True):
            used = np.flatnonzero(row)
            if not used.size and least <= 0 <= most:
                continue
            if not used.size:
                self._model.add_bool_or([])
                continue
            terms = self._cp_model.LinearExpr.weighted_sum([self._columns[c] for c in used], row[used].tolist())
            self._model.add_linear_constraint(terms, int(least), int(most))

    def exclude(self, chosen: Integers) -> None:
        """Exclude exactly one choice of columns."""
        kept = set(chosen.tolist())
        self._model.add_bool_or(column.negated() if c in kept else column for c, column in enumerate(self._columns))

    def solve(self, deadline: Deadline) -> tuple[Verdict, Integers]:
        """Return the verdict and the columns of a solution; it stops at the deadline."""
        solver = self._cp_model.CpSolver()
        # Presolve of OR-Tools 9.15 can call feasible programs infeasible (google/or-tools#5293), and so can ten or
        # more workers without it (#5295). Here presolve costs twice the time it saves.
        solver.parameters.cp_model_presolve = False
        solver.parameters.num_workers = min(MAX_WORKERS, deadline.budget.workers)
        solver.parameters.random_seed = deadline.budget.seed % 2**31
        if not self.relax:
            solver.parameters.linearization_level = 0
        if np.isfinite(deadline.remaining):
            solver.parameters.max_time_in_seconds = deadline.remaining
        status = solver.solve(self._model)
        if status == self._cp_model.INFEASIBLE:
            return Verdict.INFEASIBLE, np.zeros(0, dtype=np.int64)
        if status in (self._cp_model.OPTIMAL, self._cp_model.FEASIBLE):
            values = [solver.boolean_value(column) for column in self._columns]
            return Verdict.SOLUTION, np.flatnonzero(np.array(values, dtype=np.bool_))
        if status == self._cp_model.UNKNOWN:
            return Verdict.STOPPED, np.zeros(0, dtype=np.int64)
        raise AssertionError(f"CP-SAT refused the program: {self._model.validate()}")
