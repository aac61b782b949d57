"""The one quadratic problem, and the sums over calibration rows that it needs.

A layer computes Y = X W^T + b. After pruning it sees X' (the outputs of the layers pruned before it) and is asked for
W' and b' with mean ||Y - X' W'^T - b'||^2 least. Only second moments of X' and its cross moments with Y enter, so
rows are summed and forgotten. The best b' is known in closed form; it is removed by centring.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError

Array = NDArray[np.float64]

DEFAULT_RIDGE = 1e-2
"""Ridge in units of the mean squared input, the damping that SparseGPT and its successors use."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """objective(W') = floor + tr((W' - target) H (W' - target)^T), H positive definite.

    `target` (out, in) is the dense least-squares solution, `second_moment` H (in, in), `floor` what no W' can undo,
    `energy` the mean squared (centred) output: objective / energy is the relative error. `dense` (out, in) are the
    weights before pruning, towards which the ridge pulls. `known_root` is `reversed_root` where someone has it
    already. Units: squared outputs.
    """

    target: Array
    second_moment: Array
    floor: float
    energy: float
    dense: Array
    known_root: Array | None = None

    @classmethod
    def plain(cls, weights: Array, second_moment: Array) -> Quadratic:
        """Return the problem with X' = X: target W, floor 0; raises BadInputError for wrong shapes or NaN."""
        weights = np.array(weights, dtype=np.float64)
        moment = np.array(second_moment, dtype=np.float64)
        if weights.ndim != 2 or moment.shape != (weights.shape[1],) * 2:
            raise BadInputError(
                f"weights {weights.shape} with second moment {moment.shape}",
                "need (out, in) and (in, in)",
                "build both from one layer",
            )
        if not (np.isfinite(weights).all() and np.isfinite(moment).all()):
            raise BadInputError("quadratic problem", "holds NaN or infinite entries", "mend the calibration rows")
        energy = float(np.einsum("oi,ij,oj->", weights, moment, weights, optimize=True))
        return cls(weights, moment, 0.0, energy, weights)

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        return int(self.target.shape[0]), int(self.target.shape[1])

    def objective(self, weights: Array) -> float:
        """Return floor + tr((W' - target) H (W' - target)^T)."""
        gap = weights - self.target
        return self.floor + float(np.einsum("oi,oi->", gap @ self.second_moment, gap))

    @cached_property
    def reversed_root(self) -> Array:
        """L lower triangular with L L^T = H, rows and columns of H in reverse order; BadInputError where H is not
        positive definite in float64."""
        return reversed_cholesky(self.second_moment) if self.known_root is None else self.known_root

    def inverse(self) -> Array:
        """Return H^-1, symmetric to the last bit; BadInputError as for `reversed_root`."""
        lower, _ = scipy.linalg.lapack.dpotri(self.reversed_root, lower=1)
        whole = lower + lower.T  # above the diagonal `lower` holds zeros
        whole.flat[:: whole.shape[0] + 1] /= 2.0
        return np.ascontiguousarray(whole[::-1, ::-1])

    @cached_property
    def inverse_root(self) -> Array:
        """U upper triangular with H^-1 = U^T U: what the surgeon's sweep reads; BadInputError as for `inverse`."""
        # With the order of columns reversed, H = R R^T has R upper triangular, and U is its inverse.
        lower, _ = scipy.linalg.lapack.dtrtri(self.reversed_root, lower=1)
        return np.ascontiguousarray(lower[::-1, ::-1])

    def repair(self, mask: NDArray[np.bool_]) -> Array:
        """Return the least-squares weights on each row's support, (out, in), zeros elsewhere; exact, O(out in^3)."""
        weights = np.zeros(self.shape)
        right = self.target @ self.second_moment
        patterns, rows_of = np.unique(np.packbits(mask, axis=1), axis=0, return_inverse=True)
        for pattern in range(patterns.shape[0]):
            rows = np.flatnonzero(rows_of.reshape(-1) == pattern)
            kept = np.flatnonzero(mask[rows[0]])
            if kept.size == self.shape[1]:
                weights[rows] = self.target[rows]
            elif kept.size:
                factor = scipy.linalg.cho_factor(self.second_moment[np.ix_(kept, kept)], lower=True)
                weights[np.ix_(rows, kept)] = scipy.linalg.cho_solve(factor, right[np.ix_(rows, kept)].T).T
        return weights


def reversed_cholesky(moment: Array) -> Array:
    """Return L lower triangular with L L^T = the symmetric `moment`, its rows and columns in reverse order."""
    try:
        # The transpose is the same matrix in the order of memory that LAPACK wants.
        root = scipy.linalg.cholesky(moment.T[::-1, ::-1], lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise BadInputError(
            "second moment of the inputs", "is not positive definite", "use a larger ridge or more calibration rows"
        ) from None
    return np.asarray(root)


@dataclass(eq=False)
class Moments:
    """Sums over rows of X'^T X' (in, in), X'^T Y (in, out), Y^2 (out,), X' (in,) and Y (out,), in float64."""

    rows: int
    xx: Array
    xy: Array
    yy: Array
    x: Array
    y: Array

    @classmethod
    def zeros(cls, inputs: int, outputs: int) -> Moments:
        """Return the empty sums of a layer with that many inputs and outputs."""
        return cls(
            0,
            np.zeros((inputs, inputs)),
            np.zeros((inputs, outputs)),
            np.zeros(outputs),
            np.zeros(inputs),
            np.zeros(outputs),
        )

    def add(self, inputs: Array, outputs: Array, times: int = 1) -> None:
        """Add rows: inputs (rows, in) that the pruned layer sees, outputs (rows, out) that the dense layer gave.

        `times`: as if they were added so often.
        """
        weighted = outputs if times == 1 else times * outputs
        self.rows += times * int(inputs.shape[0])
        self.xx += inputs.T @ inputs if times == 1 else times * (inputs.T @ inputs)
        self.xy += inputs.T @ weighted
        self.yy += np.einsum("ro,ro->o", outputs, weighted)
        self.x += times * inputs.sum(axis=0)
        self.y += weighted.sum(axis=0)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.rows + other.rows,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
            self.x + other.x,
            self.y + other.y,
        )

    def means(self, bias: bool) -> tuple[Array, Array, float]:
        """Return E[X'X'^T], E[X'Y^T] and E||Y||^2, centred where the layer has a bias."""
        count = max(self.rows, 1)
        xx, xy, yy = self.xx / count, self.xy / count, float(self.yy.sum()) / count
        if bias:
            x, y = self.x / count, self.y / count
            xx -= np.outer(x, x)
            xy -= np.outer(x, y)
            yy -= float(y @ y)
        return xx, xy, max(yy, 0.0)

    def quadratic(self, weights: Array, bias: bool, ridge: float = DEFAULT_RIDGE) -> Quadratic:
        """Return the problem min E||Y - X' W'^T - b'||^2 + ridge h ||W' - W||^2, h the mean squared input.

        The ridge pulls towards the dense W, (out, in): with few rows nothing moves that the rows do not move. With it
        H is positive definite whatever the rows. Raises BadInputError for ridge <= 0 or moments that are not finite.
        """
        if not ridge > 0.0:
            raise BadInputError(f"ridge {ridge}", "must be above 0", "use 0.01")
        xx, xy, yy = self.means(bias)
        if not (np.isfinite(xx).all() and np.isfinite(xy).all()):
            raise BadInputError("calibration rows", "give NaN or infinite moments", "remove such inputs")
        size = float(np.trace(xx)) / xx.shape[0]
        pull = ridge * (size if size > 0.0 else 1.0)
        xx.flat[:: xx.shape[0] + 1] += pull
        right = xy.T + pull * weights
        root = reversed_cholesky(xx)
        solved = scipy.linalg.cho_solve((root, True), right.T[::-1], check_finite=False)
        target = np.ascontiguousarray(solved[::-1].T)
        floor = yy + pull * float((weights * weights).sum()) - float((right * target).sum())
        return Quadratic(target, xx, max(floor, 0.0), yy, np.array(weights, dtype=np.float64), root)

    def energy(self, bias: bool) -> float:
        """Return E||Y||^2, centred where the layer has a bias."""
        count = max(self.rows, 1)
        mean = float(self.y @ self.y) / count**2 if bias else 0.0
        return max(float(self.yy.sum()) / count - mean, 0.0)

    def error(self, weights: Array, bias: bool) -> float:
        """Return E||Y - X' W'^T - b'||^2 on these rows, b' its best value where the layer has a bias; no ridge."""
        count = max(self.rows, 1)
        squares = float(self.yy.sum()) - 2.0 * float((self.xy.T * weights).sum())
        squares += float(((weights @ self.xx) * weights).sum())
        shift = self.best_bias(weights) if bias else np.zeros(0)
        return max(squares / count - float(shift @ shift), 0.0)

    def relative_error(self, weights: Array, bias: bool) -> float:
        """Return error / E||Y||^2 (centred with a bias); 0 where the layer's output is constant."""
        energy = self.energy(bias)
        return self.error(weights, bias) / energy if energy > 0.0 else 0.0

    def best_bias(self, weights: Array) -> Array:
        """Return b' = E[Y] - W' E[X'], shape (out,)."""
        count = max(self.rows, 1)
        return np.asarray(self.y / count - weights @ (self.x / count))
