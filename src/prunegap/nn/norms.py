"""Upper bounds on operator norms that hold in real arithmetic, roundings included.

Powers of the Gram matrix: for G = W W^T, ||W||^(2 k) <= ||G^k||_F for every k, and the bound is within a factor
rank^(1 / 4k) of the norm. G is squared a few times; after each product the rounding error is bounded by
gamma_n ||A||_F ||B||_F (Higham 2002, section 3.5) and carried along, and exact scaling by powers of two
keeps all numbers near 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDOFF = 2.0**-53
SQUARINGS = 7


def gamma(terms: int) -> float:
    """Return an upper bound on the relative error of a sum of `terms` products, in any order."""
    return 2.0 * (terms + 2) * ROUNDOFF


def upward(value: float, terms: int) -> float:
    """Return `value`, computed from `terms` non-negative summands, rounded up past its error."""
    return math.nextafter(value * (1.0 + gamma(terms)), math.inf)


def frobenius_upper(matrix: Floats) -> float:
    """Return an upper bound on the Frobenius norm."""
    return upward(float(np.sqrt(np.square(matrix).sum())), matrix.size + 2)


def spectral_upper(matrix: Floats, squarings: int = SQUARINGS) -> float:
    """Return an upper bound on ||W||_2 for a finite matrix, within about 1 % for a thousand rows; 0 for W = 0.

    With fewer `squarings` it is within rank^(1 / 2^(squarings + 2)).
    """
    rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    frobenius = frobenius_upper(rows)
    if frobenius == 0.0:
        return 0.0
    columns = upward(float(np.abs(rows).sum(axis=0).max()), rows.shape[0])
    sums = upward(float(np.abs(rows).sum(axis=1).max()), rows.shape[1])
    best = min(frobenius, upward(math.sqrt(columns * sums), 2))
    # ||W||^2 = 4^shift ||G||, ||G^(2^k)|| = 2^exponent ||power||, and the true power is within `error` of `power`.
    shift = math.frexp(frobenius)[1]
    scaled = np.ldexp(rows, -shift)
    power = scaled @ scaled.T
    error = gamma(rows.shape[1]) * frobenius_upper(scaled) ** 2
    exponent = 0.0
    for k in range(squarings + 1):
        size = frobenius_upper(power) + error
        log_norm = (math.log2(size) + exponent) / 2 ** (k + 1) + shift
        best = min(best, 2.0 ** (log_norm + 1e-12 * (1.0 + abs(log_norm))))
        down = math.frexp(size)[1]
        power, error, exponent = np.ldexp(power, -down), math.ldexp(error, -down), exponent + down
        size = math.ldexp(size, -down)
        error = upward(2.0 * size * error + error * error + gamma(power.shape[0]) * size * size, 4)
        power, exponent = power @ power, 2.0 * exponent
    return best


def box_to_l2_upper(matrix: Floats, reach: Floats) -> float:
    """Return an upper bound on ||B t||_2 over all |t_j| <= reach_j, at best within sqrt(pi / 2).

    For any weights m_j > 0 it is at most ||B diag(m)^(-1/2)||_2 sqrt(sum_j m_j reach_j^2); good ones come from the
    semidefinite relaxation (Nesterov 1998), approached by a few steps on its factors. They need not be exact.
    """
    scaled, columns = _nonzero(matrix * reach)
    if not columns.size:
        return 0.0
    factors = _factors(scaled.shape[1])
    for _ in range(STEPS):
        factors, weights = _unit_rows(scaled.T @ (scaled @ factors))
    weights = np.maximum(weights, 1e-4 * weights.max())
    return _weighted_norm(scaled, None, weights) * _root_sum(weights)


def box_to_l1_upper(matrix: Floats, reach: Floats) -> float:
    """Return an upper bound on ||B t||_1 over all |t_j| <= reach_j, at best within 1.79.

    For any weights l_i, m_j > 0 it is at most ||diag(l)^(-1/2) B diag(m)^(-1/2)||_2 sqrt(sum_i l_i sum_j m_j
    reach_j^2) (Grothendieck's inequality; Alon, Naor 2006); the weights are found as above.
    """
    scaled, columns = _nonzero(matrix * reach)
    scaled, rows = _nonzero(scaled.T)
    if not columns.size or not rows.size:
        return 0.0
    scaled, factors = np.ascontiguousarray(scaled.T), _factors(columns.size)
    for _ in range(STEPS):
        others, left = _unit_rows(scaled @ factors)
        factors, right = _unit_rows(scaled.T @ others)
    left, right = np.maximum(left, 1e-4 * left.max()), np.maximum(right, 1e-4 * right.max())
    return _weighted_norm(scaled, left, right) * _root_sum(left) * _root_sum(right)


def ball_to_l1_upper(matrix: Floats, length: float) -> float:
    """Return an upper bound on ||B t||_1 over all ||t||_2 <= length, at best within sqrt(pi / 2).

    For any weights l_i > 0 it is at most ||diag(l)^(-1/2) B||_2 sqrt(sum_i l_i) length.
    """
    scaled, rows = _nonzero(matrix.T)
    if not rows.size:
        return 0.0
    factors = _factors(scaled.shape[0])
    for _ in range(STEPS):
        others, left = _unit_rows(scaled.T @ factors)
        factors = scaled @ others
        factors /= np.linalg.norm(factors)
    left = np.maximum(left, 1e-4 * left.max())
    return upward(_weighted_norm(scaled, None, left) * _root_sum(left) * length, 4)


STEPS, FACTORS, FEWER_SQUARINGS = 10, 6, 5


def _nonzero(matrix: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the columns of a matrix that are not zero, and which they are."""
    columns = np.flatnonzero(np.abs(matrix).max(axis=0, initial=0.0) > 0.0)
    return matrix[:, columns], columns


def _factors(count: int) -> Floats:
    return _unit_rows(np.random.default_rng(0).normal(size=(count, FACTORS)))[0]


def _unit_rows(rows: Floats) -> tuple[Floats, Floats]:
    lengths = np.linalg.norm(rows, axis=1)
    return rows / np.maximum(lengths, 1e-300)[:, None], lengths


def _weighted_norm(matrix: Floats, left: Floats | None, right: Floats) -> float:
    """Return an upper bound on the norm of diag(left)^(-1/2) B diag(right)^(-1/2), the roundings of B included."""
    weighted = matrix / np.sqrt(right)
    if left is not None:
        weighted = weighted / np.sqrt(left)[:, None]
    # B was rounded once, the weights four times and the two quotients once each.
    return upward(spectral_upper(weighted, FEWER_SQUARINGS) + 2.0**-49 * frobenius_upper(weighted), 4)


def _root_sum(weights: Floats) -> float:
    return upward(math.sqrt(upward(float(weights.sum()), weights.size)), 4)
