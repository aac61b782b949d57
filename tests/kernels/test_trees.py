"""Subsets by size: every list is what it says, and few values are found where brute force finds them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from prunegap.kernels.trees import chain, few_of_many, few_subsets, listed_few


def test_subsets_come_by_size_each_once_with_its_sum() -> None:
    values = np.random.default_rng(0).uniform(-1.0, 1.0, 9)
    sums, parents, choices = few_subsets(values, 1000)
    sets = [tuple(sorted(chain(parents, choices, entry).tolist())) for entry in range(sums.size)]
    assert len(set(sets)) == 2**9
    assert [len(kept) for kept in sets] == sorted(len(kept) for kept in sets)
    np.testing.assert_allclose(sums, [values[list(kept)].sum() for kept in sets], atol=1e-14)
    short = few_subsets(values, 40)
    np.testing.assert_array_equal(short[0], sums[:40])


def test_assignments_add_up_on_the_side_they_serve() -> None:
    random = np.random.default_rng(1)
    values, sides = random.uniform(-1.0, 1.0, (5, 2)), random.integers(0, 2, (5, 2))
    values[3, 1] = 0.0
    sums, parents, choices = listed_few(values, sides, 10_000)
    assert sums.shape == (3**4 * 2, 4)
    seen = set()
    for entry in range(sums.shape[0]):
        picked = chain(parents, choices, entry)
        neurons, inputs = picked // 2, picked % 2
        assert len(set(neurons.tolist())) == picked.size
        expected = np.zeros(4)
        np.add.at(expected, 2 * inputs + sides[neurons, inputs], values[neurons, inputs])
        np.testing.assert_allclose(sums[entry], expected, atol=1e-14)
        seen.add(tuple(sorted(picked.tolist())))
    assert len(seen) == sums.shape[0]


@pytest.mark.parametrize("size", [0, 1, 2, 6, 11])
def test_few_of_many_meets_what_brute_force_meets(size: int) -> None:
    random = np.random.default_rng(size)
    met_count = 0
    for _ in range(60):
        values, goal = random.uniform(-1.0, 1.0, size), float(random.uniform(-1.0, 1.0))
        tolerance = 0.5 * 0.5**size + 1e-3
        subsets = [part for k in range(size + 1) for part in combinations(range(size), k)]
        within = [part for part in subsets if abs(values[list(part)].sum() - goal) <= tolerance]
        chosen, met = few_of_many(values, goal, tolerance, 1 << 12)
        assert met == bool(within)
        met_count += met
        if met:
            assert tuple(sorted(chosen.tolist())) in within
    assert met_count > 0
    assert met_count < 60 or size < 2


def test_few_of_many_uses_few() -> None:
    random = np.random.default_rng(3)
    for count, tolerance, most in ((200, 1e-3, 3), (200, 1e-6, 6), (1000, 1e-9, 7), (44, 1e-9, 16)):
        values = random.uniform(-1.0, 1.0, count) * random.uniform(0.0, 1.0, count)
        chosen, met = few_of_many(values, 0.3, tolerance, 1 << 20)
        assert met
        assert abs(values[chosen].sum() - 0.3) <= tolerance * 1.001
        assert len(set(chosen.tolist())) == chosen.size <= most


def test_what_cannot_be_met_is_not() -> None:
    chosen, met = few_of_many(np.array([0.1, 0.2, 0.3]), 5.0, 1e-3, 1 << 10)
    assert not met
    assert chosen.size == 0
