"""A sum met by few values: compiled, interpreted and brute force agree."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from prunegap.kernels.few import nearest_few, nearest_pair


def least_error(values: np.ndarray, goal: float, most: int) -> float:
    sizes = range(most + 1)
    return min(
        abs(values[list(some)].sum() - goal) for size in sizes for some in combinations(range(values.size), size)
    )


@pytest.mark.parametrize("goal", [0.0, 0.3, -0.7, 1.9, 50.0])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 12])
def test_nothing_of_up_to_four_values_is_nearer(goal: float, count: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).uniform(-1.0, 1.0, count)
        chosen = nearest_few(values, goal, 0.0)
        assert len(set(chosen.tolist())) == chosen.size <= 4
        assert abs(values[chosen].sum() - goal) == pytest.approx(least_error(values, goal, 4), abs=1e-15)
        assert (chosen == nearest_few.py_func(values, goal, 0.0)).all()


@pytest.mark.parametrize("tolerance", [0.3, 1e-2, 1e-3])
def test_fewest_values_within_the_tolerance_are_taken(tolerance: float) -> None:
    for seed in range(20):
        random = np.random.default_rng(seed)
        values, goal = random.uniform(-1.0, 1.0, 40), float(random.uniform(-1.0, 1.0))
        chosen = nearest_few(values, goal, tolerance)
        assert abs(values[chosen].sum() - goal) <= tolerance
        if chosen.size:
            assert least_error(values, goal, int(chosen.size) - 1) > tolerance


def test_a_pair_begins_where_it_may() -> None:
    ranked = np.array([0.0, 1.0, 2.0, 3.0])
    assert nearest_pair(ranked, 1, 1.0) == (1, 2)
    assert nearest_pair(ranked, 3, 1.0) == (-1, -1)
