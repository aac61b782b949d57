"""The search for columns: never worse than greedy, exact where small, locally optimal, bounded from below."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from prunegap.kernels.binary_least_squares import (
    MOST_TRIED,
    descend,
    flip_best,
    flip_pairs,
    relaxed_bound,
    slope_of,
    try_all,
)


def problem(count: int, rows: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the Gram matrix, A't and t't of a goal that a third of the columns and some noise make."""
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((rows, count)).astype(np.float32)
    goal = columns[:, : count // 3].sum(axis=1) + noise * rng.standard_normal(rows)
    return columns.T @ columns, columns.T.astype(np.float64) @ goal, float(goal @ goal)


def square(gram: np.ndarray, goal: np.ndarray, mask: np.ndarray) -> float:
    """Return m'Gm - 2 b'm in float64."""
    kept = mask.astype(np.float64)
    return float(kept @ gram.astype(np.float64) @ kept - 2.0 * goal @ kept)


def greedy(gram: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Add the best column while any helps: nothing is ever taken away, nothing is shared with the code."""
    mask = np.zeros(goal.size, dtype=np.int8)
    best = 0.0
    while True:
        tries = []
        for k in np.flatnonzero(mask == 0):
            more = mask.copy()
            more[k] = 1
            tries.append((square(gram, goal, more), k))
        if not tries or min(tries)[0] >= best:
            return mask
        best, k = min(tries)
        mask[k] = 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_small_problems_are_solved_as_by_brute_force_over_all_masks(count: int, seed: int) -> None:
    gram, goal, _ = problem(count, 6, seed)
    mask = np.ones(count, dtype=np.int8)
    descend(gram, goal, mask, 5)
    every = [square(gram, goal, np.array(bits)) for bits in product((0, 1), repeat=count)]
    assert square(gram, goal, mask) == pytest.approx(min(every), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "rows"), [(30, 10), (60, 200), (90, 20)])
def test_the_search_is_never_worse_than_greedy_and_no_two_flips_help(count: int, rows: int, seed: int) -> None:
    gram, goal, _ = problem(count, rows, seed)
    assert count > MOST_TRIED
    mask = np.zeros(count, dtype=np.int8)
    descend(gram, goal, mask, 1000)
    value = square(gram, goal, mask)
    assert value <= square(gram, goal, greedy(gram, goal)) + 1e-6 * abs(value)
    for flips in [*combinations(range(count), 1), *combinations(range(count), 2)]:
        other = mask.copy()
        other[list(flips)] ^= 1
        assert square(gram, goal, other) >= value - 1e-4


def test_every_step_goes_down_from_any_mask() -> None:
    gram, goal, _ = problem(80, 25, 3)
    mask = np.random.default_rng(0).integers(0, 2, 80).astype(np.int8)
    slope = slope_of(gram, goal, mask)
    values = [square(gram, goal, mask)]
    for move in (flip_pairs, flip_best, flip_pairs, flip_best):
        moved = move(gram, mask, slope)
        values.append(square(gram, goal, mask))
        assert (values[-1] < values[-2]) if moved else (values[-1] == values[-2])
        assert np.allclose(slope, goal - gram.astype(np.float64) @ mask, atol=1e-6)
    assert values[1] < values[0]


@pytest.mark.parametrize("seed", range(10))
def test_no_mask_lies_below_the_relaxed_bound(seed: int) -> None:
    gram, goal, size = problem(14, 20, seed, noise=3.0)
    mask = np.zeros(14, dtype=np.int8)
    try_all(gram, goal, mask)
    bounds = [relaxed_bound(gram, goal, passes) for passes in (0, 1, 3, 300)]
    assert max(bounds) <= square(gram, goal, mask) + 1e-6 * size
    # It is no empty claim: with noise outside the columns' span the bound is well above nothing.
    assert size + bounds[-1] > 0.05 * size


def test_the_bound_is_tight_where_the_relaxation_is_whole() -> None:
    gram, goal = np.eye(9, dtype=np.float32), np.array([2.0, -1.0, 0.0, 5.0, 1.0, -3.0, 1.5, -0.1, 7.0])
    assert relaxed_bound(gram, goal, 5) == pytest.approx(-sum(2 * g - 1 for g in goal if g >= 1))


def test_compiled_and_plain_python_agree() -> None:
    gram, goal, _ = problem(24, 10, 1)
    compiled, plain = np.zeros(24, dtype=np.int8), np.zeros(24, dtype=np.int8)
    descend(gram, goal, compiled, 4)
    slope = slope_of.py_func(gram, goal, plain)
    for _ in range(5):
        flip_best(gram, plain, slope)
        flip_pairs(gram, plain, slope)
    assert (compiled == plain).all()
