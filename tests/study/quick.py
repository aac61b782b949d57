"""Intervals with true tickets that cost no search: at epsilon 100 any mask is one, and its proof takes little."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from prunegap.certify import certify
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.study.cell import Cell
from prunegap.study.row import Row, values_of
from prunegap.study.store import TICKETS, Store
from prunegap.study.ticket_file import load_ticket
from prunegap.study.width import Effort, WidthInterval

EFFORT = Effort(60.0, 100)


def cell_of(seed: int) -> Cell:
    """Return a cell of the family."""
    return Cell(1, 100.0, Neuron(), seed)


def interval(seed: int, lower: int, upper: int | None, reason: str = "") -> WidthInterval:
    """Return (lower, upper] with a ticket of width `upper` that verifies; nothing else is true about it."""
    cell = cell_of(seed)
    if upper is None:
        return WidthInterval(cell, lower, None, None, None, 1.0, ("quick",), reason)
    mask = Mask.of_neurons([upper - 1], upper, 1)
    return WidthInterval(cell, lower, upper, mask, certify(cell.problem(upper), mask), 1.0, ("quick",), reason)


def put(store: Store, seed: int, lower: int, upper: int | None, created: str | None = None) -> Row:
    """Store (lower, upper] and return what is stored then."""
    found = interval(seed, lower, upper)
    row = Row.of(found, EFFORT)
    return store.put(row if created is None else replace(row, created=created), found)


def bare(seeds: Iterable[int], reason: str = "") -> list[Row]:
    """Return rows without tickets, quickly."""
    return [Row.of(WidthInterval(cell_of(seed), seed % 7, reason=reason), EFFORT) for seed in seeds]


def data(rows: Iterable[Row]) -> dict[str, tuple[object, ...]]:
    """Return everything that rows say but when they were made, by key; raises where a key occurs twice."""
    found: dict[str, tuple[object, ...]] = {}
    for row in rows:
        assert row.cell.key not in found, f"{row.cell.key} is there twice"
        found[row.cell.key] = values_of(replace(row, created=""))
    return found


def checked(directory: Path) -> dict[str, tuple[object, ...]]:
    """Return the data of a study after a look at every page, row and ticket."""
    with Store(directory, read_only=True) as store:
        store.check()
        rows = store.rows()
    for row in rows:
        if row.ticket is not None:
            ticket = load_ticket(directory / TICKETS / row.ticket)
            ticket.verify()
            assert row.upper is not None
            assert ticket.mask.least_width <= row.upper
    return data(rows)


STAGES: Sequence[tuple[int, int | None]] = ((0, 9), (2, 7), (1, 5))
"""What successive runs prove about every cell; together (2, 5]."""


def write(directory: Path, seeds: Sequence[int], order: int) -> None:
    """Prove every stage about every cell, cells in a random order, and print each key once `put` has returned."""
    seeds = random.Random(order).sample(list(seeds), len(seeds))
    with Store(directory) as store:
        for seed in seeds:
            for lower, upper in STAGES:
                row = put(store, seed, lower, upper)
                print(row.cell.key, row.lower, row.upper, flush=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]), range(int(sys.argv[2])), int(sys.argv[3]))
