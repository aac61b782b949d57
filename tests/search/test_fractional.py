"""Proofs by fractions: never above the least error, and stronger than a lack of mass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.model.draw import Draw
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.fractional import Conditions, FractionalBound
from prunegap.search.mass import width_without_material
from prunegap.search.program import Columns, first_inputs


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(
    ("dimension", "granularity", "width"), [(1, "weight", 5), (2, "weight", 4), (3, "neuron", 6)]
)
def test_what_brute_force_finds_is_never_denied(
    dimension: int, granularity: str, width: int, readout: Readout
) -> None:
    denied = 0
    for seed in range(4):
        problem = Problem.from_draw(Draw(dimension, seed), width, 1.0, parse_granularity(granularity), readout)
        least = least_error(problem)
        allowed = FractionalBound().search(replace(problem, epsilon=1.001 * least.upper))
        assert allowed.status is Status.UNDECIDED
        denied += FractionalBound().search(replace(problem, epsilon=0.3 * least.lower)).status is Status.IMPOSSIBLE
    assert denied > 0


def test_it_proves_more_than_mass_does() -> None:
    problem = Problem.from_draw(Draw(4, 0), 12, 1e-2, parse_granularity("weight"))
    assert width_without_material(problem) < 12
    assert FractionalBound().search(problem).status is Status.IMPOSSIBLE


def test_weights_that_prove_nothing_are_not_believed() -> None:
    problem = Problem.from_draw(Draw(2, 0), 40, 0.1, parse_granularity("weight"))
    columns = Columns.of(problem)
    conditions = Conditions(problem, columns, first_inputs(problem))
    random = np.random.default_rng(0)
    assert not conditions.are_broken_by_all(columns, np.zeros(conditions.limits.size))
    for _ in range(50):
        assert not conditions.are_broken_by_all(columns, random.exponential(size=conditions.limits.size))


def test_many_supports_are_refused() -> None:
    problem = Problem.from_draw(Draw(13, 0), 5, 0.1, parse_granularity("weight"))
    assert FractionalBound().refusal(problem)
