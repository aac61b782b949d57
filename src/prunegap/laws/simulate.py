"""Studies with a known law, to see whether a fit finds it again.

Widths are drawn around the law with a part that a whole seed shares, since one draw serves every epsilon. How hard a
search tries does not depend on the width: it goes up to a limit drawn for the cell; below it the width is found
exactly or, in cells chosen at random, bracketed by two of the widths 1.12^k from a random start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prunegap.laws.family import Array, Family
from prunegap.laws.observation import Observation


@dataclass(frozen=True)
class Truth:
    """The law a + b d^p log(1/eps) (q None) or a + b d^p eps^-q, and how its widths scatter and are observed.

    log N has scatter (scale) `scatter` (mu / 50)^-rho, the share `shared` of its variance common to a seed and
    dimension; `tails` is its law.
    A cell is censored beyond a limit drawn log-uniformly from `limits`; it stays open with chance `open_chance`.
    """

    a: float
    b: float
    p: float
    q: float | None
    scatter: float = 0.1
    rho: float = 0.5
    shared: float = 0.4
    tails: Literal["logistic", "normal"] = "logistic"
    limits: tuple[float, float] = (60.0, 200.0)
    open_chance: float = 0.2

    @property
    def family(self) -> Family:
        """The family of the law."""
        return Family.LOG if self.q is None else Family.POWER

    def median(self, dimension: Array, epsilon: Array) -> Array:
        """Return the median width, shape of the arguments."""
        term = -np.log(epsilon) if self.q is None else epsilon**-self.q
        return np.asarray(self.a + self.b * dimension**self.p * term)


def simulate(
    truth: Truth, dimensions: tuple[int, ...], epsilons: tuple[float, ...], seeds: int, seed: int
) -> list[Observation]:
    """Return one observation for every dimension, epsilon and seed; same arguments, same observations."""
    random = np.random.default_rng([seed, 7])
    shape = (len(dimensions), len(epsilons), seeds)
    mu = truth.median(np.array(dimensions)[:, None, None] * 1.0, np.array(epsilons)[None, :, None])
    scatter = truth.scatter * (mu / 50.0) ** -truth.rho
    common, own = random.standard_normal((shape[0], 1, seeds)), random.standard_normal(shape)
    z = np.sqrt(truth.shared) * common + np.sqrt(1.0 - truth.shared) * own
    if truth.tails == "logistic":
        z = _to_logistic(z)
    widths = np.maximum(np.ceil(mu * np.exp(scatter * z)), 1.0)
    limits = np.exp(random.uniform(math.log(truth.limits[0]), math.log(truth.limits[1]), shape))
    starts, opens = random.uniform(0.0, 1.0, shape), random.random(shape) < truth.open_chance
    made = []
    for i, j, k in np.ndindex(*shape):
        lower, upper = _seen(
            float(widths[i, j, k]), float(limits[i, j, k]), float(starts[i, j, k]), bool(opens[i, j, k])
        )
        made.append(Observation(dimensions[i], epsilons[j], k, lower, upper))
    return made


def _seen(width: float, limit: float, start: float, stays_open: bool) -> tuple[int, int | None]:
    """Return what a search knows that tries the widths 1.12^(k + start), up to `limit`."""
    if width > limit:
        return int(limit), None
    if not stays_open:
        return int(width) - 1, int(width)
    step = np.log(1.12)
    place = np.floor(np.log(width - 0.5) / step - start)
    lower, upper = (int(np.exp((place + more + start) * step)) for more in (0, 1))
    return min(lower, int(width) - 1), max(upper, int(width))


def _to_logistic(z: Array) -> Array:
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(z) - log_ndtr(-z))
