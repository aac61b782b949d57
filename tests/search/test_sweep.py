"""The plane sweep against brute force and against the 0-1 program, just above and just below the least error."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import least_error
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import sweep
from prunegap.search.base import Budget, Search
from prunegap.search.climb import NeuronClimb
from prunegap.search.plane import Circle
from prunegap.search.program import ZeroOneProgram
from prunegap.search.ring import Ring
from prunegap.search.sweep import PlaneSweep
from prunegap.search.thinned import thinned

FIRST, LAST = map(int, os.environ.get("PRUNEGAP_SWEEP_SEEDS", "0-59").split("-"))
SEEDS = range(FIRST, LAST + 1)
"""More of the same: PRUNEGAP_SWEEP_SEEDS=60-899 pytest tests/search/test_sweep.py -k least_error"""

PLANE: tuple[Search, ...] = (PlaneSweep(), NeuronClimb())
"""The exact searches of the plane, which share no bound: what each of them proves is asked of both."""

Maker = Callable[[np.random.Generator, int], Network]


def spread(generator: np.random.Generator, width: int) -> Network:
    return Network(generator.uniform(-1, 1, (width, 2)), generator.uniform(-1, 1, width))


def clustered(generator: np.random.Generator, width: int) -> Network:
    """Kinks in a few tight groups of both signs: the shape of real tickets."""
    centres = generator.uniform(-np.pi, np.pi, 3)
    angles = centres[generator.integers(0, 3, width)] + 0.02 * generator.standard_normal(width)
    return Network(np.stack([np.cos(angles), np.sin(angles)], axis=1), generator.uniform(-1, 1, width))


def degenerate(generator: np.random.Generator, width: int) -> Network:
    """Duplicate neurons, zero rows, v = 0, rows parallel to each other, to the target and to its opposite."""
    weights, outputs = generator.uniform(-1, 1, (width, 2)), generator.uniform(-1, 1, width)
    weights[0], weights[1] = (0.5, 0.0), (-0.25, 0.0)
    weights[2], outputs[3] = 0.0, 0.0
    weights[4] = -2.0 * weights[5]
    weights[6], outputs[6] = weights[5], outputs[5]
    return Network(weights, outputs)


def at_the_ends(generator: np.random.Generator, width: int) -> Network:
    """Half the kinks where the target is below epsilon (target along the first axis), in pairs that can cancel."""
    directions = generator.choice((0.0, np.pi), width) + 0.25 * generator.uniform(-1, 1, width)
    directions[width // 2 :] = generator.uniform(-np.pi, np.pi, width - width // 2)
    lengths = generator.uniform(0.5, 3.0, width)
    return Network(
        lengths[:, None] * np.stack([np.cos(directions), np.sin(directions)], axis=1), generator.uniform(-1, 1, width)
    )


def cancelling(generator: np.random.Generator, width: int) -> Network:
    """Pairs of strong neurons of one direction that nearly cancel: sums a thousand times the target's."""
    angles = np.repeat(generator.uniform(-np.pi, np.pi, (width + 1) // 2), 2)[:width]
    strong = np.repeat(1000.0 * generator.uniform(0.5, 1.0, (width + 1) // 2), 2)[:width]
    outputs = np.where(np.arange(width) % 2, -1.0, 1.0) * strong + generator.uniform(-1, 1, width)
    return Network(np.stack([np.cos(angles), np.sin(angles)], axis=1), outputs)


MAKERS: dict[str, Maker] = {
    "spread": spread,
    "clustered": clustered,
    "degenerate": degenerate,
    "ends": at_the_ends,
    "cancelling": cancelling,
}


def made(maker: str, seed: int, width: int, readout: Readout) -> Problem:
    generator = np.random.default_rng([seed, 7])
    target = np.array([1.0, 0.0]) if maker in ("degenerate", "ends") else generator.standard_normal(2)
    return Problem(MAKERS[maker](generator, width), target, 1.0, Neuron(), readout)


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("maker", MAKERS)
def test_found_just_above_and_impossible_just_below_the_least_error(maker: str, readout: Readout) -> None:
    asked = 0
    for seed in SEEDS:
        problem = made(maker, seed, 7 + seed % 4, readout)
        least = least_error(problem)
        above = replace(problem, epsilon=least.upper * (1 + 1e-7))
        below = replace(problem, epsilon=least.lower * (1 - 1e-7))
        if PLANE[0].refusal(above) or PLANE[0].refusal(below):
            continue
        asked += 1
        for search in PLANE:
            assert search.search(above).status is Status.FOUND, (search.name, seed)
            assert search.search(below).status is Status.IMPOSSIBLE, (search.name, seed)
    assert asked >= 20


@pytest.mark.parametrize("start", range(9))
def test_it_does_not_matter_where_a_linear_readout_is_cut_open(start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ring, "best_start", lambda ring, seed: start % ring.line.angles.size)
    for maker in MAKERS:
        for seed in range(3):
            problem = made(maker, seed, 8, Readout.LINEAR)
            least = least_error(problem)
            above = replace(problem, epsilon=least.upper * (1 + 1e-7))
            below = replace(problem, epsilon=least.lower * (1 - 1e-7))
            if PLANE[0].refusal(above) is None and PLANE[0].refusal(below) is None:
                assert PLANE[0].search(above).status is Status.FOUND, (maker, seed)
                assert PLANE[0].search(below).status is Status.IMPOSSIBLE, (maker, seed)


@pytest.mark.parametrize("thin", [10.0, 1e6])
def test_neuron_by_neuron_and_among_a_few_of_them_first(thin: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each width keeps its last neuron then, and parts are asked before the whole is."""
    for name, value in (("CHEAP_NODES", 0.0), ("DEAR_NODES", 0.0), ("LEAST_NODES", 1000), ("GROWTH", 0.5)):
        monkeypatch.setattr(sweep, name, value)
    monkeypatch.setattr(sweep, "ARC_NODES", thin)
    for epsilon, seed in ((0.2, 3), (0.2, 4), (0.1, 4)):
        problem = Problem.from_draw(Draw(2, seed), 100, epsilon, Neuron(), Readout.LINEAR)
        one, other = (search.search(problem) for search in PLANE)
        assert (one.impossible_width, one.ticket_width) == (other.impossible_width, other.ticket_width)


def test_a_part_keeps_the_last_neuron_and_those_near_the_target_kink() -> None:
    problem = Problem.from_draw(Draw(2, 3), 150, 0.02, Neuron(), Readout.LINEAR)
    part = thinned(problem, 149, 10.0, 0, lambda part: bool(np.count_nonzero(part.network.outputs) <= 60))
    left = np.flatnonzero(part.network.outputs)
    flat = Circle.of(problem)
    near = flat.neurons[np.pi / 2 - np.abs(flat.angles) < 10.0 * flat.tube]
    assert left.size == 60
    assert np.isin(np.append(near, 149), left).all()
    assert np.array_equal(part.network.outputs[left], problem.network.outputs[left])
    others = thinned(problem, 149, 10.0, 1, lambda part: bool(np.count_nonzero(part.network.outputs) <= 60))
    assert not np.array_equal(part.network.outputs, others.network.outputs)


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("initialisation", list(Initialisation))
def test_agrees_with_the_program_on_the_least_width(readout: Readout, initialisation: Initialisation) -> None:
    for seed in range(3):
        draw = Draw(2, seed, initialisation)
        outcome = PlaneSweep().search(Problem.from_draw(draw, 200, 0.06, Neuron(), readout))
        width = outcome.ticket_width
        assert width is not None
        assert outcome.impossible_width == width - 1
        narrower = Problem.from_draw(draw, width - 1, 0.06, Neuron(), readout)
        assert ZeroOneProgram().search(narrower, Budget(seconds=60.0)).status is Status.IMPOSSIBLE


@pytest.mark.parametrize("epsilon", [0.02, 0.01])
def test_two_workers_find_the_same_least_width(epsilon: float) -> None:
    problem = Problem.from_draw(Draw(2, 1), 120, epsilon, Neuron())
    one, two = (PlaneSweep().search(problem, Budget(workers=workers)) for workers in (1, 2))
    assert (one.impossible_width, one.ticket_width) == (two.impossible_width, two.ticket_width)
    again = PlaneSweep().search(problem)
    assert one.mask is not None
    assert again.mask is not None
    assert np.array_equal(one.mask.kept_weights, again.mask.kept_weights)


def test_a_stored_half_that_outgrows_its_memory_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem.from_draw(Draw(2, 3), 60, 0.02, Neuron())
    whole = PlaneSweep().search(problem)
    monkeypatch.setattr(sweep, "STORED_BYTES", 1.0)
    monkeypatch.setattr(sweep, "CHUNK_LEAVES", 512)
    parts = PlaneSweep().search(problem)
    assert (whole.impossible_width, whole.ticket_width) == (43, 44)
    assert (parts.impossible_width, parts.ticket_width) == (43, 44)


def test_running_out_of_time_keeps_what_was_proven() -> None:
    problem = Problem.from_draw(Draw(2, 0), 2000, 0.0005, Neuron())
    outcome = PlaneSweep().search(problem, Budget(seconds=2.0))
    assert outcome.status is Status.UNDECIDED
    assert 0 < outcome.impossible_width < 2000


@pytest.mark.parametrize("width", [0, 1, 2])
def test_hardly_any_neurons(width: int) -> None:
    outcome = PlaneSweep().search(Problem.from_draw(Draw(2, 0), width, 0.1, Neuron()))
    assert outcome.status is Status.IMPOSSIBLE


def test_a_copy_of_the_target_is_a_ticket_of_width_one() -> None:
    network = Network([[3.0, 4.0], [1.0, 0.2]], [0.2, 0.5])
    outcome = PlaneSweep().search(Problem(network, [3.0 / 5, 4.0 / 5], 1e-6, Neuron()))
    assert (outcome.impossible_width, outcome.ticket_width) == (0, 1)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem.from_draw(Draw(3, 0), 5, 0.1, Neuron()), "dimension 2"),
        (Problem.from_draw(Draw(2, 0), 5, 0.1, Weight()), "granularity neuron"),
        (Problem.from_draw(Draw(2, 0), 5, 0.95, Neuron()), "0.9"),
        (Problem(Network([[1e9, 1.0]], [1e9]), [1.0, 0.0], 1e-3, Neuron()), "double precision"),
    ],
)
def test_refuses_what_it_cannot_prove(problem: Problem, words: str) -> None:
    assert words in (PlaneSweep().refusal(problem) or "")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(*[st.sampled_from((-1.0, -0.5, 0.0, 0.25, 1.0))] * 3), min_size=1, max_size=7),
    st.sampled_from(list(Readout)),
)
def test_small_grids_of_weights(rows: list[tuple[float, float, float]], readout: Readout) -> None:
    table = np.array(rows)
    problem = Problem(Network(table[:, :2], table[:, 2]), np.array([1.0, 0.5]), 1.0, Neuron(), readout)
    least = least_error(problem)
    for epsilon, status in ((least.upper + 1e-6, Status.FOUND), (least.lower - 1e-6, Status.IMPOSSIBLE)):
        asked = replace(problem, epsilon=max(epsilon, 1e-9))
        if epsilon > 0 and PlaneSweep().refusal(asked) is None:
            assert PlaneSweep().search(asked).status is status
