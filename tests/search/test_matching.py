"""Single neurons matched to sums: no neuron twice, the budget kept, and as few neurons as brute force needs."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.search.matching import ALONE, PAIR, match_singles


def squares_left(contributions: np.ndarray, goals: np.ndarray, found: np.ndarray) -> float:
    left = [goals[s] - (contributions[s, i] if i >= 0 else 0.0) for s, i in enumerate(found) if i != PAIR]
    return float(np.square(left).sum())


@pytest.mark.parametrize("budget", [1e-4, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("width", [0, 1, 5, 60])
def test_the_budget_is_kept_and_no_neuron_serves_twice(budget: float, width: int) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        contributions, goals = random.uniform(-1, 1, (8, width)), random.uniform(-1, 1, 8)
        found = match_singles(contributions, goals, budget)
        singles = found[found >= 0]
        assert len(set(singles.tolist())) == singles.size
        assert squares_left(contributions, goals, found) <= budget


def test_small_goals_are_left_alone() -> None:
    contributions, goals = np.array([[0.9, 0.5]] * 3), np.array([1e-3, 0.9, -1e-3])
    assert match_singles(contributions, goals, 1e-4).tolist() == [ALONE, 0, ALONE]


def test_rivals_give_way() -> None:
    # Each neuron is nearest to the first sum, but only one of them fits the second.
    contributions, goals = np.array([[0.5, 0.51], [0.3, 0.9]]), np.array([0.5, 0.3])
    assert match_singles(contributions, goals, 1e-3).tolist() == [1, 0]
