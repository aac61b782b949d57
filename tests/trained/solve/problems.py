"""Layers to prune: random ones, rank-deficient ones, ones with dead inputs; and brute force over every mask."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.granularity import Granularity
from prunegap.trained.solve import Moments, Quadratic, UnitPart, UnitProblem
from prunegap.trained.solve.support import kept_units, spread, unit_length


def rows(seed: int, count: int, inputs: int, rank: int | None = None) -> NDArray[np.float64]:
    """Correlated non-negative inputs, as after a ReLU."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((rank or inputs, inputs))
    return np.maximum(generator.standard_normal((count, rank or inputs)) @ mixing, 0.0)


def moments(seed: int, count: int, outputs: int, inputs: int) -> tuple[Moments, NDArray[np.float64]]:
    """Moments of a layer whose inputs changed after its targets were recorded, and its dense weights."""
    generator = np.random.default_rng([seed, 1])
    weights = generator.standard_normal((outputs, inputs))
    before = rows(seed, count, inputs)
    after = before + 0.1 * generator.standard_normal(before.shape)
    sums = Moments.zeros(inputs, outputs)
    sums.add(after, before @ weights.T)
    return sums, weights


def quadratic(seed: int, outputs: int, inputs: int, kind: str = "plain") -> Quadratic:
    """A problem of the given kind: plain, shifted (X' is not X), deficient (rank 2), dead (inputs that are 0)."""
    generator = np.random.default_rng([seed, 2])
    if kind == "shifted":
        sums, weights = moments(seed, 60, outputs, inputs)
        return sums.quadratic(weights, bias=True)
    inputs_seen = rows(seed, 60, inputs, rank=2 if kind == "deficient" else None)
    if kind == "dead":
        inputs_seen[:, ::3] = 0.0
    weights = generator.standard_normal((outputs, inputs))
    sums = Moments.zeros(inputs, outputs)
    sums.add(inputs_seen, inputs_seen @ weights.T)
    return sums.quadratic(weights, bias=False)


def unit_problem(seed: int, units: int, kinds: tuple[tuple[int, int], ...]) -> UnitProblem:
    """Consumers of (outputs, columns a unit), each with one more column that belongs to no unit."""
    parts = []
    for place, (outputs, each) in enumerate(kinds):
        problem = quadratic(seed + place, outputs, units * each + 1, "shifted")
        columns = np.random.default_rng([seed, place, 3]).permutation(units * each + 1)[: units * each]
        parts.append(UnitPart(problem, columns.reshape(units, each), 1.0 + place))
    return UnitProblem(tuple(parts))


def best_of_all_masks(problem: Quadratic, granularity: Granularity, keep_fraction: float | None) -> float:
    """The least objective over every mask of the granularity with the right number of units (one output only)."""
    assert problem.shape[0] == 1
    inputs, length = problem.shape[1], unit_length(granularity)
    units = -(-inputs // length)
    best = np.inf
    for chosen in combinations(range(units), kept_units(problem.shape, granularity, keep_fraction)):
        picked = np.zeros((1, units), dtype=np.bool_)
        picked[0, list(chosen)] = True
        mask = np.asarray(spread(picked, length, inputs), dtype=np.bool_)
        if granularity._admits_rows(mask).all():
            best = min(best, problem.objective(problem.repair(mask)))
    return best


def best_of_all_units(problem: UnitProblem, keep: int) -> float:
    """The least objective over every set of `keep` units."""
    best = np.inf
    for chosen in combinations(range(problem.units), keep):
        kept = np.zeros(problem.units, dtype=np.bool_)
        kept[list(chosen)] = True
        best = min(best, problem.objective(problem.repair(kept)))
    return best
