"""Peers of the subset-sum kernel that solve integers: flsss and dpss, in whatever interpreter has them.

`benchmarks/subset_sum.py --peer-python PATH` runs this file there and reads one JSON line a peer: name, version,
median CPU seconds a problem, problems solved, median error of those. Values and targets come as integers on standard
input (one JSON object), so that every peer gets the very same problems. Only numpy is needed besides the peer.

* flsss (0.1: the C++ core of the R package FLSSS): the first subset with a sum in [target - within, target + within].
* dpss: all subsets whose sum is exactly `target`, negative values allowed; it has no tolerance, so its problems are
  coarser integers whose target some subset meets.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
import time
from collections.abc import Callable

SECONDS = 10.0


def by_flsss(values: list[int], target: int, within: int) -> int:
    """Return the error of the first subset found."""
    import flsss
    import numpy as np

    row = np.array(values, dtype=np.int64).reshape(-1, 1)
    low, high = np.array([target - within]), np.array([target + within])
    found = flsss.gen(row, low, high, n_solutions=1, n_threads=1)
    return abs(sum(values[i] for i in found[0]) - target) if found else -1


def by_dpss(values: list[int], target: int, within: int) -> int:
    """Return the error of a subset that meets the target exactly."""
    import dpss

    found = dpss.find_subset(values, target, len(values))
    return abs(sum(found[0]) - target) if found else -1


PEERS: dict[str, Callable[[list[int], int, int], int]] = {"flsss": by_flsss, "dpss": by_dpss}


def main() -> None:
    """Solve the problems on standard input with the peers that are installed."""
    asked = json.load(sys.stdin)
    for name, solve in PEERS.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        given = asked[name]
        times, errors, start = [], [], time.perf_counter()
        for values, target in zip(given["values"], given["targets"], strict=True):
            began = time.process_time()
            error = solve(values, target, given["within"])
            times.append(time.process_time() - began)
            errors.append(error)
            if time.perf_counter() - start > SECONDS:
                break
        met = [error for error in errors if error >= 0]
        answer = {"name": name, "version": version, "seconds": statistics.median(times), "solved": len(met)}
        print(json.dumps(answer | {"of": len(errors), "error": statistics.median(met) if met else None}), flush=True)


if __name__ == "__main__":
    main()
