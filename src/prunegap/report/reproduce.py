"""How to get the same study again: the commands that ask for exactly its cells, and what made its rows."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from prunegap.report.palette import slots
from prunegap.study.row import Row


class Grid(NamedTuple):
    """What the cells of one command share beside dimensions and granularities."""

    readout: str
    init: str
    seconds: float | None
    max_width: int
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]


def commands(rows: Sequence[Row], directory: str) -> list[str]:
    """Return commands whose grids, together, are the cells of the rows, with the effort that went into them."""
    measured: dict[tuple[int, str, Grid], dict[float, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        cell, effort = row.cell, row.effort
        blank = Grid(cell.readout.value, cell.initialisation.value, effort.seconds, effort.max_width, (), ())
        measured[cell.dimension, cell.granularity.name, blank][cell.epsilon].add(cell.seed)
    names: dict[tuple[int, Grid], list[str]] = defaultdict(list)
    for (dimension, name, blank), seeds in measured.items():
        for grid in _grids(blank, seeds):
            names[dimension, grid].append(name)
    dimensions: dict[tuple[tuple[str, ...], Grid], list[int]] = defaultdict(list)
    for (dimension, grid), found in names.items():
        dimensions[tuple(slots(found)), grid].append(dimension)
    return [_command(numbers, found, grid, directory) for (found, grid), numbers in dimensions.items()]


def _grids(blank: Grid, seeds: dict[float, set[int]]) -> list[Grid]:
    """Return one grid for each set of seeds, with every epsilon that was measured at just those."""
    epsilons: dict[tuple[int, ...], list[float]] = defaultdict(list)
    for epsilon, members in seeds.items():
        epsilons[tuple(sorted(members))].append(epsilon)
    return [
        blank._replace(epsilons=tuple(sorted(found, reverse=True)), seeds=members)
        for members, found in epsilons.items()
    ]


def _command(dimensions: Sequence[int], names: Sequence[str], grid: Grid, directory: str) -> str:
    options = {
        "dimension": ",".join(map(str, sorted(dimensions))),
        "epsilon": ",".join(map(repr, grid.epsilons)),
        "granularity": ",".join(names),
        "readout": grid.readout,
        "init": grid.init,
        "seeds": _seeds(grid.seeds),
        "time-limit": "inf" if grid.seconds is None else f"{grid.seconds:g}",
        "max-width": str(grid.max_width),
        "out": shlex.quote(directory),
    }
    return "prunegap measure " + " ".join(f"--{name} {value}" for name, value in options.items())


def _seeds(seeds: Sequence[int]) -> str:
    is_range = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    # A single number alone would be a count; a range of one seed is that seed.
    return f"{seeds[0]}-{seeds[-1]}" if is_range else ",".join(map(str, seeds))


def origins(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """Return what made the rows: every stream, version and machine, each with its distinct values."""
    made = [row.provenance for row in rows]
    kinds = {
        "bit stream of the draws": [p.stream for p in made],
        "prunegap": [p.version for p in made],
        "Python": [p.python for p in made],
        "NumPy": [p.numpy for p in made],
        "OR-Tools": [p.ortools for p in made],
        "machine": [p.platform for p in made],
    }
    return [(name, sorted(set(values))) for name, values in kinds.items()]
