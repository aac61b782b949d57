"""Sums met stage by stage: what is taken is a ticket, at any epsilon, in far fewer neurons than blocks take."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.kernels.joint import error_of
from prunegap.model.draw import Draw
from prunegap.model.granularity import Weight
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.assignment import Assignment
from prunegap.search.base import Budget, Deadline
from prunegap.search.separable import SeparableSearch
from prunegap.search.staged import MOST_PAIRED, Stages


def problem_of(dimension: int, epsilon: float, seed: int, width: int) -> Problem:
    return Problem.from_draw(Draw(dimension, seed), width, epsilon, Weight())


@pytest.mark.parametrize(
    ("dimension", "epsilon", "width"),
    [(1, 1e-9, 90), (2, 1e-9, 100), (3, 1e-4, 60), (4, 1e-2, 40), (4, 1e-4, 60), (5, 1e-3, 70), (8, 1e-9, 200)],
)
def test_a_ticket_is_found_near_the_count_of_assignments(dimension: int, epsilon: float, width: int) -> None:
    """The estimate 2 d log(1/epsilon) / log(d + 1) and the mass take most of these widths; blocks twice as much."""
    for seed in range(3):
        problem = problem_of(dimension, epsilon, seed, width)
        outcome = SeparableSearch().search(problem, Budget(60.0))
        assert outcome.status is Status.FOUND
        assert outcome.mask is not None
        assert outcome.mask.kept_weights.sum(axis=1).max() == 1


@pytest.mark.parametrize(("dimension", "epsilon", "width"), [(3, 1e-3, 45), (4, 1e-3, 55), (5, 1e-2, 45)])
def test_pairs_alone_meet_every_sum_that_they_say(dimension: int, epsilon: float, width: int) -> None:
    found = 0
    for seed in range(4):
        assignment = Assignment(problem_of(dimension, epsilon, seed, width), seed)
        stages = Stages(assignment)
        for state in stages._by_pairs(Deadline(Budget(60.0))):
            assert state.met.all()
            residuals = -assignment.goals
            for neuron in np.flatnonzero(state.owner >= 0):
                residuals[state.owner[neuron]] += assignment.contributions[state.owner[neuron], neuron]
                assert assignment.contributions[state.owner[neuron], neuron] != 0.0
            np.testing.assert_allclose(residuals, state.residuals, atol=1e-12)
            if stages._taken(state):
                found += 1
                certificate = certify(problem_of(dimension, epsilon, seed, width), assignment.mask())
                assert certificate.proves(epsilon)
                break
    assert found > 1


def test_what_is_left_of_epsilon_is_what_a_residual_may_add() -> None:
    assignment = Assignment(problem_of(3, 1e-2, 0, 30), 0)
    stages = Stages(assignment)
    state = stages._after(stages._nothing(), [0, 1], Deadline(Budget()))
    below, above = stages._left(state)
    for side, reach in ((-1.0, below), (1.0, above)):
        residuals = np.where(np.tile(state.met, 2), state.residuals, 0.0)
        residuals[2] = side * reach
        residuals[5] = 0.0
        assert float(error_of(residuals)) <= assignment.epsilon * (1.0 + 1e-9)
        spent = max(assignment.epsilon**2 - below**2, assignment.epsilon**2 - above**2)
        assert 0.0 < spent < assignment.epsilon**2
    # The wider of the two is reached exactly: nothing of epsilon is left after it.
    residuals[2] = above if above <= below else -below
    assert float(error_of(residuals)) == pytest.approx(assignment.epsilon, rel=1e-9)


class Ticks(Deadline):
    """A deadline that counts how often it is asked, and expires at one of these."""

    def __init__(self, most: int) -> None:
        super().__init__(Budget())
        self.asked, self.most = 0, most

    @property
    def expired(self) -> bool:
        self.asked += 1
        return self.asked > self.most


@pytest.mark.parametrize(("dimension", "epsilon"), [(4, 1e-3), (64, 1e-9)])
def test_it_ends_within_a_stage_of_the_deadline(dimension: int, epsilon: float) -> None:
    """A width at which nothing can be found: the clock is asked at every stage, and the first refusal ends it."""
    width = math.ceil(0.8 * dimension) + 12
    for most in (0, 1, 5):
        deadline = Ticks(most)
        assert not Stages(Assignment(problem_of(dimension, epsilon, 0, width), 0)).meet(deadline)
        assert deadline.asked <= most + 8


def test_pairs_are_for_few_inputs_and_wide_tolerances() -> None:
    assert Stages(Assignment(problem_of(4, 1e-3, 0, 20), 0)).paired
    assert not Stages(Assignment(problem_of(4, 1e-6, 0, 20), 0)).paired
    assert not Stages(Assignment(problem_of(MOST_PAIRED + 1, 1e-3, 0, 20), 0)).paired
