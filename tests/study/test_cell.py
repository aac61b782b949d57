"""The key of a cell: pinned, so that no stored row is ever renamed by accident."""

from dataclasses import dataclass

import pytest

from prunegap.model.draw import Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, Neuron, NOfM, Weight
from prunegap.model.network import Readout
from prunegap.study.cell import Cell, grid

PINNED = [
    (Cell(2, 0.1, Weight(), 0), "5fe684716b8d6910"),
    (Cell(2, 0.1, Neuron(), 0), "50a41aa4797271f2"),
    (Cell(3, 0.05, Block(2), 7), "2d85c9f86534669b"),
    (Cell(4, 1e-05, NOfM(2, 4), 1, Readout.LINEAR), "5a3abdd28b0eb9fd"),
    (Cell(1, 0.2, Neuron(), 3, Readout.RELU, Initialisation.NORMAL), "21f02b42f4dfd9b6"),
]


@pytest.mark.parametrize(("cell", "key"), PINNED)
def test_keys_are_pinned(cell: Cell, key: str) -> None:
    assert cell.key == key


def test_a_new_field_with_a_default_renames_nothing() -> None:
    @dataclass(frozen=True)
    class LaterCell(Cell):
        bias: bool = False

    assert LaterCell(2, 0.1, Weight(), 0).key == Cell(2, 0.1, Weight(), 0).key
    assert LaterCell(2, 0.1, Weight(), 0, bias=True).key != Cell(2, 0.1, Weight(), 0).key


def test_every_field_tells_cells_apart() -> None:
    readouts, inits = tuple(Readout), tuple(Initialisation)
    cells = grid((1, 2), (0.1, 0.2), (Weight(), Neuron(), NOfM(1, 2)), readouts, inits, (0, 1))
    assert len({cell.key for cell in cells}) == len(cells) == 2 * 2 * 3 * 2 * 2 * 2


def test_a_key_does_not_depend_on_how_a_number_is_written() -> None:
    assert Cell(2, 1, Weight(), 0).key == Cell(2, 1.0, Weight(), 0).key


def test_a_grid_holds_each_cell_once_in_reading_order() -> None:
    cells = grid((2, 1), (0.2, 0.1, 0.2), (Weight(),), seeds=(0, 0))
    assert [(cell.dimension, cell.epsilon) for cell in cells] == [(2, 0.2), (2, 0.1), (1, 0.2), (1, 0.1)]


@pytest.mark.parametrize(
    ("dimension", "epsilon", "granularity", "seed"),
    [
        (0, 0.1, Weight(), 0),
        (2, 0.0, Weight(), 0),
        (2, float("nan"), Weight(), 0),
        (2, 0.1, Block(3), 0),
        (2, 0.1, Weight(), -1),
    ],
)
def test_a_cell_that_is_no_question_is_refused(
    dimension: int, epsilon: float, granularity: Weight, seed: int
) -> None:
    with pytest.raises(BadInputError):
        Cell(dimension, epsilon, granularity, seed)
