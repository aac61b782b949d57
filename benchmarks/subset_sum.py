"""Best subset of n = 21 uniform values: prunegap beside HiGHS, Gurobi, flsss, dpss and numpy; prints the ratios.

Run: python benchmarks/subset_sum.py [--workers 2] [--peer-python PATH], or --sizes 8,16,21
(NUMBA_CPU_NAME=haswell and an empty NUMBA_CPU_FEATURES give the code of another processor). Peers that are not
installed are left out (pip install highspy gurobipy; flsss and dpss in an environment of their own, named by PATH).
Every peer gets the same problems, as many as it can solve in a few seconds, on one thread; CPU seconds are counted,
so that a busy machine is no excuse.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prunegap.kernels.lanes import LANES
from prunegap.kernels.subset_sum import best_masks_kernel, best_subset, best_subsets, workspace
from prunegap.kernels.sums_abreast import best_masks_abreast

COUNT = 21
WITHIN = 1e-5
SECONDS = 5.0


def problems(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` rows of 21 values and their targets, all U[-1, 1]."""
    random = np.random.default_rng(0)
    return random.uniform(-1.0, 1.0, (count, COUNT)), random.uniform(-1.0, 1.0, count)


def by_enumeration(row: np.ndarray, target: float) -> float:
    """Return the least error over all 2^21 sums, listed by numpy."""
    sums = np.zeros(1)
    for value in row:
        sums = np.concatenate([sums, sums + value])
    return float(np.abs(sums - target).min())


def by_highs(row: np.ndarray, target: float) -> float:
    """Return the error of the first subset within WITHIN that HiGHS finds (the feasibility form)."""
    import highspy

    model = highspy.Highs()
    model.silent()
    model.setOptionValue("threads", 1)
    model.setOptionValue("mip_feasibility_tolerance", 1e-9)
    kept = [model.addBinary() for _ in row]
    reached = sum(float(value) * bit for value, bit in zip(row, kept, strict=True))
    model.addConstr(reached <= target + WITHIN)
    model.addConstr(reached >= target - WITHIN)
    model.run()
    values = model.getSolution().col_value
    return abs(float(np.round(values[:COUNT]) @ row) - target) if len(values) else float("inf")


def by_gurobi(row: np.ndarray, target: float) -> float:
    """Return the least |sum - target| as Gurobi minimises it (the form of Pensia et al.)."""
    import gurobipy

    with gurobipy.Env(params={"OutputFlag": 0, "Threads": 1}) as env, gurobipy.Model(env=env) as model:
        kept = model.addMVar(COUNT, vtype="B")
        error = model.addVar()
        model.addConstr(row @ kept - target <= error)
        model.addConstr(target - row @ kept <= error)
        model.setObjective(error)
        model.optimize()
        return abs(float(np.round(kept.X) @ row) - target)


def seconds_each(solve: Callable[[np.ndarray, float], float]) -> tuple[float, int, float]:
    """Return the median CPU seconds of a problem, how many were solved and the median error."""
    rows, targets = problems(1000)
    solve(rows[0], float(targets[0]))
    times, errors, start = [], [], time.perf_counter()
    for row, target in zip(rows, targets, strict=True):
        began = time.process_time()
        errors.append(solve(row, float(target)))
        times.append(time.process_time() - began)
        if time.perf_counter() - start > SECONDS:
            break
    return statistics.median(times), len(times), statistics.median(errors)


def ours(workers: int, within: float) -> tuple[float, float, float]:
    """Return CPU seconds a problem and problems a second of wall clock (medians of five batches), and the error."""
    rows, targets = problems(50_000)
    best_subsets(rows[:10], targets[:10])
    spent, rates, errors = [], [], np.zeros(0)
    for _ in range(5):
        cpu, wall = time.process_time(), time.perf_counter()
        errors = best_subsets(rows, targets, within=within, workers=workers)[1]
        spent.append((time.process_time() - cpu) / len(rows))
        rates.append(len(rows) / (time.perf_counter() - wall))
    return statistics.median(spent), statistics.median(rates), float(np.median(errors))


def integer_peers(python: str) -> None:
    """Print what the integer peers installed for another interpreter take, and prunegap on the same integers."""
    rows, targets = problems(200)
    fine = np.rint(1e9 * rows), np.rint(1e9 * targets), 1e9 * WITHIN
    # dpss meets sums exactly: 10^5 steps a value, and the target is the sum of every third value.
    coarse = np.rint(1e5 * rows)
    asked = {"flsss": fine, "dpss": (coarse, coarse[:, ::3].sum(axis=1), 0.0)}
    given = {
        name: {"values": v.astype(int).tolist(), "targets": t.astype(int).tolist(), "within": int(w)}
        for name, (v, t, w) in asked.items()
    }
    script = Path(__file__).with_name("subset_sum_peers.py")
    answers = subprocess.run([python, script], input=json.dumps(given), capture_output=True, text=True, check=True)
    for line in answers.stdout.splitlines():
        answer = json.loads(line)
        values, goals, within = asked[answer["name"]]
        mine = []
        for _ in range(20):
            began = time.process_time()
            errors = best_subsets(values, goals, within=within)[1]
            mine.append((time.process_time() - began) / len(values))
        spent, met = statistics.median(mine), int((errors <= within).sum())
        print(
            f"{answer['name']} {answer['version']} (integers, within {within:g}): {1e6 * answer['seconds']:,.0f} us"
        )
        print(f"  {answer['solved']} of {answer['of']} met, error {answer['error']}; prunegap {1e6 * spent:.1f} us")
        print(f"  {met} of {len(values)} met; ratio {answer['seconds'] / spent:,.0f}x")


def by_size(sizes: list[int]) -> None:
    """Print what a problem of each size takes one at a time and abreast, the least of five batches."""
    print("n: CPU microseconds a problem one at a time, and abreast, on one thread")
    for n in sizes:
        count = LANES * max(1, round(2 ** min(9.0, 18.0 - n / 2)))
        random = np.random.default_rng(0)
        rows, targets = random.uniform(-1.0, 1.0, (count, n)), random.uniform(-1.0, 1.0, count)
        masks, enough, left_right = np.zeros(count, dtype=np.int64), np.full(count, -1.0), workspace(n)
        calls = (
            lambda a=(rows, targets, enough, -1, *left_right, masks): best_masks_kernel(*a),
            lambda a=(rows, targets, enough, masks): best_masks_abreast(*a),
        )
        times = []
        for call in calls:
            call()
            spent = []
            for _ in range(5):
                began = time.process_time()
                call()
                spent.append((time.process_time() - began) / count)
            times.append(1e6 * min(spent))
        print(f"{n}: {times[0]:.2f}, {times[1]:.2f}, {times[0] / times[1]:.1f} times as fast", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-python", default=None)
    parser.add_argument("--sizes", help="numbers of values by comma: only what one at a time and abreast take")
    options = parser.parse_args()
    workers = options.workers
    if options.sizes:
        return by_size([int(text) for text in options.sizes.split(",")])
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {workers} workers")
    print(f"n = {COUNT}, values and targets U[-1, 1], float64; CPU microseconds a problem, medians")
    best = ours(workers, 0.0)
    first = ours(workers, WITHIN)
    for name, (spent, rate, error) in {"best": best, f"first within {WITHIN:g}": first}.items():
        core = 1.0 / spent
        print(f"prunegap, {name}: {1e6 * spent:.1f} us, {core:,.0f}/s a core, {rate:,.0f}/s here, error {error:.1e}")
    row, target = (array[0] for array in problems(1))
    assert abs(best_subset(row, float(target))[1] - by_enumeration(row, float(target))) < 1e-12
    peers = {
        "numpy enumeration (best)": ("numpy", by_enumeration, best),
        f"HiGHS (feasible within {WITHIN:g})": ("highspy", by_highs, first),
        "Gurobi (minimising)": ("gurobipy", by_gurobi, best),
    }
    for name, (package, solve, mine) in peers.items():
        try:
            version = importlib.metadata.version(package)
            spent, solved, error = seconds_each(solve)
        except Exception as missing:
            print(f"{name}: not run ({missing})")
            continue
        ratio = spent / mine[0]
        print(f"{name} {version}: {1e6 * spent:,.0f} us ({solved} problems, error {error:.1e}), ratio {ratio:,.0f}x")
    if options.peer_python:
        integer_peers(options.peer_python)


if __name__ == "__main__":
    main()
