"""The exact search by sign classes: brute force over all supports, and tickets that must never be denied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.certify import certify
from prunegap.model.draw import Draw
from prunegap.model.granularity import parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.isolated import Kinks
from prunegap.search.program import ZeroOneProgram
from prunegap.search.signs import SignClasses


def planted(seed: int, dimension: int, pair: bool, more: int) -> tuple[Problem, Mask]:
    """Return a problem with a ticket near error 1e-3: one neuron a sum, or beside two rows that mend each other."""
    random = np.random.default_rng([seed, dimension, int(pair)])
    target = random.uniform(0.3, 1.0, dimension) * random.choice([-1.0, 1.0], dimension)
    target /= np.linalg.norm(target)
    row, strength = random.uniform(0.4, 1.0, dimension), 0.3
    rest = target - (strength * row if pair else 0.0)
    weights, outputs, kept = [], [], []
    for j in range(dimension):
        for sign in (1.0, -1.0):
            w = random.uniform(-1.0, 1.0, dimension)
            w[j] = sign * random.uniform(0.5, 1.0)
            weights.append(w)
            outputs.append((sign * rest[j] + 4e-4 * random.standard_normal()) / abs(w[j]))
            kept.append(np.arange(dimension) == j)
    if pair:
        # v relu(<w, x>) - v relu(-<w, x>) is linear; the two rows miss it by a little.
        weights += [row, -row * 0.7]
        outputs += [strength, -strength / 0.7 * (1.0 + 4e-4 * random.standard_normal())]
        kept += [np.ones(dimension, dtype=np.bool_)] * 2
    for _ in range(more):
        weights.append(random.uniform(-1.0, 1.0, dimension))
        outputs.append(random.uniform(-1.0, 1.0))
        kept.append(np.zeros(dimension, dtype=np.bool_))
    order = random.permutation(len(weights))
    network = Network(np.array(weights)[order], np.array(outputs)[order])
    mask = Mask.from_rows(np.array(kept)[order])
    problem = Problem(network, target, 0.1, parse_granularity("weight"))
    return replace(problem, epsilon=certify(problem, mask).error_upper * (1.0 + 1e-9)), mask


@pytest.mark.parametrize("pair", [True, False])
def test_it_agrees_with_brute_force_just_above_and_just_below_the_least_error(pair: bool) -> None:
    denied = 0
    for seed in range(8):
        problem, _ = planted(seed, 2, pair, 0 if pair else 1)
        least = least_error(problem)
        above = SignClasses().search(replace(problem, epsilon=least.upper * (1.0 + 1e-6)))
        assert above.status is Status.FOUND
        below = SignClasses().search(replace(problem, epsilon=least.lower * (1.0 - 1e-6)))
        assert below.status is not Status.FOUND
        denied += below.status is Status.IMPOSSIBLE
    assert denied > 5


@pytest.mark.parametrize(("dimension", "pair", "more"), [(2, True, 8), (3, False, 6), (3, True, 3), (4, False, 2)])
def test_a_planted_ticket_is_never_denied(dimension: int, pair: bool, more: int) -> None:
    found = 0
    for seed in range(10):
        problem, mask = planted(seed, dimension, pair, more)
        outcome = SignClasses().search(problem)
        assert outcome.impossible_width < mask.least_width
        found += outcome.status is Status.FOUND
        assert set(np.flatnonzero(mask.kept_weights.sum(axis=1) > 1)) <= set(
            Kinks(problem).columns.neurons[Kinks(problem).left()]
        )
    assert found > 6


def test_narrowest_of_the_canonical_draw_as_the_program_has_it() -> None:
    for seed in (1, 3):
        problem = Problem.from_draw(Draw(2, seed), 40, 2e-3, parse_granularity("weight"))
        search = SignClasses()
        outcome = search.search(problem)
        assert outcome.ticket_width == outcome.impossible_width + 1
        assert (
            ZeroOneProgram().search(problem.prefix(outcome.impossible_width), Budget(60.0)).status is not Status.FOUND
        )
        # Asked again about a narrower and a wider network of the same draw, it answers from memory.
        assert search.search(problem.prefix(outcome.impossible_width - 1)).status is Status.IMPOSSIBLE
        assert search.search(problem, Budget(1e-6)).ticket_width == outcome.ticket_width


def test_what_it_cannot_do_is_refused_or_left_open() -> None:
    problem = Problem.from_draw(Draw(2, 0), 30, 1e-3, parse_granularity("weight"))
    assert "linear" in str(SignClasses().refusal(replace(problem, readout=Readout.LINEAR)))
    assert "neuron" in str(SignClasses().refusal(replace(problem, granularity=parse_granularity("neuron"))))
    assert "small" in str(SignClasses().refusal(replace(problem, epsilon=0.05)))
    assert "dimension" in str(SignClasses().refusal(Problem.from_draw(Draw(7, 0), 9, 1e-3, problem.granularity)))
    assert SignClasses().search(replace(problem, epsilon=0.02)).status is not Status.IMPOSSIBLE
    assert SignClasses().search(problem, Budget(1e-9)).status is not Status.FOUND
