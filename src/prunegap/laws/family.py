"""The two families of laws, and the median width that each says.

Both are fitted in coordinates where their parameters are nearly independent: the term of epsilon is 1 at a reference
epsilon in the middle of the data, the factor of d is 1 at a reference dimension, the offset is a square (so it is
never negative, and 0 is an ordinary point) and slope and exponent are exponentials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_EXPONENT, GREATEST_EXPONENT = 0.01, 12.0
GREATEST_POWER_OF_DIMENSION = 8.0


class Family(StrEnum):
    """log: N = a + b d^p log(1/eps); power: N = a + b d^p eps^-q; with a >= 0, b > 0, q > 0."""

    LOG = "log"
    POWER = "power"

    @property
    def formula(self) -> str:
        """The law as text."""
        return "a + b d^p log(1/ε)" if self is Family.LOG else "a + b d^p ε^(-q)"

    @property
    def least_epsilons(self) -> int:
        """How many epsilons its shape takes: two for a line in log(1/eps), three for a power and an offset."""
        return 2 if self is Family.LOG else 3


@dataclass(frozen=True)
class Shape:
    """A family in the coordinates of the fit: theta = (sqrt a, log slope, [log q], [p], log scatter, sqrt rho).

    mu = a + exp(log slope) (d / d0)^p h(eps), h = log(1/eps) / log(1/eps0) or (eps0 / eps)^q; `reference_width` is
    where the scatter is the one that the fifth coordinate says. `has_power` is whether p is fitted at all.
    """

    family: Family
    has_power: bool
    reference_epsilon: float
    reference_dimension: float
    reference_width: float

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates of theta, in order."""
        exponent = ("exponent",) if self.family is Family.POWER else ()
        power = ("power",) if self.has_power else ()
        return ("offset", "slope", *exponent, *power, "scatter", "rho")

    def column(self, theta: Array, name: str) -> Array:
        """Return one coordinate of theta, shape (..., 1)."""
        index = self.names.index(name)
        return theta[..., index : index + 1]

    def limits(self) -> tuple[Array, Array]:
        """Return the box that theta is kept in: walls far from any width that can be measured, and rho <= 1.

        At rho = 1 the absolute scatter is the same at every width; it is not let fall as widths grow.
        """
        box = {
            "offset": (-1e4, 1e4),
            "slope": (-40.0, 40.0),
            "exponent": (math.log(LEAST_EXPONENT), math.log(GREATEST_EXPONENT)),
            "power": (-GREATEST_POWER_OF_DIMENSION, GREATEST_POWER_OF_DIMENSION),
            "scatter": (-8.0, 3.0),
            "rho": (-1.0, 1.0),
        }
        low, high = zip(*(box[name] for name in self.names), strict=True)
        return np.array(low), np.array(high)

    def slope_term(self, theta: Array, dimension: Array, epsilon: Array) -> Array:
        """Return mu - a, shape (..., m), for theta of shape (..., k) and m pairs of dimension and epsilon."""
        log_term = self.column(theta, "slope") + np.zeros_like(epsilon)
        if self.family is Family.LOG:
            log_term = log_term + np.log(-np.log(epsilon) / -math.log(self.reference_epsilon))
        else:
            log_term = log_term + np.exp(self.column(theta, "exponent")) * np.log(self.reference_epsilon / epsilon)
        if self.has_power:
            log_term = log_term + self.column(theta, "power") * np.log(dimension / self.reference_dimension)
        return np.exp(np.minimum(log_term, 60.0))

    def median(self, theta: Array, dimension: Array, epsilon: Array) -> Array:
        """Return the median width mu, shape (..., m)."""
        offset = self.column(theta, "offset")
        return np.asarray(offset**2 + self.slope_term(theta, dimension, epsilon))

    def log_median_gradient(self, theta: Array, dimension: Array, epsilon: Array) -> tuple[Array, Array]:
        """Return log mu, shape (..., m), and its derivatives by theta, shape (..., m, k)."""
        slope_term = self.slope_term(theta, dimension, epsilon)
        offset = self.column(theta, "offset")
        mu = offset**2 + slope_term
        share = slope_term / mu
        columns = {"offset": 2.0 * offset / mu, "slope": share}
        if self.family is Family.POWER:
            exponent = np.exp(self.column(theta, "exponent"))
            columns["exponent"] = share * exponent * np.log(self.reference_epsilon / epsilon)
        if self.has_power:
            columns["power"] = share * np.log(dimension / self.reference_dimension)
        nothing = np.zeros_like(share)
        return np.log(mu), np.stack([columns.get(name, nothing) for name in self.names], axis=-1)

    def log_b(self, theta: Array) -> Array:
        """Return log b of the law as it is quoted, shape (..., 1)."""
        value = self.column(theta, "slope")
        if self.family is Family.LOG:
            value = value - math.log(-math.log(self.reference_epsilon))
        else:
            value = value + np.exp(self.column(theta, "exponent")) * math.log(self.reference_epsilon)
        if self.has_power:
            value = value - self.column(theta, "power") * math.log(self.reference_dimension)
        return np.asarray(value)
