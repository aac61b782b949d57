"""One input: the narrowest ticket against brute force, at every granularity and readout, down to epsilon = 1e-9."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.line import LineSums
from prunegap.search.program import ZeroOneProgram


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("name", ["weight", "neuron", "block:1", "1:2"])
def test_it_agrees_with_brute_force(name: str, readout: Readout) -> None:
    for seed in range(6):
        problem = Problem.from_draw(Draw(1, seed), 7, 0.5, parse_granularity(name), readout)
        least = least_error(problem.plain)
        for epsilon, status in (
            (least.upper * (1 + 1e-9), Status.FOUND),
            (least.lower * (1 - 1e-9), Status.IMPOSSIBLE),
        ):
            if epsilon > 0.0:
                assert LineSums().search(replace(problem, epsilon=epsilon)).status is status


def test_the_narrowest_width_is_that_of_the_program() -> None:
    for seed in range(3):
        for epsilon in (0.3, 0.01, 1e-4):
            problem = Problem.from_draw(Draw(1, seed), 60, epsilon, parse_granularity("weight"))
            outcome = LineSums().search(problem)
            assert outcome.ticket_width == outcome.impossible_width + 1
            below = ZeroOneProgram().search(problem.prefix(outcome.impossible_width), Budget(30.0))
            assert below.status is Status.IMPOSSIBLE


@pytest.mark.parametrize("init", list(Initialisation))
def test_small_epsilon_is_closed(init: Initialisation) -> None:
    for seed in range(6):
        problem = Problem.from_draw(Draw(1, seed, init), 4096, 1e-9, parse_granularity("neuron"))
        outcome = LineSums().search(problem)
        assert outcome.ticket_width == outcome.impossible_width + 1
        assert outcome.ticket_width < 90


def test_beyond_the_exact_limit_a_ticket_is_found_and_the_interval_is_left_open() -> None:
    # Values that are multiples of 1/8 but the last: no subset of the first 60 is near the target.
    random = np.random.default_rng(0)
    outputs = np.concatenate([random.integers(1, 4, 60) / 64.0, [0.1, 0.55 - 0.1 + 0.01 - 0.01]])
    problem = Problem(Network(np.ones((62, 1)), outputs), np.array([0.55]), 1e-6, parse_granularity("weight"))
    outcome = LineSums().search(problem)
    assert outcome.ticket_width == 62
    assert outcome.impossible_width == 44


def test_what_cannot_be_is_impossible_or_left_open() -> None:
    negative = Network(-np.ones((9, 1)), np.ones(9))
    problem = Problem(negative, np.array([0.5]), 0.1, parse_granularity("weight"))
    assert LineSums().search(problem).status is Status.IMPOSSIBLE
    assert LineSums().search(replace(problem, epsilon=0.5)).ticket_width == 0
    drawn = Problem.from_draw(Draw(1, 0), 80, 1e-9, parse_granularity("weight"))
    assert LineSums().search(drawn, Budget(1e-9)).status is Status.UNDECIDED
    assert "dimension" in str(LineSums().refusal(Problem.from_draw(Draw(2, 0), 5, 0.1, parse_granularity("weight"))))
