"""What has to be proven: the few numbers that a mask leaves of a problem, exact or in floats with a known error.

Every proof works on a `Claim` and on nothing else, so it cannot depend on the granularity or on the search that
found the mask. Rows that compute 0 (removed, or with v_i = 0, or with a zero row of W) are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.outcome import Certificate
from prunegap.model.problem import Problem

UNIT_ROUNDOFF = 2.0**-53
CHUNK = 1 << 20

IntegerVector = tuple[int, ...]


class Exact(NamedTuple):
    """A claim in integers: `pieces` v_i w_i and `target` in units of 1 / unit, `rows` w_i in any common unit."""

    rows: list[IntegerVector]
    pieces: list[IntegerVector]
    target: IntegerVector
    unit: int


@dataclass(frozen=True, eq=False)
class Claim:
    """The rows that remain, `weights` (k, d) and `outputs` (k,), the `target` (d,) and the readout."""

    weights: Matrix
    outputs: Vector
    target: Vector
    readout: Readout

    @classmethod
    def of(cls, problem: Problem, mask: Mask) -> Claim:
        """Return the claim about `problem` pruned by `mask`; raises BadInputError if the mask does not fit."""
        rows = np.flatnonzero(mask.fitting(problem.network).alive)
        weights = problem.network.weights[rows] * mask.kept_weights[rows]
        outputs = problem.network.outputs[rows]
        computing = (outputs != 0.0) & weights.any(axis=1)
        return cls(weights[computing], outputs[computing], problem.target, problem.readout)

    @property
    def dimension(self) -> int:
        """Number of inputs d."""
        return int(self.target.shape[0])

    @property
    def rows(self) -> int:
        """Number of neurons k that remain."""
        return int(self.outputs.shape[0])

    def exact(self) -> Exact:
        """Return the same numbers as integers; doubles are integers over a power of two, so nothing is rounded."""
        d = self.dimension
        entries, entry_unit = _common(self.weights.ravel().tolist())
        outputs, output_unit = _common(self.outputs.tolist())
        goal, goal_unit = _common(self.target.tolist())
        unit = max(entry_unit * output_unit, goal_unit)
        factor = unit // (entry_unit * output_unit)
        rows = list(zip(*[iter(entries)] * d, strict=True))
        scales = [output * factor for output in outputs]
        pieces = [tuple([scale * entry for entry in row]) for scale, row in zip(scales, rows, strict=True)]
        return Exact(rows, pieces, tuple(entry * (unit // goal_unit) for entry in goal), unit)

    def scaled(self) -> Scaled:
        """Return the claim in floats near 1, so that no later step overflows."""
        row_exponents = np.frexp(np.abs(self.weights).max(axis=1, initial=0.0))[1].astype(np.int64)
        mantissas, output_exponents = np.frexp(self.outputs)
        strengths = row_exponents + output_exponents
        goal = int(np.frexp(np.abs(self.target).max())[1])
        exponent = max(int(strengths.max(initial=goal)), goal)
        return Scaled(
            _ldexp(self.weights, -row_exponents[:, None]),
            _ldexp(mantissas, strengths - exponent),
            _ldexp(self.target, np.int64(-exponent)),
            self.readout,
            exponent,
        )


@dataclass(frozen=True, eq=False)
class Scaled:
    """A claim divided by 2^exponent, every row of W by a power of two of its own (given back to v_i).

    Scaling is exact but for entries that fall below the smallest double, some 2^-1074 of the largest; the slack
    covers them.
    """

    weights: Matrix
    outputs: Vector
    target: Vector
    readout: Readout
    exponent: int

    @cached_property
    def lipschitz(self) -> float:
        """An upper bound on the Lipschitz constant of f - g: sum_i |v_i| ||w_i|| + ||w*||."""
        norms = np.linalg.norm(self.weights, axis=1)
        total = float(np.abs(self.outputs) @ norms + np.linalg.norm(self.target))
        return total * (1.0 + (self.outputs.size + self.target.size + 8) * UNIT_ROUNDOFF)

    @cached_property
    def slack(self) -> float:
        """An upper bound on the rounding error of `errors_at` for inputs whose direction is right to 16 roundoffs.

        A dot product of length m errs by at most m roundoffs times the product of the norms: (k + d + 32) roundoffs
        times the Lipschitz constant hold the sums over d and k and the input's own error.
        """
        return (self.outputs.size + self.target.size + 32) * 1.01 * UNIT_ROUNDOFF * self.lipschitz

    def signed_errors_at(self, inputs: Matrix) -> Vector:
        """Return f(x) - g(x) in floats for inputs of shape (c, d) and norm about 1."""
        values = np.empty(inputs.shape[0])
        step = max(1, CHUNK // max(1, self.outputs.size))
        for start in range(0, inputs.shape[0], step):
            part = inputs[start : start + step]
            hidden = part @ self.weights.T
            values[start : start + step] = np.maximum(hidden, 0.0, out=hidden) @ self.outputs
        if self.readout is Readout.RELU:
            np.maximum(values, 0.0, out=values)
        return values - np.maximum(inputs @ self.target, 0.0)

    def errors_at(self, inputs: Matrix) -> Vector:
        """Return |f(x) - g(x)| in floats for inputs of shape (c, d) and norm about 1."""
        return np.asarray(np.abs(self.signed_errors_at(inputs)))

    def certificate(self, lower: float, upper: float, method: str, worst_input: Vector) -> Certificate:
        """Return the enclosure in the claim's own units, rounded outward."""
        return Certificate(
            _below(max(lower, 0.0), self.exponent),
            _above(upper, self.exponent),
            method,
            tuple(worst_input.tolist()),
        )


def _common(values: list[float]) -> tuple[list[int], int]:
    """Return the values as integers over one power of two, and that power."""
    ratios = list(map(float.as_integer_ratio, values))
    unit = max((denominator for _, denominator in ratios), default=1)
    return [numerator * (unit // denominator) for numerator, denominator in ratios], unit


def _ldexp(values: Vector, exponents: np.typing.NDArray[np.int64] | np.int64) -> Vector:
    """Return values * 2^exponents for exponents that may lie beyond the range of one double."""
    half = exponents // 2
    return np.asarray(np.ldexp(np.ldexp(values, half), exponents - half), dtype=np.float64)


def _below(value: float, exponent: int) -> float:
    try:
        scaled = math.ldexp(value, exponent)
    except OverflowError:
        return math.nextafter(math.inf, 0.0)
    return scaled if math.ldexp(scaled, -exponent) == value else max(math.nextafter(scaled, 0.0), 0.0)


def _above(value: float, exponent: int) -> float:
    try:
        scaled = math.ldexp(value, exponent)
    except OverflowError:
        return math.inf
    return scaled if math.ldexp(scaled, -exponent) == value else math.nextafter(scaled, math.inf)
