"""Lower ends from slices of the inputs: sound against brute force, as strong as what they ask, and remembered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error, sup_error
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Readout
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search
from prunegap.search.registry import PROGRAM, SWEEP, exact
from prunegap.search.slices import InputSlices, slices_of

CASES = [(3, "weight"), (4, "weight"), (4, "2:4"), (4, "1:2"), (5, "2:3"), (3, "block:2"), (4, "block:2"),
         (5, "block:2"), (5, "block:3"), (6, "block:3"), (6, "block:4")]  # fmt: skip


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(("dimension", "name"), CASES)
def test_a_ticket_of_all_inputs_is_one_of_every_slice(dimension: int, name: str, readout: Readout) -> None:
    problem = Problem.from_draw(Draw(dimension, 1), 8, 1e-3, parse_granularity(name), readout)
    supports = problem.granularity.row_supports(dimension)
    random = np.random.default_rng(dimension)
    parts = slices_of(problem)
    assert parts
    for _ in range(10):
        rows = supports[random.integers(0, len(supports), 8)] & (random.random(8) < 0.7)[:, None]
        whole = sup_error(problem.network, problem.target, Mask.from_rows(rows), readout, points=4000)
        for part in parts:
            columns = [problem.target.tolist().index(entry) for entry in part.target]
            mask = Mask.from_rows(rows[:, columns])
            assert part.granularity.admits(mask)
            assert sup_error(part.network, part.target, mask, readout, points=500) <= 1.02 * whole + 1e-3


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(("dimension", "name", "width"), [(3, "weight", 3), (3, "block:2", 3), (4, "block:2", 3)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_excluded_is_excluded_by_brute_force(
    dimension: int, name: str, width: int, readout: Readout, seed: int
) -> None:
    problem = Problem.from_draw(Draw(dimension, seed), width, 1.0, parse_granularity(name), readout)
    least = least_error(problem)
    search = InputSlices(exact)
    for epsilon in (0.5, 0.9, 0.98 * least.lower, 1.01 * least.upper):
        asked = replace(problem, epsilon=epsilon)
        if search.refusal(asked) is None and search.search(asked).impossible_width >= width:
            assert least.lower > epsilon


@pytest.mark.parametrize("seed", range(3))
def test_a_block_of_two_is_as_wide_as_its_planes(seed: int) -> None:
    problem = Problem.from_draw(Draw(4, seed), 200, 0.02, parse_granularity("block:2"))
    network, target = problem.network, problem.target
    planes = []
    for inputs in ([0, 1], [2, 3]):
        cut = replace(network, weights=network.weights[:, inputs])
        plane = Problem(cut, target[inputs], problem.epsilon, Neuron())
        planes.append(SWEEP.search(plane).impossible_width)
    assert InputSlices(exact).search(problem).impossible_width == max(planes) > 0


class Counting(Search):
    """The program, with a record of the widths it was asked about."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def refusal(self, problem: Problem) -> str | None:
        return PROGRAM.refusal(problem)

    def _search(self, problem: Problem, deadline: Deadline, inputs: object) -> Finding:
        self.asked.append(problem.width)
        return PROGRAM._search(problem, deadline, None)


def test_what_is_known_is_not_asked_again() -> None:
    counting = Counting()
    search = InputSlices(lambda _: counting)
    problem = Problem.from_draw(Draw(4, 0), 60, 0.2, parse_granularity("block:2"))
    first = [search.search(problem.prefix(n)).impossible_width for n in (10, 60)]
    asked = len(counting.asked)
    again = [search.search(problem.prefix(n)).impossible_width for n in (10, 60, 10)]
    assert len(counting.asked) == asked
    assert again == [*first, first[0]]
    # A width between proof and ticket is a new question, and what it leaves open makes nobody forget the ticket.
    search.search(problem.prefix(5))
    between = len(counting.asked)
    assert search.search(problem.prefix(60)).impossible_width >= first[1]
    assert len(counting.asked) == between
    other = replace(problem, target=problem.target[::-1].copy())
    search.search(other)
    assert len(counting.asked) > asked


def test_neurons_and_pairs_of_inputs_have_no_slices() -> None:
    for dimension, name in [(4, "neuron"), (2, "weight"), (2, "1:2"), (1, "weight"), (4, "block:4")]:
        problem = Problem.from_draw(Draw(dimension, 0), 10, 0.1, parse_granularity(name)).plain
        assert InputSlices(exact).refusal(problem)
