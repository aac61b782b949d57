"""Hunts: tickets of the whole network, where brute force has some and where they are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error, least_width
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import climb_windows, hunt
from prunegap.search.base import Budget, Deadline
from prunegap.search.climb_ball import NeuronClimbBall
from prunegap.search.climb_windows import Climb
from prunegap.search.hunt import Hunt, TicketHunt, by_promise


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_small_networks_are_climbed_whole(dimension: int, readout: Readout) -> None:
    """Then the ticket found is the narrowest, and that there is none is proven."""
    for seed in range(3):
        problem = Problem.from_draw(Draw(dimension, seed), 7, 1.0, Neuron(), readout)
        least = least_error(problem)
        above = replace(problem, epsilon=1.0001 * least.upper)
        found = TicketHunt().search(above)
        assert found.status is Status.FOUND
        assert found.ticket_width == least_width(above) == found.impossible_width + 1
        assert TicketHunt().search(replace(problem, epsilon=0.9999 * least.lower)).status is Status.IMPOSSIBLE


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
def test_a_planted_ticket_is_found(seed: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The neurons come back in their own places, and a run repeats."""
    monkeypatch.setattr(hunt, "MOST_EFFORT", hunt.FIRST_NODES)
    problem, mask = planted(60, seed)
    outcome = TicketHunt().search(problem, Budget(workers=workers))
    assert outcome.mask is not None
    assert outcome.mask.alive[mask.alive].all()
    assert outcome.ticket_width == mask.least_width
    again = TicketHunt().search(problem, Budget(workers=workers))
    assert (again.nodes, again.reason) == (outcome.nodes, outcome.reason)


@pytest.mark.parametrize("weighing", [hunt.BALANCED, *hunt.OTHERS])
def test_near_kinks_and_weak_bends_come_first_and_dead_neurons_never(weighing: float) -> None:
    problem = Problem.from_draw(Draw(4, 3), 9, 0.1, Neuron())
    weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
    weights[4], outputs[4] = -problem.target, 1e-3
    weights[2], outputs[6] = 0.0, 0.0
    order = by_promise(replace(problem, network=Network(weights, outputs)), weighing)
    assert order[0] == 4
    assert sorted(order) == [0, 1, 3, 4, 5, 7, 8]


def test_every_look_narrows_the_ticket_or_asks_for_more() -> None:
    problem = Problem.from_draw(Draw(3, 4), 400, 0.1, Neuron())
    looking = Hunt(problem, Deadline(Budget()))
    widths = []
    while looking.width > 56:  # the least width is 57
        before, nodes = looking.width, looking.nodes
        assert (looking.look(0, looking.ticket) is not None) == (looking.width < before)
        assert looking.nodes > nodes
        widths.append(looking.width)
    assert looking.look(56, looking.ticket) is None
    assert widths == sorted(widths, reverse=True)
    assert looking.ticket is not None
    assert looking.ticket.least_width == 57


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("share", [0.0, 0.15, 100.0])
def test_a_climb_with_a_hunt_beside_it_finds_the_same_width(
    share: float, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the hunt comes often or never, in the middle of a question, with tickets wider than it asks for."""
    monkeypatch.setattr(climb_windows, "ELSEWHERE", share)
    monkeypatch.setattr(climb_windows, "CHUNK_NODES", 50)
    monkeypatch.setattr(hunt, "CLIMB_COST", 0)
    monkeypatch.setattr(hunt, "FIRST_NODES", 10)
    for seed, width in ((4, 57), (0, 64)):
        problem = Problem.from_draw(Draw(3, seed), 300, 0.1, Neuron())
        outcome = NeuronClimbBall().search(problem, Budget(workers=workers))
        assert (outcome.impossible_width, outcome.ticket_width) == (width - 1, width)


class Knows:
    """Others who have a ticket from the start."""

    nodes, proven = 0, 0

    def __init__(self, ticket: Mask, in_vain: bool) -> None:
        self.ticket, self.in_vain = ticket, in_vain

    def look(self, proven: int, ticket: Mask | None) -> Mask | None:
        return self.ticket if ticket is None else None


@pytest.mark.parametrize(("in_vain", "last_step"), [(True, 1000), (True, 12), (False, 1000)])
def test_all_below_a_ticket_is_one_question_where_nobody_expects_a_narrower_one(
    in_vain: bool, last_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(climb_windows, "LAST_STEP", last_step)
    problem = Problem.from_draw(Draw(3, 4), 300, 0.1, Neuron())
    looking = Hunt(problem, Deadline(Budget()))
    while looking.width > 58 or looking.ticket is None:
        looking.look(0, looking.ticket)
    climb = Climb(problem, Deadline(Budget()), elsewhere=Knows(looking.ticket, in_vain))
    steps: list[int] = []
    refused = climb.refused

    def told(width: int) -> None:
        steps.append(width - climb.proven)
        refused(width)

    monkeypatch.setattr(climb, "refused", told)
    climb.run()
    assert (climb.proven, climb.end) == (56, 56)
    allowed = climb_windows.LAST_STEP if in_vain else climb_windows.STEP
    assert all(step <= allowed for step in steps[1:])  # the first question is FIRST_WIDTH neurons wide
    assert max(steps[1:]) > climb_windows.STEP or not in_vain


def test_a_hunt_says_when_it_has_tried_all_widths_and_takes_it_back_with_a_ticket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hunt, "FIRST_NODES", 10)
    looking = Hunt(Problem.from_draw(Draw(3, 4), 400, 0.1, Neuron()), Deadline(Budget()))
    said = [False]
    while looking.width > 56:  # the least width is 57
        found = looking.look(40, looking.ticket)
        assert found is None or not looking.in_vain
        if looking.in_vain != said[-1]:
            said.append(looking.in_vain)
    assert True in said
    assert not said[-1]


def test_running_out_of_time_leaves_both_ends() -> None:
    """d = 3, epsilon 0.05, seed 7 takes minutes; its first ticket seconds."""
    problem = Problem.from_draw(Draw(3, 7), 2000, 0.05, Neuron())
    outcome = NeuronClimbBall().search(problem, Budget(8.0))
    assert outcome.status is Status.FOUND
    assert outcome.ticket_width is not None
    assert 0 < outcome.impossible_width < outcome.ticket_width - 1


def test_a_network_without_a_living_neuron_holds_no_ticket() -> None:
    problem = Problem(Network(np.zeros((5, 3)), np.ones(5)), np.eye(3)[0], 0.1, Neuron())
    assert TicketHunt().search(problem).impossible_width == 5


def test_it_stops_at_its_limit() -> None:
    problem = Problem.from_draw(Draw(3, 0), 60, 0.01, Neuron())
    assert TicketHunt().search(problem, Budget(1e-6)).status is Status.UNDECIDED


def test_it_handles_neurons_only() -> None:
    assert TicketHunt().refusal(Problem.from_draw(Draw(3, 0), 5, 0.1, Weight()))
    assert TicketHunt().refusal(Problem.from_draw(Draw(3, 0), 5, 0.1, Neuron())) is None
