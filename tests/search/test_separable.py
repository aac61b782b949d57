"""The separable search: it finds where it should, and what it denies is denied by mass alone."""

from __future__ import annotations

from dataclasses import replace

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
from prunegap.search.mass import material_bound
from prunegap.search.registry import PORTFOLIO
from prunegap.search.separable import SeparableSearch


def weight_problem(dimension: int, seed: int, width: int, epsilon: float) -> Problem:
    return Problem.from_draw(Draw(dimension, seed), width, epsilon, parse_granularity("weight"))


@pytest.mark.parametrize(
    ("dimension", "width", "epsilon"),
    [(1, 60, 1e-3), (2, 60, 1e-2), (2, 70, 1e-4), (3, 60, 1e-3), (8, 90, 1e-2), (64, 280, 1e-2)],
)
def test_it_finds_tickets_of_single_weights_at_logarithmic_width(dimension: int, width: int, epsilon: float) -> None:
    for seed in (0, 1, 2):
        outcome = SeparableSearch().search(weight_problem(dimension, seed, width, epsilon))
        assert outcome.status is Status.FOUND
        assert outcome.mask is not None
        assert outcome.mask.kept_weights.sum(axis=1).max() == 1


@pytest.mark.parametrize("name", ["1:2", "2:4"])
def test_single_weights_serve_n_of_m(name: str) -> None:
    problem = Problem.from_draw(Draw(6, 0), 90, 0.02, parse_granularity(name))
    assert SeparableSearch().search(problem).status is Status.FOUND


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_material_bound_is_below_every_error(dimension: int) -> None:
    bounds = []
    for seed in range(6):
        problem = weight_problem(dimension, seed, 4 if dimension < 3 else 2, 0.5)
        bounds.append(material_bound(problem))
        assert bounds[-1] <= least_error(problem).upper
    assert max(bounds) > 0.3


def test_the_material_bound_is_reached_where_mass_alone_lacks() -> None:
    # Both signs of the coordinate 0 are met; only the mass for the coordinate 1 is 0.2 short, on its one side too.
    network = Network([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [0.6, -0.6, 0.6, -0.8])
    problem = Problem(network, [0.6, 0.8], 0.1, parse_granularity("weight"))
    everything = Mask.from_rows(network.weights != 0.0)
    assert material_bound(problem) == pytest.approx(0.2)
    assert certify(problem, everything).error_upper == pytest.approx(0.2)
    outcome = SeparableSearch().search(problem)
    assert outcome.status is Status.IMPOSSIBLE
    assert SeparableSearch().search(replace(problem, epsilon=0.21)).status is Status.FOUND


def test_what_it_cannot_do_is_refused() -> None:
    problem = weight_problem(2, 0, 5, 0.1)
    assert "linear" in str(SeparableSearch().refusal(replace(problem, readout=Readout.LINEAR)))
    assert "neuron" in str(SeparableSearch().refusal(replace(problem, granularity=parse_granularity("neuron"))))


def test_width_zero_is_answered() -> None:
    assert SeparableSearch().search(weight_problem(2, 0, 0, 0.5)).status is Status.IMPOSSIBLE
    assert SeparableSearch().search(weight_problem(2, 0, 0, 1.5)).ticket_width == 0


def test_the_portfolio_keeps_what_any_member_proves() -> None:
    lacking, enough = weight_problem(2, 0, 10, 0.01), weight_problem(2, 0, 60, 0.01)
    assert PORTFOLIO.search(lacking).status is Status.IMPOSSIBLE
    outcome = PORTFOLIO.search(enough, Budget(seconds=30.0))
    assert outcome.status is Status.FOUND
    assert 0 <= outcome.impossible_width < 60
    assert PORTFOLIO.refusal(replace(lacking, readout=Readout.LINEAR)) is None
