"""The climb beyond the plane against brute force, planted tickets and the 0-1 program."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error, least_width
from prunegap.kernels.branch import IMPOSSIBLE, SOLUTION
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import climb_windows, hunt
from prunegap.search.base import Budget
from prunegap.search.climb_ball import NeuronClimbBall
from prunegap.search.climb_windows import Stage
from prunegap.search.program import Columns, ZeroOneProgram
from prunegap.search.stencils import FEW
from prunegap.search.window_rows import Integers, Pool, Walk

FIRST, LAST = map(int, os.environ.get("PRUNEGAP_BALL_SEEDS", "0-3").split("-"))
SEEDS = range(FIRST, LAST + 1)
"""More of the same: PRUNEGAP_BALL_SEEDS=4-99 pytest tests/search/test_climb_ball.py -k least_error"""

CLIMB = NeuronClimbBall()


def made(dimension: int, seed: int, width: int, readout: Readout, shape: str) -> Problem:
    """Return a problem whose neurons are spread, gather around few kinks, or coincide, vanish and line up."""
    random = np.random.default_rng([seed, dimension, 13])
    weights, outputs = random.uniform(-1, 1, (width, dimension)), random.uniform(-1, 1, width)
    target = random.standard_normal(dimension)
    if shape == "gathered":
        centres = np.concatenate([target[None], random.standard_normal((2, dimension))])
        weights = centres[random.integers(0, 3, width)] + 0.05 * random.standard_normal((width, dimension))
    if shape == "degenerate":
        weights[0], weights[1], weights[2], outputs[3] = 0.5 * target, -0.25 * target, 0.0, 0.0
        weights[4] = -2.0 * weights[5]
    return Problem(Network(weights, outputs), target, 1.0, Neuron(), readout)


def around(problem: Problem) -> tuple[Problem, Problem]:
    """Return the problem a ten-millionth above and below the least error of all its masks."""
    least = least_error(problem)
    return replace(problem, epsilon=least.upper * (1 + 1e-7)), replace(problem, epsilon=least.lower * (1 - 1e-7))


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("shape", ["spread", "gathered", "degenerate"])
@pytest.mark.parametrize("dimension", [3, 4])
def test_found_just_above_and_impossible_just_below_the_least_error(
    dimension: int, shape: str, readout: Readout
) -> None:
    for seed in SEEDS:
        above, below = around(made(dimension, seed, 7 + seed % 3, readout, shape))
        found = CLIMB.search(above)
        assert found.status is Status.FOUND, seed
        # At d = 4 a certificate may stop before it has settled a candidate: seeds 4 and up have such ones.
        assert found.ticket_width == found.impossible_width + 1 or "too close" in found.reason
        assert CLIMB.search(below).status is Status.IMPOSSIBLE, seed


@pytest.mark.parametrize(("last", "elsewhere"), [(3, 0.0), (1_000_000, 0.0), (3, 0.7), (3, 1e9)])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("shape", ["spread", "gathered"])
def test_rows_and_tickets_come_in_the_middle_of_a_walk_without_a_choice_lost(
    shape: str, workers: int, last: int, elsewhere: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the trials begin again after every few nodes, and where tickets come from a hunt."""
    monkeypatch.setattr(hunt, "CLIMB_COST", 0)
    monkeypatch.setattr(hunt, "FIRST_NODES", 2)
    monkeypatch.setattr(climb_windows, "ELSEWHERE", elsewhere)
    stages = (
        Stage(FEW, None, None, 2),
        Stage(None, None, 16, 2),
        Stage(FEW, None, None, 2),
        Stage(None, 40, 16, 4),
        Stage(None, 32, 16, last),
        Stage(None, None, 16, 2),
    )
    values = {"STAGES": stages, "CHUNK_NODES": 1, "PATIENCE": 1, "FIRST_WINDOW": 6, "FIRST_WIDTH": 3, "STEP": 2}
    for name, value in values.items():
        monkeypatch.setattr(climb_windows, name, value)
    for seed in SEEDS:
        above, below = around(made(3, seed, 9, Readout.RELU, shape))
        found = CLIMB.search(above, Budget(workers=workers))
        assert found.status is Status.FOUND, seed
        assert found.ticket_width == least_width(above) == found.impossible_width + 1
        again = CLIMB.search(above, Budget(workers=workers))
        assert (found.nodes, found.reason) == (again.nodes, again.reason)
        assert CLIMB.search(below, Budget(workers=workers)).status is Status.IMPOSSIBLE, seed


def loose(wider: float) -> Pool:
    """Return the rows of nine neurons at `wider` times their least error, all of them new."""
    problem = made(3, 2, 9, Readout.RELU, "spread")
    problem = replace(problem, epsilon=wider * least_error(problem).upper)
    pool = Pool(problem, Columns.of(problem), 0, np.zeros((0, 3)), FEW, 0)
    assert pool.size > 200
    return pool


def meeting(pool: Pool, rows: Integers) -> set[tuple[int, ...]]:
    """Return those of the 2^9 choices that meet the rows."""
    choices = (np.arange(2**9)[:, None] >> np.arange(9)) & 1
    sums = choices @ pool.steps[:, rows].astype(np.int64)
    meets = ((sums <= pool.above[rows]) & (-sums <= pool.below[rows])).all(axis=1)
    return {tuple(np.flatnonzero(choice)) for choice in choices[meets]}


@pytest.mark.parametrize("busy", [None, 16, 32])
@pytest.mark.parametrize("chosen", [7, 19, 64])
def test_a_walk_lists_the_choices_that_meet_its_rows_also_where_it_changes_rows(
    chosen: int, busy: int | None
) -> None:
    """A walk that is interrupted after every solution lists the same ones as brute force."""
    pool = loose(1.3)
    rows = np.random.default_rng(chosen).permutation(pool.size)[:chosen]
    seen, walk = [], Walk(pool.laid_out(rows), None, busy)
    while walk.advance(1 << 30) == SOLUTION:
        seen.append(tuple(walk.kept))
        walk.teach()
        walk = Walk(pool.laid_out(rows), walk, busy)
    assert len(seen) == len(set(seen))
    assert set(seen) == meeting(pool, rows) != set()


@pytest.mark.parametrize("below", [2, 3, 5, 6, 7, 8])
def test_a_walk_that_is_narrowed_lists_the_narrower_choices_that_are_left(below: int) -> None:
    """After any number of solutions, and in the middle of a branch."""
    pool = loose(2.0)
    for first in range(30):
        rows = np.arange(first % 5, pool.size, 3 + first % 5)
        seen, walk = [], Walk(pool.laid_out(rows))
        while len(seen) < first and walk.advance(1 << 30) == SOLUTION:
            seen.append(tuple(walk.kept))
        if walk.advance(1 + first % 5) == SOLUTION:
            seen.append(tuple(walk.kept))
        walk, left = Walk(pool.laid_out(rows), walk, None, below), []
        while walk.advance(1 << 30) == SOLUTION:
            left.append(tuple(walk.kept))
        expected = {choice for choice in meeting(pool, rows) if max(choice, default=-1) < below}
        assert len(left) == len(set(left))
        assert set(left) == expected - set(seen), first


def test_the_rows_of_a_pool_ask_for_one_of_the_new_neurons() -> None:
    problem = replace(loose(2.0).problem, epsilon=0.6)
    everything = Pool(problem, Columns.of(problem), 0, np.zeros((0, 3)), FEW, 0)
    pool = Pool(problem, Columns.of(problem), 7, np.zeros((0, 3)), FEW, 0)
    assert pool.busiest(1) == [0]
    choices = meeting(everything, np.arange(everything.size))
    newer = {choice for choice in choices if max(choice) >= 7}
    assert meeting(pool, np.arange(pool.size)) == newer
    assert 0 < len(newer) < len(choices)


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_walks_that_are_split_list_the_same_choices(chunk: int) -> None:
    """Whatever is split off, and whenever: every choice that meets the rows is listed once, by one of the walks."""
    pool = loose(1.3)
    rows = np.arange(0, pool.size, 3)
    seen, walks, most = [], [Walk(pool.laid_out(rows), None, 16)], 1
    while walks:
        walk = walks.pop()
        verdict = walk.advance(chunk)
        if verdict == SOLUTION:
            seen.append(tuple(walk.kept))
        if verdict != IMPOSSIBLE:
            walks.append(walk)
            if (other := walk.split()) is not None:
                walks.append(other)
        most = max(most, len(walks))
    assert len(seen) == len(set(seen))
    assert set(seen) == meeting(pool, rows) != set()
    assert most > 1


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(("dimension", "epsilon"), [(3, 0.01), (4, 0.15)])
def test_a_planted_ticket_is_the_least_width(dimension: int, epsilon: float, readout: Readout) -> None:
    for seed in range(2):
        problem = Problem.from_draw(Draw(dimension, seed), 40, epsilon, Neuron(), readout)
        weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
        # No single neuron gives the target; these two together do.
        for neuron, part in ((11, 0.3), (28, 0.7)):
            weights[neuron], outputs[neuron] = 2.0 * problem.target, 0.5 * part
        planted = replace(problem, network=Network(weights, outputs))
        outcome = CLIMB.search(planted, Budget(60.0))
        assert (outcome.impossible_width, outcome.ticket_width) == (28, 29)


@pytest.mark.parametrize(
    ("dimension", "epsilon", "readout"),
    [(3, 0.2, Readout.RELU), (3, 0.4, Readout.LINEAR), (4, 0.5, Readout.RELU)],
)
def test_agrees_with_the_program_on_the_least_width(dimension: int, epsilon: float, readout: Readout) -> None:
    for seed in range(2):
        draw = Draw(dimension, seed)
        outcome = CLIMB.search(Problem.from_draw(draw, 200, epsilon, Neuron(), readout), Budget(60.0))
        width = outcome.ticket_width
        assert width is not None
        assert outcome.impossible_width == width - 1
        narrower = Problem.from_draw(draw, width - 1, epsilon, Neuron(), readout)
        assert ZeroOneProgram().search(narrower, Budget(60.0)).status is Status.IMPOSSIBLE


def test_it_repeats_by_seed() -> None:
    problem = Problem.from_draw(Draw(3, 4), 100, 0.1, Neuron())
    first, second = (CLIMB.search(problem).mask for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.least_width == 57
    assert (first.kept_weights == second.kept_weights).all()


def test_running_out_of_time_keeps_what_was_proven() -> None:
    outcome = CLIMB.search(Problem.from_draw(Draw(3, 0), 2000, 0.02, Neuron()), Budget(1.0))
    assert outcome.status is Status.UNDECIDED
    assert 0 < outcome.impossible_width < 2000
    assert "time limit" in outcome.reason


@pytest.mark.parametrize("width", [0, 1, 2])
def test_hardly_any_neurons(width: int) -> None:
    assert CLIMB.search(Problem.from_draw(Draw(3, 0), width, 0.1, Neuron())).status is Status.IMPOSSIBLE


def test_refuses_what_it_does_not_handle() -> None:
    assert "granularity" in (CLIMB.refusal(Problem.from_draw(Draw(3, 0), 5, 0.1, Weight())) or "")
    huge = Problem(Network(np.array([[1e200, 1.0, 0.0]]), np.ones(1)), np.eye(3)[0], 0.1, Neuron())
    assert "above" in (CLIMB.refusal(huge) or "")
