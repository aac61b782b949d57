"""Claim: blocks of two already pay the price of whole neurons, n:m pays the logarithm of single weights (d >= 3).

For every epsilon and seed it proves a lower end for block:K by the planes of its blocks (search/slices.py, one
question about a wide network) and looks for tickets: of block:2 plane by plane (search/planes.py), of 1:2 from single
weights (search/separable.py), each asked at narrower widths until it fails. With --tickets it reads more n:m and
weight tickets from a study. It prints medians and in how many draws the block's lower end is not below the n:m upper
end: there the block is proven wider at that epsilon, whatever the open intervals hide.

    prunegap measure --granularity weight,2:4,1:2 --dimension 4 --epsilon 0.1,0.01,0.001 --seeds 5 --out nm
    python benchmarks/granularity_width.py --dimension 4 --epsilon 0.1,0.01,0.001 --seeds 5 --tickets nm
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from prunegap.model.granularity import Block, NOfM
from prunegap.search.base import Budget, Deadline, Search
from prunegap.search.planes import PlaneTickets
from prunegap.search.registry import SWEEP, exact
from prunegap.search.separable import SeparableSearch
from prunegap.search.slices import InputSlices, slices_of
from prunegap.study.cell import Cell
from prunegap.study.store import Store

WIDEST = 1024


def block_bound(cell: Cell, seconds: float) -> int:
    """Return a width at which the cell is proven to hold no ticket, or -1."""
    problem = cell.problem(WIDEST)
    sweeps = [SWEEP.refusal(part) is None for part in slices_of(problem)]
    search = InputSlices((lambda _: SWEEP) if all(sweeps) else exact)
    return search.search(problem, Budget(seconds)).impossible_width


def ticket_width(cell: Cell, search: Search, start: int, seconds: float) -> int | None:
    """Return the width of the narrowest ticket that the search meets by widening from `start`, then bisecting."""
    deadline, low, high, width = Deadline(Budget(seconds)), start, None, start
    while not deadline.expired and (high is None or high > 1.04 * low + 1):
        width = math.ceil(1.3 * low) if high is None else math.isqrt(low * high)
        if width in (low, high):
            break
        found = search.search(cell.problem(width), Budget(max(0.01, deadline.remaining))).ticket_width
        low, high = (width, high) if found is None else (low, found)
    return high


def upper_ends(study: Path, dimension: int, seeds: int) -> dict[tuple[str, float, int], int]:
    """Return the width of the ticket found, by granularity, epsilon and seed."""
    cells = ((row.cell, row.upper) for row in Store(study).rows())
    return {
        (cell.granularity.name, cell.epsilon, cell.seed): upper
        for cell, upper in cells
        if upper is not None and cell.dimension == dimension and cell.seed < seeds
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=4)
    parser.add_argument("--block", type=int, default=2)
    parser.add_argument("--epsilon", default="0.1,0.05,0.02,0.01,0.005,0.002")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="wall clock for one end")
    parser.add_argument("--tickets", type=Path, help="a study with n:m cells of the same draws")
    asked = parser.parse_args()
    upper = upper_ends(asked.tickets, asked.dimension, asked.seeds) if asked.tickets else {}
    names = sorted({name for name, _, _ in upper})
    print(f"d = {asked.dimension}: lower and upper ends of block:{asked.block}, upper ends of 1:2, medians; CPU s")
    for epsilon in map(float, asked.epsilon.split(",")):
        start = time.process_time()
        cells = [Cell(asked.dimension, epsilon, Block(asked.block), seed) for seed in range(asked.seeds)]
        lower = [block_bound(cell, asked.seconds) for cell in cells]
        line = f"{epsilon:<7g} > {np.median(lower):<6g} ({min(lower)} to {max(lower)})"
        for name, search in (("block", PlaneTickets(6)), ("1:2", SeparableSearch())):
            asked_of = [replace(cell, granularity=NOfM(1, 2)) for cell in cells] if name == "1:2" else cells
            first = lower if name == "block" else [5 * asked.dimension] * len(cells)
            ends = [ticket_width(c, search, max(4, n), asked.seconds) for c, n in zip(asked_of, first, strict=True)]
            known = [n for n in ends if n is not None]
            if known:
                line += f"; {name} <= {np.median(known):g} ({min(known)} to {max(known)}, {len(known)} draws)"
        wider = sum(n is not None and low >= n for n, low in zip(ends, lower, strict=True))
        line += f"; block proven wider than 1:2 in {wider} of {len(known)}; {time.process_time() - start:.1f} s"
        for name in names:
            found = [upper.get((name, epsilon, seed)) for seed in range(asked.seeds)]
            known = [(n, low) for n, low in zip(found, lower, strict=True) if n is not None]
            if known:
                wider = sum(low >= n for n, low in known)
                line += f"; {name} <= {np.median([n for n, _ in known]):g}, block wider in {wider} of {len(known)}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
