"""Claim: prunegap decides neuron pruning faster than general solvers given the same 0-1 program.

Each cell's minimal width is found by prunegap's own choice of search and by the peers CP-SAT, HiGHS and, where it is
installed and its licence allows, Gurobi, each inside the same loop of lazily added inputs, the same bracketing and
the same certificates. One thread each (`--threads` gives more to prunegap and CP-SAT), in the same run, so only the
ratios mean anything.

    python benchmarks/neuron_search.py --epsilon 0.1,0.05,0.02 --seeds 10 --limit 60
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from prunegap.cli.lists import seeds as parse_seeds
from prunegap.model.granularity import Neuron
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.search import program
from prunegap.search.base import Deadline, Search
from prunegap.search.program import ZeroOneProgram
from prunegap.search.registry import choose
from prunegap.search.solver import Solver, Verdict
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, Overseer, WidthStatus, minimal_width


class HighsSolver:
    """The peer HiGHS behind the interface of prunegap's own solver: rows are added, one solve a round."""

    def __init__(self, groups: list[list[int]], count: int) -> None:
        import highspy

        self.model = highspy.Highs()
        self.model.setOptionValue("output_flag", False)
        self.model.setOptionValue("threads", 1)
        self.count = count
        for _ in range(count):
            self.model.addVariable(lb=0.0, ub=1.0, type=highspy.HighsVarType.kInteger)
        for group in groups:
            if len(group) > 1:
                self.model.addRow(0.0, 1.0, len(group), np.array(group), np.ones(len(group)))
        self.statuses = highspy.HighsModelStatus

    def add(self, coefficients: Any, lower: Any, upper: Any) -> None:
        columns = np.arange(self.count, dtype=np.int32)
        for row, low, high in zip(coefficients, lower, upper, strict=True):
            scale = float(np.abs(row).max(initial=1))
            self.model.addRow(float(low) / scale, float(high) / scale, self.count, columns, row / scale)

    def exclude(self, chosen: Any) -> None:
        row = np.ones(self.count)
        row[chosen] = -1.0
        self.model.addRow(1.0 - len(chosen), math.inf, self.count, np.arange(self.count, dtype=np.int32), row)

    def solve(self, deadline: Deadline) -> tuple[Verdict, Any]:
        self.model.setOptionValue("time_limit", self.model.getRunTime() + max(0.01, deadline.remaining))
        self.model.run()
        status = self.model.getModelStatus()
        if status == self.statuses.kInfeasible:
            return Verdict.INFEASIBLE, np.zeros(0, dtype=np.int64)
        if status != self.statuses.kOptimal:
            return Verdict.STOPPED, np.zeros(0, dtype=np.int64)
        return Verdict.SOLUTION, np.flatnonzero(np.array(self.model.getSolution().col_value) > 0.5)


GUROBI_ROWS = 2000
"""Rows and variables that the licence which comes with the package takes."""


class GurobiSolver:
    """The peer Gurobi behind the same interface; its free licence takes 2,000 variables and rows."""

    def __init__(self, groups: list[list[int]], count: int) -> None:
        import gurobipy

        self.api = gurobipy
        self.model = gurobipy.Model(env=gurobipy.Env(params={"OutputFlag": 0}))
        self.model.Params.Threads = 1
        self.choice = self.model.addMVar(count, vtype=gurobipy.GRB.BINARY)
        for group in groups:
            if len(group) > 1:
                self.model.addConstr(self.choice[group].sum() <= 1)

    def add(self, coefficients: Any, lower: Any, upper: Any) -> None:
        for row, low, high in zip(coefficients, lower, upper, strict=True):
            scale = float(np.abs(row).max(initial=1))
            self.model.addConstr((row / scale) @ self.choice <= float(high) / scale)
            self.model.addConstr((row / scale) @ self.choice >= float(low) / scale)

    def exclude(self, chosen: Any) -> None:
        row = np.ones(self.choice.size)
        row[chosen] = -1.0
        self.model.addConstr(row @ self.choice >= 1.0 - len(chosen))

    def solve(self, deadline: Deadline) -> tuple[Verdict, Any]:
        self.model.Params.TimeLimit = max(0.01, min(1e6, deadline.remaining))
        try:
            self.model.optimize()
        except self.api.GurobiError:
            if self.model.NumConstrs <= GUROBI_ROWS:
                raise
            return Verdict.STOPPED, np.zeros(0, dtype=np.int64)  # the licence refuses so many rows
        if self.model.Status in (self.api.GRB.INFEASIBLE, self.api.GRB.INF_OR_UNBD):
            return Verdict.INFEASIBLE, np.zeros(0, dtype=np.int64)
        if self.model.SolCount == 0:
            return Verdict.STOPPED, np.zeros(0, dtype=np.int64)
        return Verdict.SOLUTION, np.flatnonzero(self.choice.X > 0.5)


PEERS: dict[str, tuple[str, Any]] = {
    "CP-SAT": ("ortools", Solver),
    "HiGHS": ("highspy", HighsSolver),
    "Gurobi": ("gurobipy", GurobiSolver),
}


def timed(cell: Cell, limit: float, chooser: Callable[[Problem], Search], threads: int = 1) -> tuple[float, str]:
    """Return seconds (at least the limit where the interval was not closed) and the interval."""
    begin = time.perf_counter()
    width = minimal_width(cell, Effort(limit, 4096), choose=chooser, overseer=Overseer(threads=lambda: threads))
    seconds = time.perf_counter() - begin
    closed = width.status is WidthStatus.CLOSED
    return (seconds if closed else max(seconds, limit)), f"({width.lower}, {width.upper}]" + (
        "" if closed else " open"
    )


def measure_one(name: str, cells: list[Cell], limit: float, threads: int) -> None:
    """Print one JSON line a cell for one system; its own process, since HiGHS and OR-Tools share symbols."""
    chooser: Callable[[Problem], Search] = choose
    if name != "prunegap":
        program.Solver = PEERS[name][1]  # type: ignore[misc]
        chooser = lambda _: ZeroOneProgram()  # noqa: E731
    timed(Cell(cells[0].dimension, 0.5, Neuron(), 0), 60.0, chooser)  # loads and compiles
    for epsilon in (0.3, 0.02, 0.012) if name == "prunegap" else ():
        timed(Cell(2, epsilon, Neuron(), 1), 60.0, chooser)
    for cell in cells:
        print(json.dumps(timed(cell, limit, chooser, threads)), flush=True)


def measured(name: str, epsilon: float, options: argparse.Namespace) -> list[tuple[float, str]]:
    """Run one system over the seeds of one epsilon in a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--epsilon", str(epsilon), "--seeds", options.seeds]
    command += ["--dimension", str(options.dimension), "--readout", options.readout, "--limit", str(options.limit)]
    command += ["--threads", str(options.threads)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    # Gurobi announces its licence on standard output.
    return [tuple(json.loads(line)) for line in lines if line.startswith("[")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=2)
    parser.add_argument("--epsilon", default="0.1,0.05,0.02")
    parser.add_argument("--seeds", default="10")
    parser.add_argument("--readout", default="relu")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a cell and solver")
    parser.add_argument("--threads", type=int, default=1, help="of prunegap and CP-SAT; the other peers take one")
    parser.add_argument("--peers", default="CP-SAT,HiGHS,Gurobi", help="peers by comma; an empty string for none")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    epsilons, seeds = [float(text) for text in options.epsilon.split(",")], parse_seeds(options.seeds)
    if options.only:
        readout = Readout.parse(options.readout)
        cells = [Cell(options.dimension, e, Neuron(), seed, readout) for e in epsilons for seed in seeds]
        return measure_one(options.only, cells, options.limit, options.threads)
    peers = [p for p in options.peers.split(",") if p and importlib.util.find_spec(PEERS[p][0])]
    versions = ", ".join(f"{p} {importlib.metadata.version(PEERS[p][0])}" for p in peers)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {versions}; {options.threads} threads", flush=True
    )
    for epsilon in epsilons:
        ours = measured("prunegap", epsilon, options)
        print(f"d={options.dimension} eps={epsilon:g} {options.readout}: {' '.join(width for _, width in ours)}")
        own = [seconds for seconds, _ in ours]
        print(f"  prunegap: median {statistics.median(own):.3f} s, greatest {max(own):.3f} s", flush=True)
        for peer in peers:
            theirs = measured(peer, epsilon, options)
            past = [seconds for seconds, _ in theirs]
            ratio = statistics.geometric_mean(a / b for a, b in zip(past, own, strict=True))
            still_open = sum(width.endswith("open") for _, width in theirs)
            print(
                f"  {peer}: median {statistics.median(past):.3f} s, greatest {max(past):.3f} s, "
                f"{still_open} not closed (counted as the limit); {ratio:.1f} times prunegap's, geometric mean",
                flush=True,
            )


if __name__ == "__main__":
    main()
