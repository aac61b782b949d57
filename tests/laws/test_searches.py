"""Laws of every search, over granularities, readouts and dimensions: brute force never disagrees."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from oracles import LeastError, least_error
from prunegap.model.draw import Draw
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Outcome, Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.registry import SEARCHES, choose

SEEDS = (0, 1, 2)
CASES = [
    # dimension, granularity, width: brute force goes through (supports + 1)^width masks.
    (1, "weight", 8),
    (1, "neuron", 8),
    (2, "weight", 5),
    (2, "neuron", 8),
    (2, "1:2", 6),
    (2, "block:2", 8),
    (3, "weight", 3),
    (3, "neuron", 7),
    (3, "1:2", 3),
    (3, "block:2", 4),
]
EXACT = [
    name
    for name in SEARCHES
    if name
    not in (
        "separable", "local", "hunt", "fractional", "slices", "planes", "block-scout", "signs",
        "fine", "target-kink",
    )
]  # fmt: skip
SECONDS = {"local": 0.3, "planes": 0.3, "block-scout": 0.3}
"""A search that proves nothing takes all the time it gets where there is nothing to find."""


@cache
def solved(dimension: int, granularity: str, width: int, readout: Readout, seed: int) -> tuple[Problem, LeastError]:
    """Return a problem (epsilon 1 for now) with the least error of its masks."""
    problem = Problem.from_draw(Draw(dimension, seed), width, 1.0, parse_granularity(granularity), readout)
    # Two rows near the target put the least error well below the empty ticket's, in any dimension.
    weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
    weights[:2] = problem.target + 0.3 * weights[:2]
    outputs[:2] = (0.6, 0.4)
    problem = replace(problem, network=Network(weights, outputs))
    return problem, least_error(problem)


def outcome_of(name: str, problem: Problem) -> Outcome:
    if reason := SEARCHES[name].refusal(problem.plain):
        pytest.skip(reason)
    return SEARCHES[name].search(problem, Budget(seconds=SECONDS.get(name, 60.0)))


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", SEARCHES)
def test_nothing_is_found_below_the_least_error(name: str, case: tuple[int, str, int], readout: Readout) -> None:
    for seed in SEEDS:
        problem, least = solved(*case, readout, seed)
        outcome = outcome_of(name, replace(problem, epsilon=0.99 * least.lower))
        assert outcome.mask is None
        if name in EXACT:
            assert outcome.status is Status.IMPOSSIBLE


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", SEARCHES)
def test_tickets_above_the_least_error_are_not_denied(
    name: str, case: tuple[int, str, int], readout: Readout
) -> None:
    for seed in SEEDS:
        problem, least = solved(*case, readout, seed)
        problem = replace(problem, epsilon=1.01 * least.upper)
        outcome = outcome_of(name, problem)
        assert outcome.status is not Status.IMPOSSIBLE
        if name in EXACT:
            assert outcome.status is Status.FOUND
        if outcome.mask is not None:
            assert outcome.certificate is not None
            assert problem.granularity.admits(outcome.mask)
            assert least.lower <= outcome.certificate.error_upper <= problem.epsilon


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("granularity", ["weight", "neuron"])
def test_an_answer_repeats_by_seed(name: str, granularity: str) -> None:
    problem = Problem.from_draw(Draw(2, 0), 30, 0.2, parse_granularity(granularity))
    first, second = outcome_of(name, problem), outcome_of(name, problem)
    assert first.impossible_width == second.impossible_width
    assert (first.mask is None) == (second.mask is None)
    if first.mask is not None and second.mask is not None:
        assert (first.mask.kept_weights == second.mask.kept_weights).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_at_dimension_one_a_neuron_is_a_weight(seed: int) -> None:
    for width in range(1, 12):
        weight, neuron = (
            Problem.from_draw(Draw(1, seed), width, 0.1, parse_granularity(name)) for name in ("weight", "neuron")
        )
        assert choose(weight) is choose(neuron)
        assert choose(weight).search(weight).status is choose(neuron).search(neuron).status


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("readout", list(Readout))
def test_every_problem_has_a_search(case: tuple[int, str, int], readout: Readout) -> None:
    problem = Problem.from_draw(Draw(case[0], 0), case[2], 0.1, parse_granularity(case[1]), readout)
    chosen = choose(problem)
    assert chosen.refusal(problem.plain) is None
    assert chosen in SEARCHES.values()
