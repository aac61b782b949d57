"""Several sums met from one pool: brute force never does better, and the books stay balanced."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from prunegap.kernels.joint import error_of, listed, mend, nearest_join, priced


def made(width: int, sums: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform(-1.0, 1.0, (sums, width)) * (random.uniform(size=(sums, width)) < 0.6)


@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("sums", [1, 2, 3])
def test_every_assignment_is_listed_once_with_what_it_reaches(count: int, sums: int) -> None:
    contributions, places = made(6, sums + 1, count), np.arange(1, sums + 1)
    neurons = np.arange(count) + 1
    vectors, codes = listed(contributions, neurons, places)
    expected = {}
    for choice in product(range(sums + 1), repeat=count):
        pairs = [(k - 1, i) for k, i in zip(choice, neurons.tolist(), strict=True) if k > 0]
        if all(contributions[places[k], i] != 0.0 for k, i in pairs):
            reached = np.zeros(sums)
            for k, i in pairs:
                reached[k] += contributions[places[k], i]
            expected[sum(k * (sums + 1) ** place for place, k in enumerate(choice))] = reached
    assert sorted(codes.tolist()) == sorted(expected)
    for code, vector in zip(codes.tolist(), vectors, strict=True):
        np.testing.assert_allclose(vector, expected[code], atol=1e-15)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_pair_of_vectors_is_nearer(width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.uniform(-1, 1, (40, width)), random.uniform(-1, 1, (50, width))
    other = other[np.argsort(other[:, 0])]
    goal = random.uniform(-1, 1, width)
    free = (np.zeros(40), np.zeros(50))
    distances = np.square(one[:, None, :] + other[None, :, :] - goal).sum(axis=2)
    i, j, visited = nearest_join(one, other, goal, free, 0.0, 100.0)
    assert distances[i, j] == pytest.approx(distances.min(), rel=1e-12)
    assert 0 < visited <= distances.size
    assert nearest_join(one, other, goal, free, 0.0, 0.5 * float(distances.min()))[:2] == (-1, -1)
    i, j, visited = nearest_join(one, other, goal, free, 0.1, 100.0)
    assert distances[i, j] <= max(0.1, float(distances.min()) * (1 + 1e-12))


@pytest.mark.parametrize(("dimension", "width"), [(1, 12), (2, 30), (4, 60), (16, 150)])
def test_mending_keeps_the_books_and_repeats_by_seed(dimension: int, width: int) -> None:
    half = made(width, dimension, 1)
    contributions = np.concatenate([half, made(width, dimension, 2) * (half == 0.0)])
    target = np.random.default_rng(3).standard_normal(dimension)
    goals = np.concatenate([target, -target]) / np.linalg.norm(target)
    results = []
    for _ in range(2):
        owner, residuals = np.full(width, -1), -goals
        before = error_of(residuals)
        error = mend(contributions, goals, owner, residuals, 1e-3, 20_000_000, 1.0, np.random.default_rng(7))
        owned = owner[None, :] == np.arange(goals.size)[:, None]
        np.testing.assert_allclose(residuals, (contributions * owned).sum(axis=1) - goals, atol=1e-12)
        assert ((contributions * owned) != 0.0).sum() == (owner >= 0).sum()
        assert error == error_of(residuals) < 0.7 * before
        results.append(owner)
    assert (results[0] == results[1]).all()


def test_prices_count_the_neurons_that_serve() -> None:
    assert priced(np.array([0, 1, 2, 3, 4, 8]), 3, 0.5).tolist() == [0.0, 0.5, 0.5, 0.5, 1.0, 1.0]
    one, other = np.array([[0.0], [0.1]]), np.array([[0.0], [0.5]])
    assert nearest_join(one, other, np.array([0.6]), (np.zeros(2), np.zeros(2)), 0.0, 9.0)[:2] == (1, 1)
    assert nearest_join(one, other, np.array([0.6]), (np.array([0.0, 1.0]), np.array([0.0, 0.1])), 0.0, 9.0)[:2] == (
        0,
        1,
    )
