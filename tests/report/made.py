"""Rows made up for the tests of tables, pictures and pages."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.study.cell import Cell
from prunegap.study.row import COLUMNS, Provenance, Row, values_of
from prunegap.study.store import DATABASE, Store
from prunegap.study.width import Effort

Widths = dict[tuple[float, str], list[tuple[int, int | None]]]


def rows(widths: Widths, dimension: int = 2, readout: Readout = Readout.RELU) -> list[Row]:
    """Return one row a seed for {(epsilon, granularity): [(lower, upper), ...]}."""
    made, effort = Provenance.here(), Effort()
    return [
        Row(Cell(dimension, epsilon, parse_granularity(name), seed, readout), lower, upper, 1.0, (), "", None, None,
            effort, "", made)
        for (epsilon, name), intervals in widths.items()
        for seed, (lower, upper) in enumerate(intervals)
    ]  # fmt: skip


def closed(*widths: int) -> list[tuple[int, int | None]]:
    """Return closed intervals."""
    return [(width - 1, width) for width in widths]


GAP: Widths = {
    (0.2, "weight"): closed(10, 12, 14),
    (0.2, "neuron"): closed(12, 15, 18),
    (0.02, "weight"): closed(20, 24, 30),
    (0.02, "neuron"): closed(50, 60, 80),
}
"""A gap that is visible."""


def store_rows(directory: Path, made_up: Sequence[Row]) -> Path:
    """Write rows that nobody measured into a new study, past the store's own checks; return its directory."""
    with Store(directory):
        pass
    places = ", ".join("?" * len(COLUMNS))
    with closing(sqlite3.connect(directory / DATABASE)) as connection, connection:
        statement = f"INSERT INTO cells ({', '.join(COLUMNS)}) VALUES ({places})"
        connection.executemany(statement, [values_of(row) for row in made_up])
    return directory
