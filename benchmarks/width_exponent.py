"""Claim: how the median minimal width grows with 1/eps, as a local slope and as a fitted exponent with its interval.

Reads a study (closed cells only; it says how many are not) and prints one table for each dimension, readout and
granularity. The exponent is the least-squares slope of log median width against log 1/eps over the epsilons from
--from down; its interval is the 95 % bootstrap over seeds. A description of the range measured, not a law beyond it.

    prunegap measure --granularity neuron --seeds 10 --epsilon 0.2,0.1,0.05,0.02,0.01,0.005,0.002,0.001 \\
        --time-limit 600 --out plane
    python benchmarks/width_exponent.py plane --from 0.01
"""

from __future__ import annotations

import argparse
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from prunegap.study.row import Row
from prunegap.study.store import Store
from prunegap.study.width import WidthStatus

REPEATS = 2000


def exponent(logs: NDArray[np.float64], steps: NDArray[np.float64], seeds: NDArray[np.int64]) -> float:
    """Return the slope of log median width over the chosen seeds; `logs` has a row per seed, a column per epsilon."""
    return float(np.polyfit(steps, np.log(np.median(np.exp(logs[seeds]), axis=0)), 1)[0])


def describe(name: str, rows: list[Row], greatest: float) -> None:
    """Print the table of one block and the exponent from `greatest` down."""
    print(name)
    print("  eps      closed  median   range      median x eps  slope   seconds: median, greatest")
    widths: dict[float, dict[int, int]] = {}
    medians: list[tuple[float, float]] = []
    for epsilon, group in groupby(sorted(rows, key=lambda r: -r.cell.epsilon), key=lambda r: r.cell.epsilon):
        cells = list(group)
        closed = {r.cell.seed: r.upper for r in cells if r.status is WidthStatus.CLOSED and r.upper is not None}
        seconds = [r.seconds for r in cells]
        line = f"  {epsilon:<8g} {len(closed)} of {len(cells)}"
        if len(closed) == len(cells):
            widths[epsilon] = closed
            median = float(np.median(list(closed.values())))
            medians.append((epsilon, median))
            line += f"  {median:<8g} {min(closed.values())}-{max(closed.values())}   {median * epsilon:.3f}"
        if len(medians) > 1 and medians[-1][0] == epsilon:
            (e0, m0), (e1, m1) = list(pairwise(medians))[-1]
            line += f"         {np.log(m1 / m0) / np.log(e0 / e1):.2f}"
        print(f"{line}   {np.median(seconds):.2f}, {max(seconds):.1f}")
    used = [e for e in widths if e <= greatest]
    seeds = sorted(set.intersection(*(set(widths[e]) for e in used))) if used else []
    if len(used) < 3 or len(seeds) < 3:
        print("  no exponent: fewer than three epsilons or seeds with every cell closed")
        return
    logs = np.log([[widths[e][seed] for e in used] for seed in seeds])
    steps = np.log(1.0 / np.array(used))
    generator = np.random.default_rng(0)
    draws = [exponent(logs, steps, generator.integers(0, len(seeds), len(seeds))) for _ in range(REPEATS)]
    low, high = np.quantile(draws, (0.025, 0.975))
    whole = exponent(logs, steps, np.arange(len(seeds)))
    print(f"  exponent from eps {used[0]:g} to {used[-1]:g}: {whole:.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="directory of a study")
    parser.add_argument("--from", dest="greatest", type=float, default=0.01, help="greatest epsilon of the fit")
    options = parser.parse_args()
    with Store(options.study) as store:
        rows = store.rows()

    def block(row: Row) -> tuple[int, str, str, str]:
        cell = row.cell
        return cell.dimension, cell.readout.value, cell.initialisation.value, cell.granularity.name

    for key, group in groupby(sorted(rows, key=block), key=block):
        describe("d = {}, {} readout, {} init, {} pruning".format(*key), list(group), options.greatest)


if __name__ == "__main__":
    main()
