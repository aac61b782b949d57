"""The 0-1 program: its integers never exclude a ticket, and odd networks are handled."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, Weight, parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import program
from prunegap.search.base import Budget
from prunegap.search.program import Columns, Rows, ZeroOneProgram
from prunegap.study.cell import Cell

GRANULARITIES = ["weight", "neuron", "1:2", "block:2"]


def exact_error(problem: Problem, weights: Matrix, outputs: np.ndarray, x: np.ndarray) -> Fraction:
    """Return |f(x) - g(x)| as a rational number."""

    def inner(a: np.ndarray) -> Fraction:
        return sum((Fraction(float(s)) * Fraction(float(t)) for s, t in zip(a, x, strict=True)), Fraction(0))

    total = sum((Fraction(float(v)) * max(inner(w), 0) for w, v in zip(weights, outputs, strict=True)), Fraction(0))
    if problem.readout is Readout.RELU:
        total = max(total, Fraction(0))
    return abs(total - max(inner(problem.target), Fraction(0)))


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_integer_rows_hold_for_epsilon_just_above_the_error_and_break_just_below(
    dimension: int, granularity: str, readout: Readout
) -> None:
    random = np.random.default_rng(dimension)
    for seed in range(8):
        problem = Problem.from_draw(Draw(dimension, seed), 12, 1.0, parse_granularity(granularity), readout)
        columns = Columns.of(problem)
        picks = np.array([random.choice(group) for group in columns.groups()])
        chosen = picks[random.random(picks.size) < 0.5]
        x = random.standard_normal((1, dimension))
        error = exact_error(problem, columns.weights[chosen], columns.outputs[chosen], x[0])
        if error < 1e-6:
            continue
        norm = math.sqrt(sum(float(t) ** 2 for t in x[0]))
        for factor, broken in ((1.0 + 1e-14, False), (1.0 - 1e-8, True)):
            tight = Problem(
                problem.network, problem.target, float(error) / norm * factor, problem.granularity, readout
            )
            assert bool(Rows.of(tight, columns, x).broken_by(chosen)[0]) is broken


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_columns_are_the_different_rows_that_can_be_left(granularity: str) -> None:
    weights = [[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]]
    network = Network(weights, [1.0, 1.0, 1.0, 0.0])
    problem = Problem(network, [1.0, 0.0, 0.0, 0.0], 0.5, parse_granularity(granularity))
    columns = Columns.of(problem)
    assert set(columns.neurons.tolist()) == {0, 2}
    for i in (0, 2):
        left = {tuple(row) for row in columns.weights[columns.neurons == i].tolist()}
        every = problem.granularity.row_supports(4) * np.array(weights[i])
        assert left == {tuple(row) for row in every.tolist()} - {(0.0,) * 4}
        assert len(left) == int((columns.neurons == i).sum())


ODD = {
    "width 0": (np.zeros((0, 2)), [], 0.5, Status.IMPOSSIBLE),
    "width 0, epsilon above the norm": (np.zeros((0, 2)), [], 1.5, Status.FOUND),
    "epsilon equal to the norm": (np.eye(2), [1.0, 1.0], 1.0, Status.FOUND),
    "rows of zeros": (np.zeros((3, 2)), [1.0, 1.0, 1.0], 0.5, Status.IMPOSSIBLE),
    "outputs of zero": (np.eye(2), [0.0, 0.0], 0.5, Status.IMPOSSIBLE),
    "duplicates": ([[1.0, 0.0]] * 3, [0.5, 0.5, 0.0], 1e-6, Status.FOUND),
    "exactly epsilon": ([[0.75, 0.0]], [1.0], 0.25, Status.FOUND),
    "one half short": ([[1.0, 0.0]], [0.5], 0.4999, Status.IMPOSSIBLE),
}


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("granularity", ["weight", "neuron"])
@pytest.mark.parametrize("case", ODD)
def test_odd_networks(case: str, granularity: str, readout: Readout) -> None:
    weights, outputs, epsilon, status = ODD[case]
    problem = Problem(Network(weights, outputs), [1.0, 0.0], epsilon, parse_granularity(granularity), readout)
    outcome = ZeroOneProgram().search(problem)
    assert outcome.status is status
    if epsilon >= 1.0:
        assert outcome.ticket_width == 0


def test_an_error_too_close_to_epsilon_is_neither_found_nor_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(Network([[0.75, 0.0]], [1.0]), [1.0, 0.0], 0.25, parse_granularity("neuron"))
    real = program.certified

    def vague(problem: Problem, mask: object) -> object:
        certificate = real(problem, mask)
        return type(certificate)(
            certificate.error_lower - 1e-12, certificate.error_upper + 1e-12, "vague", certificate.worst_input
        )

    monkeypatch.setattr(program, "certified", vague)
    outcome = ZeroOneProgram().search(problem)
    assert outcome.status is Status.UNDECIDED
    assert outcome.impossible_width == -1


def test_inputs_learnt_at_one_width_serve_the_next() -> None:
    problem = Problem.from_draw(Draw(2, 0), 40, 0.1, parse_granularity("neuron"))
    first = ZeroOneProgram().search(problem)
    assert first.status is Status.IMPOSSIBLE
    assert first.inputs is not None
    again = ZeroOneProgram().search(problem.prefix(38), inputs=first.inputs)
    assert again.status is Status.IMPOSSIBLE
    assert again.nodes == 1


def test_no_time_is_no_answer() -> None:
    problem = Problem.from_draw(Draw(2, 0), 40, 0.1, parse_granularity("neuron"))
    outcome = ZeroOneProgram().search(problem, Budget(seconds=1e-9))
    assert outcome.status is Status.UNDECIDED
    assert outcome.reason == "the time limit was reached"


def test_workers_change_no_verdict() -> None:
    for width, status in ((40, Status.IMPOSSIBLE), (41, Status.FOUND)):
        problem = Problem.from_draw(Draw(2, 0), width, 0.1, parse_granularity("neuron"))
        assert ZeroOneProgram().search(problem, Budget(workers=2)).status is status


def test_too_many_supports_are_refused() -> None:
    problem = Problem.from_draw(Draw(20, 0), 3, 0.1, parse_granularity("weight"))
    assert "too many" in str(ZeroOneProgram().refusal(problem))
    assert ZeroOneProgram().refusal(Problem.from_draw(Draw(20, 0), 3, 0.1, parse_granularity("neuron"))) is None


def test_the_solver_does_not_lose_a_known_ticket() -> None:
    """Presolve of OR-Tools 9.15 called this program infeasible, though a ticket of width 8 meets every row."""
    cell = Cell(3, 0.5, Weight(), 2, Readout.LINEAR)
    ticket = Mask.from_rows([[0, 0, 0]] * 5 + [[0, 1, 1], [1, 0, 0], [0, 1, 0]])
    assert certify(cell.problem(8), ticket).proves(0.5)
    for width in (8, 11, 12, 13):
        assert ZeroOneProgram().search(cell.problem(width)).status is Status.FOUND


def test_planted_tickets_are_never_called_impossible() -> None:
    """Each program gets a ticket planted in it, so that infeasible would be a false proof."""
    for seed in range(60):
        generator = np.random.default_rng(seed)
        dimension, readout = 2 + seed % 2, list(Readout)[seed // 2 % 2]
        granularity = (Weight(), Neuron())[seed // 4 % 2]
        network = Network(generator.uniform(-1, 1, (10, dimension)), generator.uniform(-1, 1, 10))
        kept = granularity.row_supports(dimension)
        rows = kept[generator.integers(0, len(kept), 10)] & (generator.random((10, 1)) < 0.5)
        problem = Problem(network, generator.standard_normal(dimension), 1.0, granularity, readout)
        error = certify(problem, Mask.from_rows(rows)).error_upper
        problem = replace(problem, epsilon=1.0001 * error)
        assert ZeroOneProgram().search(problem).status is Status.FOUND, seed
