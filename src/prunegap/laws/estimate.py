"""Numbers with intervals, from a bootstrap over seeds.

The widths of one seed share a draw, so seeds are what is resampled, never cells: resample r gives seed i the weight
w_ri = n E_ri / sum_j E_rj with E exponential (Rubin's Bayesian bootstrap), which keeps every cell in every resample.
For the mean of n numbers its variance is sum (x_i - mean)^2 / (n (n + 1)), and a percentile takes normal tails; so
deviations from the estimate are stretched by t_{n-1} / z sqrt((n + 1) / (n - 1)), which makes the interval of a mean
Student's own. Decision 0007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from prunegap.laws.family import Array

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A fitted number with its 95 % interval; `low` and `high` are NaN where there is none (a single seed)."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    def holds(self, value: float) -> bool:
        """Return whether the interval holds the value."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        value = f"{self.value:.3g}"
        return f"{value} ({self.low:.3g} to {self.high:.3g})" if self.known else f"{value} (no interval)"


def seed_weights(seeds: Array, resamples: int, seed: int) -> Array:
    """Return the weight of every cell in every resample, shape (resamples, m), for cells' seeds of shape (m,).

    Seeds of cells are numbered first, so what a resample is does not depend on the order of the cells.
    """
    _, places = np.unique(seeds, return_inverse=True)
    drawn = np.random.default_rng([seed, 20_260_302]).standard_exponential((resamples, int(places.max()) + 1))
    return np.asarray((drawn / drawn.mean(axis=1, keepdims=True))[:, places])


def stretch(seeds: int) -> float:
    """Return t_{n-1} / z sqrt((n + 1) / (n - 1)) at 95 %; NaN for fewer than two seeds."""
    from scipy.special import ndtri, stdtrit

    if seeds < 2:
        return math.nan
    tail = 0.5 + LEVEL / 2.0
    return float(stdtrit(seeds - 1, tail) / ndtri(tail)) * math.sqrt((seeds + 1) / (seeds - 1))


def interval(value: Array, resampled: Array, seeds: int) -> tuple[Array, Array]:
    """Return the ends of values of shape (m,) from resampled ones of shape (r, m); NaN for one seed."""
    factor = stretch(seeds)
    if math.isnan(factor):
        return np.full_like(value, math.nan), np.full_like(value, math.nan)
    low, high = np.quantile(resampled - value, (0.5 - LEVEL / 2.0, 0.5 + LEVEL / 2.0), axis=0)
    return value + factor * np.minimum(low, 0.0), value + factor * np.maximum(high, 0.0)
