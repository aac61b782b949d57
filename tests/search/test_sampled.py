"""Climbs over samples: tickets of the whole network, where brute force has some and where they are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import sampled
from prunegap.search.base import Budget
from prunegap.search.sampled import SampledClimb


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_small_networks_are_sampled_whole(dimension: int, readout: Readout) -> None:
    for seed in range(3):
        problem = Problem.from_draw(Draw(dimension, seed), 7, 1.0, Neuron(), readout)
        least = least_error(problem)
        above = replace(problem, epsilon=1.0001 * least.upper)
        assert SampledClimb(1).search(above).status is Status.FOUND
        below = SampledClimb(1).search(replace(problem, epsilon=0.9999 * least.lower))
        assert below.status is Status.UNDECIDED
        assert "hold no ticket" in below.reason


def planted(width: int, seed: int) -> tuple[Problem, Mask]:
    """Return a network in which three neurons, somewhere, make a ticket, and no others are likely to."""
    problem = Problem.from_draw(Draw(3, seed), width, 1e-3, Neuron())
    random = np.random.default_rng(seed)
    weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
    places = np.sort(random.permutation(width)[:3])
    weights[places], outputs[places] = problem.target, (0.5, 0.3, 0.2)
    planted = replace(problem, network=Network(weights, outputs))
    return planted, Mask.of_neurons(places, width, 3)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_sample_that_holds_the_planted_neurons_gives_their_ticket(
    seed: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The neurons come back in their own places."""
    problem, mask = planted(30, seed)
    monkeypatch.setattr(sampled, "NODES", 1)
    monkeypatch.setattr(sampled, "FURTHER", 20)
    outcome = SampledClimb(60).search(problem, Budget(workers=workers))
    assert outcome.mask is not None
    np.testing.assert_array_equal(outcome.mask.alive, mask.alive)
    again = SampledClimb(60).search(problem, Budget(workers=workers))
    assert (again.nodes, again.reason) == (outcome.nodes, outcome.reason)


def test_it_stops_after_its_samples_and_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "NODES", 1)
    problem = Problem.from_draw(Draw(3, 0), 60, 0.01, Neuron())
    outcome = SampledClimb(3).search(problem)
    assert outcome.status is Status.UNDECIDED
    assert "3 samples" in outcome.reason
    assert SampledClimb().search(problem, Budget(1e-6)).status is Status.UNDECIDED


def test_it_handles_neurons_only() -> None:
    assert SampledClimb().refusal(Problem.from_draw(Draw(3, 0), 5, 0.1, Weight()))
    assert SampledClimb().refusal(Problem.from_draw(Draw(3, 0), 5, 0.1, Neuron())) is None
