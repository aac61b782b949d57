"""`prunegap measure`: a grid of cells, its study on disk, a table, a sentence, a picture."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from prunegap.cli import lists
from prunegap.cli.progress import Progress
from prunegap.model.draw import Initialisation
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Readout
from prunegap.report.figures import draw_widths
from prunegap.report.sentence import sentence
from prunegap.report.table import table
from prunegap.study.cell import Cell, grid
from prunegap.study.cluster import Cluster
from prunegap.study.crew import CannotStartError
from prunegap.study.row import Row
from prunegap.study.summary import blocks
from prunegap.study.sweep import measure
from prunegap.study.width import Effort
from prunegap.study.workers import LostWorkersError, Processes, Workers

SCHEMA = 1
"""Version of the object that --json prints; docs/json-schema.md is the promise."""


@dataclass(frozen=True)
class Asked:
    """The options that name the cells, as they were typed."""

    dimension: str
    epsilon: str
    granularity: str
    readout: str
    init: str
    seeds: str

    def cells(self) -> list[Cell]:
        """Return the cells; raises BadInputError for whatever is not one."""
        return grid(
            lists.listed("dimension", self.dimension, lists.dimension),
            lists.listed("epsilon", self.epsilon, lists.epsilon),
            lists.listed("granularity", self.granularity, parse_granularity),
            lists.listed("readout", self.readout, Readout.parse),
            lists.listed("init", self.init, Initialisation.parse),
            lists.seeds(self.seeds),
        )


@dataclass(frozen=True)
class Manner:
    """How to go about it: who runs the cells, whether open ones get more time, and what is told on the way."""

    workers: int | None = None
    cluster: str | None = None
    refine: bool = False
    quiet: bool = False
    log_file: Path | None = None

    def crew(self) -> Workers:
        """Return who runs the cells; raises BadInputError for options that exclude each other."""
        if self.cluster is None:
            return Processes(_available_cores() if self.workers is None else self.workers)
        if self.workers is not None:
            raise BadInputError(f"workers {self.workers}", "has no meaning on a cluster", "leave out --workers")
        return Cluster(self.cluster)


def run(asked: Asked, max_width: int, time_limit: float, manner: Manner, out: Path, as_json: bool) -> None:
    """Measure, draw and print."""
    effort, cells = Effort(lists.time_limit(time_limit), max_width), asked.cells()
    with manner.crew() as crew:
        progress = Progress(len(cells), manner.quiet, manner.log_file)
        try:
            with progress:
                rows = measure(cells, out, effort, crew, refine=manner.refine, watch=progress.watch)
        except (LostWorkersError, CannotStartError) as error:
            print(f"error: {error}; {_goes_on(progress, out)}", file=sys.stderr)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C finds everything ending already
            print(f"interrupted: {_goes_on(progress, out)}", file=sys.stderr)
            raise typer.Exit(130) from None
    found = blocks(rows)
    drawn = draw_widths(found, out / "width.svg", out / "width.png")
    if as_json:
        print(json.dumps({"schema": SCHEMA, "cells": [as_object(row) for row in rows]}))
    else:
        print("\n\n".join(f"{table(block)}\n\n{sentence(block)}" for block in found))
    if not manner.quiet:
        _say_where(out, rows, drawn)


def as_object(row: Row) -> dict[str, object]:
    """Return the row as the JSON object that docs/json-schema.md promises."""
    return {
        "dimension": row.cell.dimension,
        "epsilon": row.cell.epsilon,
        "granularity": row.cell.granularity.name,
        "readout": row.cell.readout.value,
        "init": row.cell.initialisation.value,
        "seed": row.cell.seed,
        "lower": row.lower,
        "upper": row.upper,
        "status": row.status.value,
        "seconds": row.seconds,
    }


def _goes_on(progress: Progress, out: Path) -> str:
    return f"{progress.done} of {progress.total} cells are stored in {out} and the same command goes on from there"


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _say_where(out: Path, rows: Sequence[Row], drawn: bool) -> None:
    tickets = sum(row.ticket is not None for row in rows)
    picture = "width.svg, width.png, " if drawn else ""
    print(f"in {out}: {picture}study.sqlite, tickets/ ({tickets} for these cells)", file=sys.stderr)
