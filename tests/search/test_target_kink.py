"""The bound from the target's kink: below every least error, of the order 1 / epsilon, and told where it holds."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.model.draw import Draw
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.target_kink import TargetKink, width_without_kinks


def linear_problem(dimension: int, seed: int, width: int, epsilon: float, granularity: str = "weight") -> Problem:
    return Problem.from_draw(Draw(dimension, seed), width, epsilon, parse_granularity(granularity), Readout.LINEAR)


@pytest.mark.parametrize(
    ("dimension", "granularity", "width"), [(2, "weight", 5), (2, "neuron", 8), (3, "neuron", 6)]
)
def test_it_excludes_nothing_that_brute_force_finds(dimension: int, granularity: str, width: int) -> None:
    told = 0
    for seed in range(12):
        problem = linear_problem(dimension, seed, width, 0.5, granularity)
        # One row is the target's, but for little: then small errors are within reach.
        weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
        weights[2] = problem.target + 0.03 * weights[2]
        outputs[2] = 1.0 + 0.02 * outputs[2]
        problem = replace(problem, network=Network(weights, outputs))
        least = least_error(problem)
        assert width_without_kinks(replace(problem, epsilon=least.upper * (1.0 + 1e-9))) < least.mask.least_width
        told += width_without_kinks(replace(problem, epsilon=0.1 * least.lower)) == width
    assert told > 3


@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_it_grows_as_one_over_epsilon(granularity: str) -> None:
    widths = [
        statistics.median(
            width_without_kinks(linear_problem(2, seed, int(20 / epsilon), epsilon, granularity)) for seed in range(9)
        )
        for epsilon in (0.01, 0.001)
    ]
    assert 3.0 < widths[1] / widths[0] < 30.0
    assert widths[1] > 300


def test_a_row_on_the_target_lifts_the_bound() -> None:
    network = Network([[1.0, 0.2], [0.6, 0.8]], [0.4, 1.0])
    problem = Problem(network, [0.6, 0.8], 1e-3, parse_granularity("neuron"), Readout.LINEAR)
    assert width_without_kinks(problem) == 1
    assert TargetKink().search(problem.prefix(1)).status is Status.IMPOSSIBLE
    assert TargetKink().search(problem).status is Status.UNDECIDED


def test_nothing_is_excluded_at_width_zero_where_the_empty_ticket_will_do() -> None:
    assert TargetKink().search(linear_problem(2, 0, 0, 1.5)).status is not Status.IMPOSSIBLE
    assert TargetKink().search(linear_problem(2, 0, 0, 0.5)).status is Status.IMPOSSIBLE
    assert width_without_kinks(replace(linear_problem(2, 0, 3, 0.5), epsilon=1.5)) == -1


def test_what_it_cannot_do_is_refused() -> None:
    problem = linear_problem(2, 0, 5, 0.1)
    assert "relu" in str(TargetKink().refusal(replace(problem, readout=Readout.RELU)))
    assert "one input" in str(TargetKink().refusal(linear_problem(1, 0, 5, 0.1)))
    assert "supports" in str(TargetKink().refusal(linear_problem(20, 0, 5, 0.1)))
    assert np.isfinite(width_without_kinks(problem))
