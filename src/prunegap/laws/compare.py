"""Which family explains seeds that it has not seen?

Seeds are left out in turn (in at most ten parts); both families are fitted to the others and score the
log-likelihood of every interval of the seed left out. A family is preferred only where the 95 % interval of the mean
gain per seed excludes 0. The power law has one parameter more, and pays for it here where it does not help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prunegap.laws.estimate import LEVEL
from prunegap.laws.family import Array, Family
from prunegap.laws.fit import RESAMPLES, Fit, Unfitted, best, data_of, fit, loosened, shape_of
from prunegap.laws.likelihood import log_likelihood
from prunegap.laws.maximise import maximise
from prunegap.laws.observation import Observation

PARTS = 10
LEAST_SEEDS = 3
LEAST_GAIN = 4.0
"""A smaller total gain decides nothing: then the laws are nearly one on these data, and the spread of gains over
seeds says too little about their error (Sivula, Magnusson, Matamoros and Vehtari, arXiv:2008.10296)."""


@dataclass(frozen=True)
class HeldOut:
    """Mean gain in log-likelihood of the power law over the logarithm per seed left out, with its 95 % interval."""

    gain: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """Both families on the same observations; `preferred` is None where they do not decide, `reason` says why."""

    log: Fit | Unfitted
    power: Fit | Unfitted
    held_out: HeldOut | None
    preferred: Family | None
    reason: str

    def of(self, family: Family) -> Fit | Unfitted:
        """Return what became of one family."""
        return self.log if family is Family.LOG else self.power

    @property
    def fit(self) -> Fit | None:
        """The fit of the preferred family."""
        chosen = None if self.preferred is None else self.of(self.preferred)
        return chosen if isinstance(chosen, Fit) else None


def compare(observations: Sequence[Observation], resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Fit both families and compare them on seeds left out."""
    log, power = (fit(observations, family, resamples, seed) for family in (Family.LOG, Family.POWER))
    for law in (log, power):
        if isinstance(law, Unfitted):
            return Comparison(log, power, None, None, law.reason)
    held_out = leave_seeds_out(observations)
    if held_out is None:
        return Comparison(log, power, None, None, f"comparing laws takes at least {LEAST_SEEDS} seeds")
    gain = f"{held_out.gain:.3g} ({held_out.low:.3g} to {held_out.high:.3g})"
    measure = f"gain of the power law in log-likelihood per seed left out: {gain}"
    return Comparison(log, power, held_out, preferred_by(held_out), measure)


def preferred_by(held_out: HeldOut) -> Family | None:
    """Return the family that a gain on seeds left out speaks for, or None where it decides nothing."""
    if abs(held_out.gain) * held_out.seeds < LEAST_GAIN or held_out.low <= 0.0 <= held_out.high:
        return None
    return Family.POWER if held_out.gain > 0.0 else Family.LOG


def leave_seeds_out(observations: Sequence[Observation]) -> HeldOut | None:
    """Return the gain of the power law on seeds left out; None with fewer than three seeds with upper ends."""
    from scipy.special import stdtrit

    with_ends = sorted({o.seed for o in observations if o.is_bounded})
    if len(with_ends) < LEAST_SEEDS:
        return None
    used = [o for o in observations if not o.is_trivial]
    log, power = (_scores(used, family, with_ends) for family in (Family.LOG, Family.POWER))
    gains = power - log
    half = float(stdtrit(gains.size - 1, 0.5 + LEVEL / 2.0)) * float(gains.std(ddof=1)) / math.sqrt(gains.size)
    mean = float(gains.mean())
    return HeldOut(mean, mean - half, mean + half, gains.size)


def _scores(used: Sequence[Observation], family: Family, with_ends: Sequence[int]) -> Array:
    """Return each seed's log-likelihood under the fit that has not seen it, shape (seeds,)."""
    shape, data = shape_of(used, family), data_of(used)
    numbers = {seed: number for number, seed in enumerate(with_ends)}
    # Seeds without any upper end are never left out: alone they would score how far a search went.
    place = np.array([numbers.get(o.seed, -1) for o in used])
    parts = min(PARTS, len(with_ends))
    part = np.where(place >= 0, place % parts, -1)
    whole, _ = best(shape, data)
    weights = (part[None, :] != np.arange(parts)[:, None]).astype(np.float64)
    starts = np.repeat(loosened(shape, whole)[None], parts, axis=0)
    theta, _ = maximise(shape, starts, data, weights, 1e-7)
    values = log_likelihood(shape, theta, data)
    seen = place >= 0
    return np.bincount(place[seen], values[part[seen], np.flatnonzero(seen)], len(with_ends)).astype(np.float64)
