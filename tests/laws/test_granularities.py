"""Laws of granularities: which rows they allow, what coincides, and that every engine handles each of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from oracles import least_width, sup_error
from prunegap.certify import certify
from prunegap.model.draw import Draw
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.registry import choose
from prunegap.study.cell import Cell
from prunegap.study.ticket import Ticket
from prunegap.study.ticket_file import load_ticket, save_ticket
from prunegap.study.width import Effort, WidthStatus, minimal_width

NAMES = ["weight", "neuron", "1:1", "1:2", "2:3", "2:4", "1:7", "block:1", "block:2", "block:3", "block:5"]
HERE = [(d, name) for d in range(1, 7) for name in NAMES if not (name.startswith("block") and int(name[6:]) > d)]


def allowed(name: str, row: tuple[bool, ...]) -> bool:
    """Return whether a kept row is allowed, straight from the definition."""
    if name == "weight":
        return True
    if name == "neuron":
        return all(row)
    if name.startswith("block:"):
        length = int(name[6:])
        return all(len(set(row[i : i + length])) == 1 for i in range(0, len(row), length))
    kept, group = map(int, name.split(":"))
    return all(sum(row[i : i + group]) <= kept for i in range(0, len(row), group))


@pytest.mark.parametrize(("dimension", "name"), HERE)
def test_supports_are_those_of_the_definition(dimension: int, name: str) -> None:
    granularity = parse_granularity(name)
    rows = [row for row in product((False, True), repeat=dimension) if any(row) and allowed(name, row)]
    listed = granularity.row_supports(dimension)
    assert sorted(map(tuple, listed.tolist())) == sorted(rows)
    for row in product((False, True), repeat=dimension):
        assert granularity.admits(Mask.from_rows(np.array([row]))) == (not any(row) or allowed(name, row))


@pytest.mark.parametrize(("dimension", "name"), HERE)
def test_a_plain_granularity_allows_the_same_rows(dimension: int, name: str) -> None:
    granularity = parse_granularity(name)
    plain = granularity.plain(dimension)
    assert plain.plain(dimension) is plain
    assert plain.row_supports(dimension).tolist() == granularity.row_supports(dimension).tolist()
    same = {allowed("weight", row) == allowed(name, row) for row in product((False, True), repeat=dimension)}
    assert (plain.name == "weight") == (same == {True} and (dimension > 1 or name != "neuron"))


@pytest.mark.parametrize(
    "name", ["5:4", "0:4", "0:0", "block:0", "block:", "block:-1", ":4", "2:", "2:4:8", "1:" + 5000 * "9", " weight"]
)
def test_names_that_mean_nothing_are_refused(name: str) -> None:
    with pytest.raises(BadInputError):
        parse_granularity(name)


@pytest.mark.parametrize("length", [3, 4, 10**6])
def test_a_block_longer_than_the_row_is_refused(length: int) -> None:
    with pytest.raises(BadInputError, match="longer than the row"):
        Cell(2, 0.1, parse_granularity(f"block:{length}"), 0)


def test_searches_that_coincide_are_one() -> None:
    for dimension, one, other in [(2, "block:2", "neuron"), (4, "block:4", "neuron"), (3, "block:1", "weight"),
                                  (2, "2:4", "weight"), (4, "3:3", "weight"), (1, "1:2", "neuron")]:  # fmt: skip
        for epsilon in (0.2, 0.01):
            first, second = (
                Problem.from_draw(Draw(dimension, 0), 20, epsilon, parse_granularity(name)) for name in (one, other)
            )
            assert choose(first) is choose(second)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_block_of_the_whole_row_is_as_wide_as_a_neuron(seed: int) -> None:
    cells = [Cell(2, 0.02, parse_granularity(name), seed) for name in ("block:2", "neuron")]
    block, neuron = (minimal_width(cell, Effort(None, 200)) for cell in cells)
    assert block.status is WidthStatus.CLOSED
    assert (block.lower, block.upper) == (neuron.lower, neuron.upper)
    assert block.ticket is not None
    assert block.ticket.problem.granularity.name == "block:2"


def random_mask(problem: Problem, seed: int) -> Mask:
    """Return a mask of the problem's granularity: each row keeps a random support or nothing."""
    random = np.random.default_rng([seed, 23])
    supports = problem.granularity.row_supports(problem.dimension)
    rows = supports[random.integers(0, len(supports), problem.width)]
    return Mask.from_rows(rows & (random.random(problem.width) < 0.8)[:, None])


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(("dimension", "name"), HERE)
def test_the_checker_encloses_the_error_at_every_granularity(dimension: int, name: str, readout: Readout) -> None:
    problem = Problem.from_draw(Draw(dimension, 3), 5, 0.1, parse_granularity(name), readout)
    mask = random_mask(problem, dimension)
    certificate = certify(problem, mask)
    sampled = sup_error(problem.network, problem.target, mask, readout, points=2000)
    assert sampled <= certificate.error_upper + 1e-9
    assert sampled >= 0.97 * certificate.error_lower
    if not (certificate.proves(problem.epsilon) or certificate.refutes(problem.epsilon)):
        assert certificate.error_upper - certificate.error_lower <= 2e-3 * certificate.error_upper


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(("dimension", "name"), HERE)
def test_tickets_come_back_at_every_granularity(dimension: int, name: str, readout: Readout, tmp_path: Path) -> None:
    problem = Problem.from_draw(Draw(dimension, 3), 6, 0.1, parse_granularity(name), readout)
    mask = random_mask(problem, dimension)
    error = certify(problem, mask).error_upper
    ticket = Ticket(replace(problem, epsilon=1.001 * error), mask, error, Draw(dimension, 3))
    save_ticket(tmp_path / "t.safetensors", ticket)
    back = load_ticket(tmp_path / "t.safetensors")
    assert back.problem.granularity.name == name
    assert back.problem.granularity.admits(back.mask)
    assert (back.mask.kept_weights == ticket.mask.kept_weights).all()
    assert back.verify().proves(ticket.problem.epsilon)


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize(
    ("dimension", "name", "width"),
    [(2, "1:2", 5), (2, "block:2", 9), (2, "weight", 4), (3, "1:3", 3), (3, "block:2", 4), (4, "block:2", 3),
     (4, "block:3", 3), (4, "1:4", 3), (5, "block:4", 3)],
)  # fmt: skip
@pytest.mark.parametrize("epsilon", [0.5, 0.8])
def test_minimal_widths_are_those_of_brute_force(
    dimension: int, name: str, width: int, epsilon: float, readout: Readout
) -> None:
    problem = Problem.from_draw(Draw(dimension, 5), width, epsilon, parse_granularity(name), readout)
    # Rows near the target, dropped ones between them, put tickets within reach of brute force.
    weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
    weights[1:3] = problem.target + 0.3 * weights[1:3]
    outputs[1:3] = (0.5, 0.4)
    problem = replace(problem, network=Network(weights, outputs))
    exact = least_width(problem)
    for n in range(width + 1):
        outcome = choose(problem.prefix(n)).search(problem.prefix(n), Budget(60.0))
        assert outcome.status.value == ("found" if exact is not None and n >= exact else "impossible")
