"""Second differences across kinks: true of every ticket, short, and enough to refuse an isolated kink."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.program import Columns, Rows, ZeroOneProgram
from prunegap.search.stencils import stencils


def rows_of(problem: Problem, seed: int = 0) -> tuple[Columns, Rows]:
    columns = Columns.of(problem)
    return columns, Rows.of_stencils(problem, columns, stencils(problem, columns.weights, columns.outputs, seed))


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_a_mask_meets_every_row_at_its_own_error(dimension: int, readout: Readout) -> None:
    random, held, broken = np.random.default_rng(dimension), 0, 0
    for seed in range(6):
        problem = Problem.from_draw(Draw(dimension, seed), 12, 1.0, Neuron(), readout)
        # Weak neurons beside the target itself: errors small enough for rows to say something.
        outputs, weights = 0.04 * problem.network.outputs, problem.network.weights.copy()
        weights[0], outputs[0] = problem.target, 1.0
        problem = replace(problem, network=Network(weights, outputs))
        chosen = np.concatenate(([0], 1 + np.flatnonzero(random.random(11) < 0.5)))
        error = certify(problem, Mask.of_neurons(chosen, 12, dimension)).error_upper
        centres, across = random.normal(size=(2, 500, dimension))
        centres += 1.5 * problem.target
        places = np.stack((centres - 0.5 * across, centres, centres + 0.5 * across), axis=1)
        rows, tight = (
            Rows.of_stencils(replace(problem, epsilon=epsilon), Columns.of(problem), places)
            for epsilon in (error, 0.002 * error)
        )
        held, broken = held + len(rows.upper), broken + int(tight.broken_by(chosen).sum())
        assert not rows.broken_by(chosen).any()
    assert held > 100
    assert broken > 0


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", [2, 3, 4])
def test_a_lone_kink_inside_the_half_space_is_refused_by_a_short_row(dimension: int, readout: Readout) -> None:
    problem = Problem.from_draw(Draw(dimension, 0), 10, 0.01, Neuron(), readout)
    columns, rows = rows_of(problem)
    norms = np.linalg.norm(columns.weights, axis=1)
    cosines = np.abs(columns.weights @ problem.target) / norms
    lone = np.flatnonzero((cosines < 0.8) & (np.abs(columns.outputs) * norms > 0.1))
    assert lone.size > 3
    for i in lone:
        assert rows.broken_by(np.array([i])).any()
    assert (rows.coefficients != 0).mean() < 0.5


def test_neurons_whose_kinks_pass_elsewhere_do_not_enter() -> None:
    problem = Problem.from_draw(Draw(3, 1), 40, 0.02, Neuron())
    columns = Columns.of(problem)
    places = stencils(problem, columns.weights, columns.outputs, 0)
    signs = np.sign(places @ columns.weights.T)
    crossing = (signs.max(axis=1) > 0) & (signs.min(axis=1) < 0)
    rows = Rows.of_stencils(problem, columns, places)
    assert len(rows.upper) == len(places) > 100
    assert not (rows.coefficients != 0)[~crossing].any()


def test_there_are_none_in_one_dimension_or_where_epsilon_is_wide() -> None:
    assert not len(rows_of(Problem.from_draw(Draw(1, 0), 9, 0.1, Neuron()))[1].upper)
    assert not len(rows_of(Problem.from_draw(Draw(3, 0), 9, 2.0, Neuron()))[1].upper)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("readout", list(Readout))
def test_the_program_says_the_same_without_them(
    dimension: int, readout: Readout, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [Problem.from_draw(Draw(dimension, seed), 24, 0.3, Neuron(), readout) for seed in range(4)]
    with_rows = [ZeroOneProgram().search(problem, Budget(60.0)).status for problem in problems]
    monkeypatch.setattr("prunegap.search.program.stencils", lambda p, *_: np.zeros((0, 3, p.dimension)))
    assert with_rows == [ZeroOneProgram().search(problem, Budget(60.0)).status for problem in problems]
    assert Status.UNDECIDED not in with_rows
