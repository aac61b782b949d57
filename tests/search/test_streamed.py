"""Streamed tickets: the same rows as the draw, a mask that the checker accepts, and no network held."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Weight
from prunegap.model.mask import Mask
from prunegap.model.problem import Problem
from prunegap.search import streamed
from prunegap.search.streamed import drawn_rows, streamed_ticket


@pytest.mark.parametrize("law", list(Initialisation))
def test_the_rows_are_those_of_the_canonical_draw(law: Initialisation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "ENTRIES", 50)
    draw = Draw(6, 3, law)
    parts = list(drawn_rows(draw, 45))
    assert len(parts) > 3
    rows, network = np.concatenate([part for _, part in parts]), draw.network(45)
    assert np.array_equal(rows[:, :-1], network.weights)
    assert np.array_equal(rows[:, -1], network.outputs)
    assert [start for start, _ in parts] == list(range(0, 45, 7))


@pytest.mark.parametrize(("dimension", "epsilon", "width"), [(2, 0.01, 5000), (16, 0.05, 3000), (64, 0.02, 40_000)])
@pytest.mark.parametrize("law", list(Initialisation))
def test_the_ticket_is_one_of_the_draw(law: Initialisation, dimension: int, epsilon: float, width: int) -> None:
    draw = Draw(dimension, 1, law)
    ticket = streamed_ticket(draw, width, epsilon)
    assert ticket is not None
    assert ticket.least_width <= width
    rows = np.zeros((ticket.least_width, dimension), dtype=np.bool_)
    rows[ticket.neurons, ticket.inputs] = True
    assert rows.sum() == ticket.neurons.size == np.unique(ticket.neurons).size
    problem = Problem.from_draw(draw, ticket.least_width, epsilon, Weight())
    certificate = certify(problem, Mask.from_rows(rows))
    assert certificate.proves(epsilon)
    assert certificate.error_upper == pytest.approx(ticket.certificate.error_upper, rel=1e-9)


def test_too_few_neurons_are_no_ticket_and_no_proof() -> None:
    assert streamed_ticket(Draw(8, 0), 30, 1e-3) is None


def test_a_wide_epsilon_needs_no_neuron() -> None:
    ticket = streamed_ticket(Draw(3, 0), 1, 1.5)
    assert ticket is not None
    assert ticket.certificate.proves(1.5)


@pytest.mark.parametrize(("width", "epsilon"), [(0, 0.1), (10, 0.0), (10, float("nan"))])
def test_bad_input_is_refused(width: int, epsilon: float) -> None:
    with pytest.raises(BadInputError):
        streamed_ticket(Draw(3, 0), width, epsilon)
