"""Claim: the 95 % intervals of a fitted law hold the true parameter, in simulated and heavily censored studies.

    python benchmarks/law_recovery.py --simulations 200

Prints, for each truth, the share of cells that are closed, for each parameter in how many simulations its interval
held the truth and the median length of the interval over the truth, and the CPU time of a fit. Widths of one seed
are correlated, and some truths scatter by another law than the fit assumes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from prunegap.laws.family import Family
from prunegap.laws.fit import Fit, fit
from prunegap.laws.observation import Cells
from prunegap.laws.simulate import Truth, simulate

EPSILONS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
LOG = Truth(10.0, 3.0, 1.0, None, limits=(20.0, 120.0))
POWER = Truth(15.0, 1.0, 1.0, 0.75, limits=(60.0, 400.0))
CASES = {
    "log": (LOG, (2, 3), 10),
    "log, 5 seeds": (LOG, (2, 3), 5),
    "log, d = 2 alone": (LOG, (2,), 10),
    "power": (POWER, (2, 3), 10),
    "power, 5 seeds": (POWER, (2, 3), 5),
    "power, d = 2 alone": (POWER, (2,), 10),
    "power, strong correlation": (Truth(15.0, 1.0, 1.0, 0.75, shared=0.8, limits=(60.0, 400.0)), (2, 3), 10),
    "power, normal scatter": (Truth(15.0, 1.0, 1.0, 0.75, tails="normal", limits=(60.0, 400.0)), (2, 3), 10),
    "power, three dimensions, 30 seeds": (POWER, (2, 3, 4), 30),
}


def report(name: str, truth: Truth, dimensions: tuple[int, ...], seeds: int, simulations: int) -> None:
    """Print one truth's line."""
    held = dict.fromkeys("abpq", 0)
    widths: dict[str, list[float]] = {key: [] for key in "abpq"}
    closed, fitted, seconds = [], 0, time.process_time()
    for number in range(simulations):
        observations = simulate(truth, dimensions, EPSILONS, seeds, number)
        cells = Cells.of(observations)
        closed.append(cells.closed / len(observations))
        result = fit(observations, truth.family, seed=number)
        if not isinstance(result, Fit):
            continue
        fitted += 1
        true_b = truth.b if result.p is not None else truth.b * dimensions[0] ** truth.p
        for key, value in (("a", truth.a), ("b", true_b), ("p", truth.p), ("q", truth.q)):
            estimate = getattr(result, key)
            if estimate is not None and value is not None:
                held[key] += estimate.holds(value)
                widths[key].append((estimate.high - estimate.low) / value)
    seconds = (time.process_time() - seconds) / simulations
    parts = [f"{key} {held[key]}/{fitted} ({np.median(widths[key]):.2f})" for key in "abpq" if widths[key]]
    print(f"{name:36s} closed {np.mean(closed):.0%}  {'  '.join(parts)}  {seconds:.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--only", default="", help="a part of the name")
    options = parser.parse_args()
    print(f"families: {', '.join(f.formula for f in Family)}; held / fitted (median interval length over the truth)")
    for name, (truth, dimensions, seeds) in CASES.items():
        if options.only in name:
            report(name, truth, dimensions, seeds, options.simulations)


if __name__ == "__main__":
    main()
