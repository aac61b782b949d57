"""A law fitted to proven intervals, with intervals of its own; or the reason why there is none.

Every cell counts, open and censored ones too. The point estimate is the maximum of the likelihood that takes cells as
independent; since the cells of one seed are not, what it is worth is read off a bootstrap over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from prunegap.laws.estimate import Estimate, interval, seed_weights
from prunegap.laws.family import Array, Family, Shape
from prunegap.laws.likelihood import Data
from prunegap.laws.linear import resampled_linearly
from prunegap.laws.maximise import maximise
from prunegap.laws.observation import Cells, Observation
from prunegap.model.errors import BadInputError

RESAMPLES = 400
MANY_SEEDS = 40
"""From this many on a resample moves the maximum so little that one Newton step finds it."""
EXPLORED_CELLS = 400
"""As many cells are enough to tell good starts from bad ones."""


@dataclass(frozen=True)
class Unfitted:
    """No law, and a sentence that says why not."""

    family: Family
    reason: str
    cells: Cells


@dataclass(frozen=True)
class Fit:
    """The median width over draws, a + b d^p log(1/eps) or a + b d^p eps^-q, with 95 % intervals over seeds.

    `p` is None where only one dimension was measured: d^p is then a part of b. `q` is None for the log family.
    `ranges` says for each dimension, ascending, the least and the greatest epsilon with an upper end: what supports
    the law. `rho` is how fast the relative scatter falls with the width. The resampled parameters are kept for
    `band`.
    """

    family: Family
    a: Estimate
    b: Estimate
    p: Estimate | None
    q: Estimate | None
    scatter: float
    rho: float
    log_likelihood: float
    cells: Cells
    seeds: int
    ranges: tuple[tuple[int, float, float], ...]
    notes: tuple[str, ...]
    shape: Shape = field(repr=False, compare=False)
    theta: Array = field(repr=False, compare=False)
    resampled: Array = field(repr=False, compare=False)

    def supports(self, dimension: int, epsilon: float) -> bool:
        """Return whether this dimension was measured on both sides of epsilon; elsewhere the law is a guess."""
        return any(
            d == dimension and low * (1 - 1e-9) <= epsilon <= high * (1 + 1e-9) for d, low, high in self.ranges
        )

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The dimensions that support the law, ascending."""
        return tuple(d for d, _, _ in self.ranges)

    @property
    def epsilon_least(self) -> float:
        """The least epsilon with an upper end, in any dimension."""
        return min(low for _, low, _ in self.ranges)

    @property
    def epsilon_greatest(self) -> float:
        """The greatest epsilon with an upper end, in any dimension."""
        return max(high for _, _, high in self.ranges)

    def median(self, dimension: int, epsilons: Sequence[float] | Array) -> Array:
        """Return the fitted median width at each epsilon in (0, 1), shape (m,).

        Raises BadInputError for any other epsilon, and for another dimension where p is not fitted.
        """
        return self.shape.median(self.theta, *self._places(dimension, epsilons))

    def band(self, dimension: int, epsilons: Sequence[float] | Array) -> tuple[Array, Array, Array]:
        """Return low, median and high width at each epsilon, each shape (m,): a 95 % interval at each epsilon alone.

        Low and high are NaN where the fit has one seed. Raises BadInputError as `median` does.
        """
        places = self._places(dimension, epsilons)
        middle = np.log(self.shape.median(self.theta, *places))
        low, high = interval(middle, np.log(self.shape.median(self.resampled, *places)), self.seeds)
        return np.exp(low), np.exp(middle), np.exp(high)

    def _places(self, dimension: int, epsilons: Sequence[float] | Array) -> tuple[Array, Array]:
        asked = np.asarray(epsilons, dtype=np.float64)
        if asked.size and not bool(((asked > 0.0) & (asked < 1.0)).all()):
            raise BadInputError("epsilons of a law", "must lie between 0 and 1", "ask for example at 0.05")
        if self.p is None and dimension != self.dimensions[0]:
            raise BadInputError(
                f"dimension {dimension}",
                f"was not measured: this law is about d = {self.dimensions[0]} alone",
                "measure a second dimension",
            )
        return np.full(asked.shape, float(dimension)), asked


def fit(
    observations: Sequence[Observation], family: Family, resamples: int = RESAMPLES, seed: int = 0
) -> Fit | Unfitted:
    """Fit a family to proven intervals; `resamples` and `seed` are the bootstrap's. Same input, same bits."""
    cells = Cells.of(observations)
    reason = why_not(observations, family)
    if reason is not None:
        return Unfitted(family, reason, cells)
    used = sorted((o for o in observations if not o.is_trivial), key=_order)
    shape, data = shape_of(used, family), data_of(used)
    theta, value = best(shape, data)
    seeds = np.array([o.seed for o in used], dtype=np.float64)
    bounded = [o for o in used if o.is_bounded]
    number = len({o.seed for o in bounded})
    resampled = theta[None, :]
    if number > 1:
        resampled = _resampled(shape, theta, data, seed_weights(seeds, resamples, seed), number)
    least_seeds = min(len({o.seed for o in bounded if o.dimension == d}) for d in {o.dimension for o in bounded})
    return Fit(
        family,
        *_estimates(shape, theta, resampled, number, least_seeds),
        scatter=float(np.exp(shape.column(theta, "scatter")[0])),
        rho=float(shape.column(theta, "rho")[0] ** 2),
        log_likelihood=value,
        cells=cells,
        seeds=number,
        ranges=_ranges(bounded),
        notes=tuple(_notes(shape, theta, number)),
        shape=shape,
        theta=theta,
        resampled=resampled,
    )


def why_not(observations: Sequence[Observation], family: Family) -> str | None:
    """Return why these observations cannot carry a law of this family, or None."""
    if not observations:
        return "there are no cells"
    if all(o.is_trivial for o in observations):
        return "no cell says anything about a width: the empty ticket is enough, or nothing is excluded"
    if not any(o.is_bounded for o in observations):
        return "every width is known from below only: no ticket was found, so no law can be fitted"
    if not any(o.is_closed for o in observations):
        return "no cell is closed: ends that far apart are about the search as much as about the width"
    epsilons = len({o.epsilon for o in observations if o.is_bounded})
    if epsilons < family.least_epsilons:
        have = "one epsilon" if epsilons == 1 else f"{epsilons} epsilons"
        return f"{have} with upper ends cannot show how widths grow: this law needs {family.least_epsilons}"
    return None


def shape_of(used: Sequence[Observation], family: Family) -> Shape:
    """Return the coordinates in which these observations are fitted."""
    bounded = [o for o in used if o.is_bounded]
    epsilons, dimensions = sorted({o.epsilon for o in bounded}), sorted({o.dimension for o in bounded})
    middle = math.exp((math.log(epsilons[0]) + math.log(epsilons[-1])) / 2.0)
    width = float(np.exp(np.mean([math.log(o.upper or 1) for o in bounded])))
    return Shape(family, len(dimensions) > 1, middle, float(np.exp(np.log(dimensions).mean())), width)


def data_of(used: Sequence[Observation]) -> Data:
    """Return the observations as arrays."""
    return Data(
        np.array([o.dimension for o in used], dtype=np.float64),
        np.array([o.epsilon for o in used], dtype=np.float64),
        np.array([math.log(o.lower) if o.lower > 0 else -math.inf for o in used]),
        np.array([math.inf if o.upper is None else math.log(o.upper) for o in used]),
    )


def best(shape: Shape, data: Data) -> tuple[Array, float]:
    """Return the best maximum from many starts, and its log-likelihood."""
    ones = np.ones(data.epsilon.size)
    starts = _starts(shape, data)
    if ones.size > EXPLORED_CELLS:
        few = data.every(-(-ones.size // EXPLORED_CELLS))
        tried, worth = maximise(shape, starts, few, np.ones((starts.shape[0], few.epsilon.size)), 1e-3)
        starts = np.array([loosened(shape, tried[i]) for i in np.argsort(-worth, kind="stable")[:2]])
    theta, value = maximise(shape, starts, data, np.repeat(ones[None, :], starts.shape[0], axis=0), 1e-10)
    winner = int(np.argmax(value))
    return theta[winner], float(value[winner])


def loosened(shape: Shape, theta: Array) -> Array:
    """Return theta moved off the two coordinates' zeros, where squares have no slope."""
    moved = theta.copy()
    for name, least in (("offset", 0.2 * math.sqrt(shape.reference_width)), ("rho", 0.3)):
        place = shape.names.index(name)
        moved[place] = max(abs(moved[place]), least)
    return moved


def _resampled(shape: Shape, theta: Array, data: Data, weights: Array, seeds: int) -> Array:
    """Return the maximum of every resample, shape (r, k)."""
    linear = resampled_linearly(shape, theta, data, weights) if seeds >= MANY_SEEDS else None
    if linear is not None:
        return linear
    starts = np.repeat(loosened(shape, theta)[None], weights.shape[0], axis=0)
    return maximise(shape, starts, data, weights, 1e-5)[0]


def _starts(shape: Shape, data: Data) -> Array:
    """Return starts over exponents and offsets, the slope such that the law meets the widths in the middle."""
    known = np.isfinite(data.log_upper)
    middles = np.exp(data.log_upper[known])
    starts = []
    for exponent in (0.3, 0.8, 1.6) if shape.family is Family.POWER else (1.0,):
        for power in (0.0, 1.0, 2.0) if shape.has_power else (0.0,):
            for share in (0.1, 0.8):
                offset = share * float(middles.min())
                values = {
                    "offset": math.sqrt(offset), "exponent": math.log(exponent), "power": power,
                    "slope": 0.0, "scatter": -1.5, "rho": 0.5,
                }  # fmt: skip
                theta = np.array([values[name] for name in shape.names])
                term = shape.slope_term(theta, data.dimension[known], data.epsilon[known])
                theta[shape.names.index("slope")] = float(np.median(np.log((middles - offset + 1.0) / term)))
                starts.append(theta)
    return np.array(starts)


def _estimates(
    shape: Shape, theta: Array, resampled: Array, seeds: int, least_seeds: int
) -> tuple[Estimate, Estimate, Estimate | None, Estimate | None]:
    root = _between(np.abs(shape.column(theta, "offset")), np.abs(shape.column(resampled, "offset")), seeds)
    a = Estimate(_square(root.value), _square(root.low), _square(root.high))
    b = _exponential(_between(shape.log_b(theta), shape.log_b(resampled), seeds))
    p = q = None
    if shape.has_power:
        # What says something about the factor d is the dimension with the fewest seeds.
        p = _between(shape.column(theta, "power"), shape.column(resampled, "power"), least_seeds)
    if shape.family is Family.POWER:
        q = _exponential(_between(shape.column(theta, "exponent"), shape.column(resampled, "exponent"), seeds))
    return a, b, p, q


def _between(value: Array, resampled: Array, seeds: int) -> Estimate:
    low, high = interval(value, resampled, seeds)
    return Estimate(float(value[0]), float(low[0]), float(high[0]))


def _square(root: float) -> float:
    """Return root^2, and 0 for what is below 0 or vanishes beside a single neuron."""
    return root if math.isnan(root) else round(max(root, 0.0) ** 2, 3)


def _exponential(log: Estimate) -> Estimate:
    low, high = (math.exp(min(end, 700.0)) if log.known else math.nan for end in (log.low, log.high))
    return Estimate(math.exp(log.value), low, high)


def _notes(shape: Shape, theta: Array, seeds: int) -> list[str]:
    notes = []
    if not shape.has_power:
        notes.append("one dimension: the factor d^p cannot be told from b")
    if seeds == 1:
        notes.append("one seed: an example, without any interval")
    low, high = shape.limits()
    walls = [n for n, t, lo, hi in zip(shape.names, theta, low, high, strict=True) if not lo + 1e-6 < t < hi - 1e-6]
    if {"exponent", "power", "slope"} & set(walls):
        notes.append(f"the fit ran into its limit for {' and '.join(walls)}: the data do not determine it")
    return notes


def _ranges(bounded: Sequence[Observation]) -> tuple[tuple[int, float, float], ...]:
    epsilons: dict[int, list[float]] = {}
    for o in bounded:
        epsilons.setdefault(o.dimension, []).append(o.epsilon)
    return tuple((d, min(epsilons[d]), max(epsilons[d])) for d in sorted(epsilons))


def _order(observation: Observation) -> tuple[int, int, float]:
    return observation.seed, observation.dimension, observation.epsilon
