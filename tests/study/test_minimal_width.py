"""Laws of bracketing, on scripted searches and on brute force."""

import math

import numpy as np
import pytest
from brute import choose
from scripted import Scripted

import oracles
from prunegap.model.granularity import Granularity, Neuron, Weight
from prunegap.model.network import Readout
from prunegap.search.base import Search
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, WidthInterval, WidthStatus, minimal_width

CELL = Cell(2, 0.1, Neuron(), 0)
NO_LIMIT = Effort(None, 500)


@pytest.mark.parametrize("least", [1, 2, 3, 7, 8, 9, 40, 123, 499, 500])
def test_a_search_that_decides_everything_closes_every_interval(least: int) -> None:
    script = Scripted(least)
    found = minimal_width(CELL, NO_LIMIT, choose=script)
    assert (found.lower, found.upper, found.status) == (least - 1, least, WidthStatus.CLOSED)
    assert len(script.asked) == len(set(script.asked))
    assert len(script.asked) <= 4 * math.log2(least + 8) + 4
    assert found.mask is not None
    assert found.mask.width == found.mask.least_width == least


@pytest.mark.parametrize("least", [501, 10_000])
def test_without_a_ticket_up_to_the_greatest_width_the_interval_is_censored(least: int) -> None:
    found = minimal_width(CELL, NO_LIMIT, choose=Scripted(least))
    assert (found.lower, found.upper, found.status) == (500, None, WidthStatus.CENSORED)
    assert "greatest width 500" in found.reason
    assert found.ticket is None


@pytest.mark.parametrize(("finds_from", "proves_to"), [(60, 30), (60, 49), (51, 30), (50, 10), (400, 0), (500, 49)])
def test_undecided_widths_leave_the_tightest_interval_that_can_be_had(finds_from: int, proves_to: int) -> None:
    script = Scripted(50, finds_from, proves_to)
    found = minimal_width(CELL, NO_LIMIT, choose=script)
    # A ticket is as narrow as its last row, so one that is found anywhere closes the upper end.
    assert found.upper == 50
    assert found.lower == min(proves_to, 49)
    assert found.status is (WidthStatus.CLOSED if proves_to >= 49 else WidthStatus.OPEN)


def test_without_tickets_and_with_few_proofs_both_ends_are_tried() -> None:
    script = Scripted(300, finds_from=10**9, proves_to=20)
    found = minimal_width(CELL, NO_LIMIT, choose=script)
    assert (found.lower, found.upper) == (20, None)
    assert max(script.asked) == 500


def test_what_is_known_is_never_lost_and_never_asked_again() -> None:
    first = minimal_width(CELL, NO_LIMIT, choose=Scripted(50, proves_to=20))
    assert (first.lower, first.upper) == (20, 50)
    script = Scripted(50, finds_from=10**9, proves_to=40)
    second = minimal_width(CELL, NO_LIMIT, first, script)
    assert (second.lower, second.upper) == (40, 50)
    assert min(script.asked) > 20
    assert max(script.asked) < 50
    assert second.seconds >= first.seconds


def test_inputs_learnt_at_one_width_are_given_to_the_next() -> None:
    script = Scripted(30)
    minimal_width(CELL, NO_LIMIT, choose=script)
    assert script.given[0] is None
    for before, given in zip(script.asked, script.given[1:], strict=False):
        assert given is not None
        assert given[0, 0] == before


def test_the_time_is_shared_and_a_last_question_may_take_all_of_it() -> None:
    script = Scripted(2)
    minimal_width(Cell(2, 0.1, Neuron(), 0), Effort(100.0, 3), choose=script)
    assert script.asked == [3, 1]
    assert script.offered[0] == pytest.approx(50.0, abs=1.0)
    assert script.offered[1] == pytest.approx(100.0, abs=1.0)


def test_a_search_of_all_widths_that_runs_out_of_time_leaves_the_upper_end_to_its_scout() -> None:
    def sweep(proves_to: int, scout: Search | None) -> Search:
        search = Scripted(30, finds_from=10**9, proves_to=proves_to)
        search.finds_least, search.scout = True, scout  # type: ignore[misc]
        return search

    cell = Cell(2, 0.1, Neuron(), 0)
    scout = Scripted(30, finds_from=100)
    exact = sweep(20, scout)
    width = minimal_width(cell, Effort(40.0, 1000), choose=lambda _: exact)
    assert (width.lower, width.upper) == (0, 30)
    assert isinstance(exact, Scripted)
    assert exact.offered[0] == pytest.approx(34.0, rel=0.01)
    assert scout.asked[0] > 100
    assert minimal_width(cell, Effort(40.0, 1000), choose=lambda _: sweep(20, None)).upper is None


def test_a_contradiction_is_loud() -> None:
    known = WidthInterval(CELL, lower=60)
    with pytest.raises(AssertionError, match="contradicts"):
        minimal_width(CELL, NO_LIMIT, known, Scripted(50))


@pytest.mark.parametrize("granularity", [Weight(), Neuron()])
@pytest.mark.parametrize("epsilon", [1.5, 100.0])
def test_above_the_norm_of_the_target_the_empty_ticket_is_enough(granularity: Granularity, epsilon: float) -> None:
    found = minimal_width(Cell(3, epsilon, granularity, 0), choose=Scripted(10))
    assert (found.lower, found.upper, found.status) == (-1, 0, WidthStatus.CLOSED)
    assert found.ticket is not None
    assert found.ticket.verify().error_upper == pytest.approx(1.0)


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("granularity", [Weight(), Neuron()])
@pytest.mark.parametrize(("dimension", "epsilon", "seed"), [(1, 0.3, 0), (1, 0.1, 4), (2, 0.7, 1), (2, 0.5, 3)])
def test_agreement_with_brute_force(
    dimension: int, epsilon: float, seed: int, granularity: Granularity, readout: Readout
) -> None:
    widest = 6
    cell = Cell(dimension, epsilon, granularity, seed, readout)
    found = minimal_width(cell, Effort(None, widest), choose=choose)
    assert found.upper == oracles.least_width(cell.problem(widest))
    assert found.lower == (widest if found.upper is None else found.upper - 1)


def test_the_ticket_is_in_the_network_of_the_upper_width() -> None:
    found = minimal_width(Cell(1, 0.4, Neuron(), 0), Effort(None, 8), choose=choose)
    assert found.ticket is not None
    assert found.ticket.problem.width == found.upper
    assert np.array_equal(found.ticket.problem.network.weights, found.cell.problem(8).network.weights[: found.upper])
    assert found.ticket.verify().proves(0.4)
