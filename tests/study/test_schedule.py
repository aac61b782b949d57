"""Longest first by what is known, and open cells by what they are worth."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brute import choose
from scripted import Scripted

from prunegap.model.granularity import Neuron, Weight
from prunegap.study.cell import Cell, grid
from prunegap.study.refine import in_order_of_worth, together
from prunegap.study.row import Row
from prunegap.study.schedule import LEAST_SECONDS, Agenda, CostModel, guessed_seconds
from prunegap.study.standing import Tally
from prunegap.study.sweep import measure
from prunegap.study.width import Effort, WidthInterval

EFFORT = Effort(600.0)


def emptied(agenda: Agenda) -> list[Cell]:
    return [agenda.take() for _ in range(len(agenda))]


def test_every_cell_is_handed_out_once() -> None:
    cells = grid((1, 2, 3), (0.4, 0.1, 0.01), seeds=range(4))
    agenda = Agenda(cells, CostModel(EFFORT), then=[])
    assert len(agenda) == len(cells)
    assert sorted(cell.key for cell in emptied(agenda)) == sorted(cell.key for cell in cells)
    with pytest.raises(IndexError):
        agenda.take()


def test_the_guess_grows_as_epsilon_shrinks_and_with_the_dimension() -> None:
    for d in (1, 2, 3, 4):
        for granularity in (Weight(), Neuron()):
            costs = [guessed_seconds(Cell(d, eps, granularity, 0)) for eps in (0.3, 0.1, 0.03, 0.01, 0.001)]
            assert costs == sorted(costs)
            assert all(LEAST_SECONDS <= cost < math.inf for cost in costs)
    assert guessed_seconds(Cell(2, 0.01, Neuron(), 0)) < guessed_seconds(Cell(3, 0.01, Neuron(), 0))


def test_cells_come_longest_first() -> None:
    costs = CostModel(EFFORT)
    cells = grid((2, 3), (0.2, 0.05, 0.01, 0.002), seeds=range(2))
    expected = [costs.seconds(cell) for cell in emptied(Agenda(cells, costs))]
    assert expected == sorted(expected, reverse=True)


def test_what_was_measured_overrules_the_guess_and_moves_its_neighbours() -> None:
    costs = CostModel(EFFORT)
    near, far, other = (Cell(2, eps, g, 5) for eps, g in ((0.01, Weight()), (0.001, Weight()), (0.01, Neuron())))
    before = costs.seconds(far), costs.seconds(other)
    costs.observe(replace(near, seed=0), 80.0)
    costs.observe(replace(near, seed=1), 120.0)
    assert costs.seconds(near) == 100.0
    assert costs.seconds(far) > 100.0 > before[0]
    assert costs.seconds(other) == before[1]
    agenda = Agenda([other, near], costs)
    assert emptied(agenda) == [near, other]
    costs.observe(far, 1e9)
    assert costs.seconds(far) == EFFORT.seconds


def test_a_cell_that_was_open_before_takes_its_whole_time() -> None:
    easy, hard = Cell(2, 0.2, Weight(), 0), Cell(2, 0.002, Neuron(), 0)
    agenda = Agenda([hard, easy], CostModel(EFFORT), tried={easy})
    assert agenda.seconds() > EFFORT.seconds  # type: ignore[operator]
    assert emptied(agenda) == [easy, hard]


def test_what_is_refined_comes_last_in_its_own_order() -> None:
    cells = grid((2,), (0.2, 0.01), seeds=range(2))
    later = cells[::3]
    agenda = Agenda([cell for cell in cells if cell not in later], CostModel(EFFORT), then=later)
    order = emptied(agenda)
    assert order[-len(later) :] == later
    agenda.give(later[0])
    assert agenda.take() == later[0]


def test_longest_first_by_this_order_beats_the_order_of_reading() -> None:
    """On random costs that the model has right, the last worker ends within a ninth above the least possible, or a
    cell, as list scheduling promises (Graham 1969: 4/3 - 1/(3 m))."""
    random = np.random.default_rng(0)
    for _ in range(50):
        costs, workers = np.sort(random.pareto(1.2, 40))[::-1], 4
        ends = np.zeros(workers)
        for cost in costs:
            ends[np.argmin(ends)] += cost
        least = max(costs.sum() / workers, costs[0])
        assert (
            ends.max() <= (4.0 / 3.0 - 1.0 / (3.0 * workers)) * max(least, costs[workers - 1] + costs[workers]) + 1e-9
        )


def row(eps: float, seed: int, lower: int, upper: int | None, seconds: float = 1.0) -> Row:
    cell = Cell(2, eps, Neuron(), seed)
    return replace(Row.of(WidthInterval(cell, lower, None, seconds=seconds), EFFORT), upper=upper)


def test_refining_starts_where_a_median_is_unknown_at_the_smallest_epsilon() -> None:
    rows = [
        # At 0.1 the median is 30, whatever the open cell is.
        row(0.1, 0, 29, 30), row(0.1, 1, 29, 30), row(0.1, 2, 40, 90),
        # At 0.05 the median is unknown: seed 1 or 2 decides; seed 3 lies above whatever it is, seed 0 is closed.
        row(0.05, 0, 39, 40), row(0.05, 1, 40, 60), row(0.05, 2, 40, 80),
        # At 0.02 all are open, one without upper end.
        row(0.02, 0, 50, 70), row(0.02, 1, 50, None), row(0.02, 2, 50, 70, seconds=9.0),
    ]  # fmt: skip
    order = in_order_of_worth({r.cell: r for r in rows})
    assert [(cell.epsilon, cell.seed) for cell in order] == [
        (0.02, 1), (0.02, 0), (0.02, 2), (0.05, 2), (0.05, 1), (0.1, 2),
    ]  # fmt: skip


def test_a_cell_beyond_an_unknown_median_waits() -> None:
    rows = [row(0.1, 0, 9, 10), row(0.1, 1, 29, 40), row(0.1, 2, 60, 990), row(0.2, 0, 9, 11)]
    order = in_order_of_worth({r.cell: r for r in rows})
    assert [(cell.epsilon, cell.seed) for cell in order] == [(0.1, 1), (0.2, 0), (0.1, 2)]


def test_efforts_add_up() -> None:
    assert together(Effort(60.0, 100), Effort(30.0, 200)) == Effort(90.0, 200)
    assert together(Effort(60.0, 100), Effort(None, 50)) == Effort(None, 100)


def test_refine_gives_open_cells_the_same_effort_again_and_closed_ones_nothing(tmp_path: Path) -> None:
    closed, opened, missing = (Cell(1, 0.45, Neuron(), seed) for seed in range(3))
    effort, out = Effort(60.0, 8), tmp_path / "s"
    assert measure([closed], out, effort, choose=choose)[0].status == "closed"
    first = measure([closed, opened], out, effort, choose=Scripted(200))
    assert [r.status for r in first] == ["closed", "censored"]
    script = Scripted(200)
    assert measure([closed, opened], out, effort, choose=script) == first
    assert script.asked == []
    again = measure([closed, opened, missing], out, Effort(60.0, 12), choose=script, refine=True)
    assert again[0] == first[0]
    assert [(r.lower, r.upper) for r in again[1:]] == [(12, None), (12, None)]
    assert again[1].effort == Effort(120.0, 12)
    assert again[2].effort == Effort(60.0, 12)
    assert script.asked[0] <= 8, "the missing cell comes first"
    assert script.asked[-1] == 12
    assert all(width > 8 for width in script.asked[script.asked.index(12) + 1 :]), "the open one goes on"


def test_a_tally_knows_its_worst_cell() -> None:
    tally = Tally(4)
    for r in (row(0.1, 0, 9, 10), row(0.1, 1, 9, 40), row(0.1, 2, 60, 99)):
        tally.count(r, measured=True)
    standing = tally.standing(1, 12.0)
    assert (standing.done, standing.open, standing.censored, standing.running) == (3, 2, 0, 1)
    assert standing.worst is not None
    assert standing.worst.cell.seed == 1
    tally.count(row(0.4, 3, 1, None), measured=False)
    worst = tally.standing(0, math.inf).worst
    assert worst is not None
    assert worst.upper is None
    assert tally.standing(0, math.inf).seconds_left is None
