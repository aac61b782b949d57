"""The likelihood of proven intervals, with its derivatives.

A width is X = mu exp(s Z), rounded up, with Z standard logistic: its median is the law mu, and log X scatters by s.
The scatter may fall as widths grow, log s = c - rho (log mu - log mu0), 0 <= rho <= 1. The study knows
lower < X <= upper, so a cell is worth

    log P(lower < X <= upper) = log(F(u) - F(l)),  F(z) = 1 / (1 + exp(-z)),  z(w) = (log w - log mu) / s,

and a censored cell (no upper end) is worth log(1 - F(l)). Since F(u) - F(l) = F(u) F(-l) (1 - exp(l - u)), the
logarithm is a sum of three terms that are exact in both tails, and its derivatives are bounded. Decision 0007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.laws.family import Shape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """m proven intervals as arrays of shape (m,): log_lower is -inf for none, log_upper is inf for none."""

    dimension: Array
    epsilon: Array
    log_lower: Array
    log_upper: Array

    def every(self, step: int) -> Data:
        """Return every `step`-th interval."""
        return Data(self.dimension[::step], self.epsilon[::step], self.log_lower[::step], self.log_upper[::step])


@dataclass(frozen=True)
class Curvature:
    """Log-likelihoods (..., m); of their weighted sum the gradient (..., k) and a positive form (..., k, k)."""

    value: Array
    gradient: Array
    form: Array


def log_probability(z_lower: Array, z_upper: Array) -> Array:
    """Return log(F(z_upper) - F(z_lower)) of the logistic law, without cancellation; ends may be infinite."""
    below_upper = -np.logaddexp(0.0, -z_upper)
    above_lower = -np.logaddexp(0.0, z_lower)
    return np.asarray(below_upper + above_lower + np.log(-np.expm1(-_gap(z_lower, z_upper))))


def _gap(z_lower: Array, z_upper: Array) -> Array:
    # A gap below 1e-300 is one that the doubles have swallowed.
    return np.maximum(z_upper - z_lower, 1e-300)


def log_likelihood(shape: Shape, theta: Array, data: Data) -> Array:
    """Return the log-likelihood of every interval, shape (..., m), for theta of shape (..., k)."""
    log_mu = np.log(shape.median(theta, data.dimension, data.epsilon))
    scatter = np.exp(log_scatter(shape, theta, log_mu))
    return log_probability((data.log_lower - log_mu) / scatter, (data.log_upper - log_mu) / scatter)


def log_scatter(shape: Shape, theta: Array, log_mu: Array) -> Array:
    """Return log s where the law's logarithm is log_mu, kept between -12 and 5."""
    rho = shape.column(theta, "rho") ** 2
    away = log_mu - np.log(shape.reference_width)
    return np.asarray(np.clip(shape.column(theta, "scatter") - rho * away, -12.0, 5.0))


def curvature(shape: Shape, theta: Array, data: Data, weights: Array) -> Curvature:
    """Return values, gradient and a positive form of the weighted log-likelihood; theta (..., k), weights (..., m).

    With z = (log w - log mu) / s, the derivatives by the log median and by the log scatter are, of l = log P,
    l_mu = -(l_u + l_l) / s and l_s = -(u l_u + l l_l), where l_u = 1 / (exp(u - l) - 1) + F(-u) and
    l_l = -1 / (1 - exp(l - u)) + F(-l). The form is J' diag(-second derivatives, at least 0) J.
    """
    log_mu, by_theta = shape.log_median_gradient(theta, data.dimension, data.epsilon)
    s_log = log_scatter(shape, theta, log_mu)
    scatter = np.exp(s_log)
    lower, upper = (data.log_lower - log_mu) / scatter, (data.log_upper - log_mu) / scatter
    gap = _gap(lower, upper)
    with np.errstate(over="ignore"):
        inverse = 1.0 / np.expm1(np.minimum(gap, 700.0))
    f_upper, f_lower = _logistic(-upper), _logistic(-lower)
    by_upper, by_lower = inverse + f_upper, f_lower - 1.0 - inverse
    finite_upper, finite_lower = np.isfinite(upper), np.isfinite(lower)
    z_upper, z_lower = np.where(finite_upper, upper, 0.0), np.where(finite_lower, lower, 0.0)
    by_upper, by_lower = by_upper * finite_upper, by_lower * finite_lower
    by_log_mu = -(by_upper + by_lower) / scatter
    by_log_s = -(z_upper * by_upper + z_lower * by_lower)
    # -d2 log P / d(log mu)^2 is what F contributes alone: the term in u - l does not move with mu.
    bend_mu = (f_upper * (1.0 - f_upper) + f_lower * (1.0 - f_lower)) / scatter**2
    bend_s = np.minimum(by_log_s**2, 1.5) + 1e-9
    rho = shape.column(theta, "rho")
    s_by_theta = -(rho[..., None] ** 2) * by_theta
    names = shape.names
    s_by_theta[..., names.index("scatter")] = 1.0
    s_by_theta[..., names.index("rho")] = -2.0 * rho * (log_mu - np.log(shape.reference_width))
    s_by_theta = s_by_theta * ((s_log > -12.0) & (s_log < 5.0))[..., None]
    gradient = ((weights * by_log_mu)[..., None] * by_theta + (weights * by_log_s)[..., None] * s_by_theta).sum(
        axis=-2
    )
    form = _form(by_theta, weights * bend_mu) + _form(s_by_theta, weights * bend_s)
    _bend_squares(form, gradient, theta, (names.index("offset"), names.index("rho")))
    return Curvature(log_probability(lower, upper), gradient, form)


def _bend_squares(form: Array, gradient: Array, theta: Array, squares: tuple[int, ...]) -> None:
    """Add to the form what squares bend: where l falls in x = t^2, -d2 l / dt2 holds -(dl / dt) / t >= 0."""
    for place in squares:
        t = theta[..., place]
        form[..., place, place] += np.maximum(-gradient[..., place] / np.where(np.abs(t) > 1e-12, t, np.inf), 0.0)


def _form(jacobian: Array, weight: Array) -> Array:
    return np.asarray(np.swapaxes(jacobian * weight[..., None], -1, -2) @ jacobian)


def _logistic(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))
