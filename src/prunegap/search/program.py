"""The exact search at any granularity: a 0-1 program over inputs that are added as they are needed.

At a fixed input x the condition "the error at x is at most epsilon" is linear in the binary choice of one support, or
none, for every neuron. So a program over any finite set of inputs that has no solution proves that there is no
ticket, and a solution is a candidate: its worst inputs join the set until the candidate passes its certificate or no
candidate is left. Coefficients are integers rounded outward, hence "infeasible" holds in real arithmetic; the
argument is in docs/decisions/0003-zero-one-program.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.ascent import spread_directions, unit, violated_inputs
from prunegap.search.base import Deadline, Search, certified
from prunegap.search.solver import Solver, Verdict
from prunegap.search.stencils import WEIGHTS, stencils

Integers = NDArray[np.int64]

MAX_COLUMNS = 20_000
MAX_MAGNITUDE = 1e100
ROUNDING = 2.0**-52
ACTIVITY = 2.0**52
"""Greatest sum of the coefficients of a row: all float arithmetic on the integers stays exact below 2^53."""
SHORT_ACTIVITY = 2.0**36
"""The same for second differences: few enough bits that what cancels in real arithmetic rounds to 0."""
STARTS = {1: 2, 2: 1024}
MORE_STARTS = 4096
FIRST_INPUTS = 48
FIRST_INPUTS_OF_NEURONS = 200
"""Beyond the plane, where widths are decided one by one and every candidate costs a solution of the program."""
NEW_INPUTS = 24
MAX_UNSETTLED = 32
TOGETHER = 2048
"""Second differences that are rounded together: more of them would not fit a cache."""
SHORT_ROWS = 64
"""Second differences from which the solver goes without linear relaxations."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The ways to keep a neuron: one column per neuron and support that leaves a different row, none that computes 0.

    `neurons` (c,) in ascending order, `supports` (c, d), `weights` (c, d) the rows left, `outputs` (c,) their v_i.
    """

    neurons: Integers
    supports: NDArray[np.bool_]
    weights: Matrix
    outputs: Vector

    @classmethod
    def of(cls, problem: Problem) -> Columns:
        """Return the columns of a problem."""
        listed = problem.granularity.row_supports(problem.dimension)
        neurons: list[int] = []
        supports: list[NDArray[np.bool_]] = []
        for i, (row, output) in enumerate(zip(problem.network.weights, problem.network.outputs, strict=True)):
            if output == 0.0:
                continue
            seen = {np.zeros(row.shape, dtype=np.bool_).tobytes()}
            for support in listed:
                effective = (support & (row != 0.0)).tobytes()
                if effective not in seen:
                    seen.add(effective)
                    neurons.append(i)
                    supports.append(support)
        index = np.array(neurons, dtype=np.int64)
        kept = np.array(supports, dtype=np.bool_).reshape(len(neurons), problem.dimension)
        return cls(index, kept, problem.network.weights[index] * kept, problem.network.outputs[index])

    def groups(self) -> list[list[int]]:
        """Return the columns of every neuron that has some."""
        starts = np.flatnonzero(np.diff(self.neurons, prepend=-1))
        return [part.tolist() for part in np.split(np.arange(self.neurons.size), starts[1:]) if part.size]

    def sum_of_greatest(self, values: Matrix) -> Vector:
        """Return for each row of `values` (k, c) the sum over neurons of the greatest value among its columns."""
        starts = np.flatnonzero(np.diff(self.neurons, prepend=-1))
        if not starts.size:
            return np.zeros(values.shape[0])
        return np.asarray(np.maximum.reduceat(values, starts, axis=1).sum(axis=1))

    def mask(self, chosen: Integers, problem: Problem) -> Mask:
        """Return the mask that keeps the chosen columns, at most one of each neuron."""
        rows = np.zeros((problem.width, problem.dimension), dtype=np.bool_)
        rows[self.neurons[chosen]] = self.supports[chosen]
        return Mask.from_rows(rows)


@dataclass(frozen=True, eq=False)
class Rows:
    """Integer conditions lower <= coefficients @ m <= upper that every ticket m meets; shapes (k, c), (k,)."""

    coefficients: Integers
    lower: Integers
    upper: Integers

    @classmethod
    def of(cls, problem: Problem, columns: Columns, inputs: Matrix, most: float = ACTIVITY) -> Rows:
        """Return the conditions at `inputs`, shape (k, d), rounded outward; `most` as in `rounded`.

        p(x) = sum_c m_c v_c relu(<w_c, x>) has to lie in [g(x) - epsilon ||x||, g(x) + epsilon ||x||]; under the relu
        readout the lower end counts only where it is above 0. With b_c the float value of a contribution, e_c a bound
        of its error, S a power of two and k_c = rint(S b_c), |k m - S p| <= sum over neurons of the greatest
        |k_c - S b_c| + S e_c, since at most one column of a neuron is chosen.
        """
        values, errors, goal, band, goal_errors = _terms(problem, columns, inputs)
        upper, lower = goal + band, goal - band
        rows = cls.rounded(columns, values, errors, lower, upper, goal_errors, most)
        if problem.readout is Readout.RELU:
            counts = lower > 2.0 * goal_errors
            least = np.minimum(rows.coefficients, 0).sum(axis=1)
            rows = cls(rows.coefficients, np.where(counts, rows.lower, least), rows.upper)
        return rows

    @classmethod
    def of_stencils(
        cls, problem: Problem, columns: Columns, points: NDArray[np.float64], most: float = SHORT_ACTIVITY
    ) -> Rows:
        """Return the conditions on second differences at `points`, shape (k, 3, d), rounded outward.

        sum_j c_j p(x_j) lies within epsilon sum_j |c_j| ||x_j|| of sum_j c_j g(x_j), c = (1, -2, 1), where the error
        is bounded on both sides at all three inputs; stencils at which it is not are left out.
        """
        if len(points) > TOGETHER:
            parts = [cls.of_stencils(problem, columns, points[i : i + TOGETHER], most)
                     for i in range(0, len(points), TOGETHER)]  # fmt: skip
            return cls(
                np.concatenate([part.coefficients for part in parts]),
                np.concatenate([part.lower for part in parts]),
                np.concatenate([part.upper for part in parts]),
            )
        count, size, dimension = points.shape
        terms = _terms(problem, columns, points.reshape(count * size, dimension))
        values, errors, goal, band, goal_errors = (term.reshape(count, size, *term.shape[1:]) for term in terms)
        two_sided = (goal - band > 2.0 * goal_errors) | (problem.readout is Readout.LINEAR)
        counts = np.asarray(two_sided.all(axis=1))
        weights, sizes = WEIGHTS, np.abs(WEIGHTS)
        # Three more roundings of sums of three: the neurons whose kinks pass elsewhere leave no more than this.
        errors = np.einsum("j,kjc->kc", sizes, errors + 4.0 * ROUNDING * np.abs(values))
        goal_errors = (goal_errors + 4.0 * ROUNDING * (np.abs(goal) + band)) @ sizes
        middle, width = goal @ weights, band @ sizes
        differences = np.einsum("j,kjc->kc", weights, values)
        rows = cls.rounded(columns, differences, errors, middle - width, middle + width, goal_errors, most)
        return cls(rows.coefficients[counts], rows.lower[counts], rows.upper[counts])

    @classmethod
    def rounded(
        cls,
        columns: Columns,
        values: Matrix,
        errors: Matrix,
        lower: Vector,
        upper: Vector,
        doubt: Vector,
        most: float,
    ) -> Rows:
        """Return integers for lower <= sum_c values_c m_c <= upper, whose entries err by `errors` and `doubt`.

        `most` bounds the sum of the magnitudes of a row's integers.
        """
        greatest = max(np.abs(values).sum(axis=1).max(initial=0.0), np.abs(upper).max(initial=0.0))
        scale = 2.0 ** min(900.0, float(np.floor(np.log2(most / max(greatest, 1e-300)))))
        coefficients = np.rint(scale * values)
        slack = columns.sum_of_greatest(np.abs(coefficients - scale * values) + scale * errors)
        slack = (1.0 + 1e-9) * (slack + scale * doubt) + 1.0
        below, above = np.floor(scale * lower - slack), np.ceil(scale * upper + slack)
        return cls(coefficients.astype(np.int64), below.astype(np.int64), above.astype(np.int64))

    def broken_by(self, chosen: Integers) -> NDArray[np.bool_]:
        """Return which conditions the choice of these columns breaks, shape (k,)."""
        sums = self.coefficients[:, chosen].sum(axis=1)
        return np.asarray((sums < self.lower) | (sums > self.upper))


def _terms(problem: Problem, columns: Columns, inputs: Matrix) -> tuple[Matrix, Matrix, Vector, Vector, Vector]:
    """Return the contributions (k, c) at the inputs, bounds on their errors, g, epsilon ||x||, and their bounds."""
    factor = (problem.dimension + 8) * ROUNDING
    values = np.maximum(inputs @ columns.weights.T, 0.0) * columns.outputs
    errors = factor * (np.abs(inputs) @ np.abs(columns.weights).T) * np.abs(columns.outputs) + 1e-300
    goal = np.maximum(inputs @ problem.target, 0.0)
    band = problem.epsilon * np.sqrt((inputs * inputs).sum(axis=1))
    return values, errors, goal, band, factor * (np.abs(inputs) @ np.abs(problem.target) + band) + 1e-300


def first_inputs(problem: Problem) -> Matrix:
    """Return the directions to start from: a spread, both of the target, and the coordinate directions."""
    axes = np.eye(problem.dimension)
    target = problem.target[None, :]
    first = FIRST_INPUTS
    if isinstance(problem.granularity, Neuron) and problem.dimension > 2:
        first = FIRST_INPUTS_OF_NEURONS
    spread = spread_directions(problem.dimension, first * max(1, problem.dimension - 1), 1)
    return np.concatenate([spread, unit(np.concatenate([target, -target])), axes, -axes])


@final
class ZeroOneProgram(Search):
    """Exact at any granularity and readout: finds a ticket or proves that there is none, given time.

    Repeats by seed with one worker; with more the verdict repeats but the ticket found may differ.
    """

    name: ClassVar[str] = "program"

    def refusal(self, problem: Problem) -> str | None:
        """Return a reason where the supports are too many to list or the numbers too large to multiply."""
        try:
            supports = len(problem.granularity.row_supports(problem.dimension))
        except BadInputError as error:
            return error.rule
        if supports * problem.width > MAX_COLUMNS:
            return f"it would need {supports * problem.width} columns, more than {MAX_COLUMNS}"
        largest = max(float(np.abs(array).max(initial=0.0)) for array in (problem.network.weights, problem.target))
        if max(largest, float(np.abs(problem.network.outputs).max(initial=0.0)), problem.epsilon) > MAX_MAGNITUDE:
            return f"an entry is above {MAX_MAGNITUDE:g}"
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        empty = Mask.from_rows(np.zeros((problem.width, problem.dimension), dtype=np.bool_))
        if problem.epsilon >= np.linalg.norm(problem.target) and certified(problem, empty).proves(problem.epsilon):
            return Finding(mask=empty, reason="the empty ticket is within epsilon", inputs=inputs)
        learnt = np.zeros((0, problem.dimension)) if inputs is None else unit(inputs)
        return _Loop(problem, deadline, learnt if len(learnt) else first_inputs(problem)).run()


class _Loop:
    """Solve, look where the candidate is worst, add those inputs, and again."""

    def __init__(self, problem: Problem, deadline: Deadline, inputs: Matrix) -> None:
        self.problem = problem
        self.deadline = deadline
        self.columns = Columns.of(problem)
        self.solver = Solver(self.columns.groups(), self.columns.neurons.size)
        self.inputs = inputs
        self.solver.add(*self._arrays(Rows.of(problem, self.columns, inputs)))
        self._add_stencils()
        count = STARTS.get(problem.dimension, MORE_STARTS)
        self.starts = spread_directions(problem.dimension, count, deadline.budget.seed)
        self.rounds = 0
        self.unsettled = 0

    def _add_stencils(self) -> None:
        """Add second differences where a neuron is kept whole or not: there the kinks are in general position."""
        if not isinstance(self.problem.granularity, Neuron):
            return
        columns, seed = self.columns, self.deadline.budget.seed
        rows = Rows.of_stencils(self.problem, columns, stencils(self.problem, columns.weights, columns.outputs, seed))
        self.solver.add(*self._arrays(rows))
        # Short rows propagate well enough alone: without linear relaxations each conflict is ten times cheaper.
        self.solver.relax = len(rows.upper) < SHORT_ROWS

    @staticmethod
    def _arrays(rows: Rows) -> tuple[Integers, Integers, Integers]:
        return rows.coefficients, rows.lower, rows.upper

    def run(self) -> Finding:
        """Return the ticket, the proof, or neither when the deadline has come."""
        while not self.deadline.expired:
            self.rounds += 1
            verdict, chosen = self.solver.solve(self.deadline)
            if verdict is Verdict.INFEASIBLE:
                return self._infeasible()
            if verdict is Verdict.STOPPED:
                break
            mask = self.columns.mask(chosen, self.problem)
            pruned = mask.apply(self.problem.network)
            if self._cut(violated_inputs(self.problem, pruned, self.starts, NEW_INPUTS), chosen):
                continue
            certificate = certified(self.problem, mask)
            if certificate.proves(self.problem.epsilon):
                return self._finding(mask=mask, reason="a solution of the 0-1 program passed its certificate")
            if self._cut(unit(np.array([certificate.worst_input])), chosen):
                continue
            # A refuted candidate may be excluded by name without harm to the proof; an unsettled one may not.
            self.solver.exclude(chosen)
            self.unsettled += not certificate.refutes(self.problem.epsilon)
            if self.unsettled >= MAX_UNSETTLED:
                return self._finding(reason="too many candidates whose error is too close to epsilon to settle")
        return self._finding(reason="the time limit was reached")

    def _infeasible(self) -> Finding:
        if self.unsettled:
            return self._finding(
                reason=f"{self.unsettled} candidates are left whose error is too close to epsilon to settle"
            )
        reason = f"no mask meets the conditions at {len(self.inputs)} inputs"
        return self._finding(reason=reason, impossible_width=self.problem.width)

    def _finding(self, reason: str, mask: Mask | None = None, impossible_width: int = -1) -> Finding:
        return Finding(mask, impossible_width, reason, self.rounds, self.inputs)

    def _cut(self, inputs: Matrix, chosen: Integers) -> bool:
        """Add those of the inputs whose condition the candidate breaks; return whether there are any."""
        if not len(inputs):
            return False
        rows = Rows.of(self.problem, self.columns, inputs)
        broken = rows.broken_by(chosen)
        self.solver.add(rows.coefficients[broken], rows.lower[broken], rows.upper[broken])
        self.inputs = np.concatenate([self.inputs, inputs[broken]])
        return bool(broken.any())
