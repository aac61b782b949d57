"""Best subsets of n = 21 uniform values on a CUDA device, what bounds them, and the ticket of a 784-500-10 network.

Run: python benchmarks/subset_sum_gpu.py [--data ../shared/data] on a machine with an NVIDIA GPU; elsewhere it says
that there is none and ends with code 2. Printed are problems a second for blocks of 32 to 256 threads, data on the
device, as parts of the bound; 397,000 problems from and to the host; the same on the processor; whether the answers
are the same; and the seconds of the ticket on either.

The bound is that of shared memory: multiprocessors times clock over the cycles that the accesses of one problem take
in 32 banks. `--count` measures these cycles without a GPU: it compiles the kernel for the processor, with doubles
that count (counted_double.h), and runs random problems. That needs a C++ compiler.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from prunegap import nn as tickets
from prunegap.kernels.subset_sum import best_subsets
from prunegap.model.errors import BadInputError
from prunegap.nn.device import find_device
from prunegap.nn.subset_sum_gpu import nearest_masks, unpacked
from prunegap.nn.ticket_file import ticket_bytes

COUNT = 21
PROBLEMS = 397_000
CHECKED = 20_000
CYCLES = {32: 3835, 64: 4442, 128: 5296, 256: 6448}
"""Cycles of shared memory that a problem takes, by threads: as `--count` prints them."""
CLOCK = 1.755e9
"""Cycles a second of an H100 SXM under load, where torch does not tell."""
HERE = Path(__file__).resolve().parent
COUNTING = """
#include <cstdio>
#include <tuple>
#include "cuda_block.h"
#include "counted_double.h"
#include "subset_sum.cu"
#undef double
int main() {{
    const int problems = 20;
    static double rows[problems * COUNT], targets[problems];
    static int masks[problems];
    std::mt19937 random(1);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (auto& x : rows) x = uniform(random);
    for (auto& x : targets) x = uniform(random);
    block::at_barrier = counts::settle;
    block::run(problems, THREADS, [&] {{ best_subsets((Counted*)rows, (Counted*)targets, Counted(0.0), masks); }});
    const double each = 1.0 / problems;
    printf("%d threads: %.0f additions, %.0f comparisons, %.0f accesses to shared memory, which take %.0f cycles\\n",
        THREADS, counts::additions * each, counts::comparisons * each, counts::lanes * each, counts::cycles * each);
}}
"""


def counted(threads: int) -> str:
    """Return the line that tells what one problem takes, counted on this processor."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise BadInputError("--count", "needs a C++ compiler", "install one, or leave it out")
    root = HERE.parent
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "count.cpp", Path(folder) / "count"
        source.write_text(COUNTING.format())
        includes = [f"-I{path}" for path in (HERE, root / "tests" / "nn", root / "src" / "prunegap" / "nn")]
        sizes = [f"-DCOUNT={COUNT}", f"-DTHREADS={threads}"]
        flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas"]
        subprocess.run([compiler, *flags, *sizes, *includes, str(source), "-o", str(program)], check=True)
        return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.strip()


def seconds(work: Callable[[], object], rounds: int = 7) -> float:
    """Return the median seconds of some work on the device or off it, after one round that is not counted."""
    times = []
    for _ in range(rounds + 1):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def subset_sums(device: torch.device, workers: int) -> None:
    """Print problems a second, the part of the bound, the processor beside it, and whether answers are the same."""
    random = np.random.default_rng(0)
    values, targets = random.uniform(-1.0, 1.0, (PROBLEMS, COUNT)), random.uniform(-1.0, 1.0, PROBLEMS)
    on_device = torch.from_numpy(values).to(device), torch.from_numpy(targets).to(device)
    card = torch.cuda.get_device_properties(device)
    clock = 1e3 * getattr(card, "clock_rate", CLOCK / 1e3)
    print(
        f"{card.name}, {card.multi_processor_count} multiprocessors, {clock / 1e9:.3f} GHz, torch {torch.__version__}"
    )
    print(f"n = {COUNT}, best subset, values and targets U[-1, 1], float64, {PROBLEMS:,} problems, medians of 7")
    chosen, errors = best_subsets(values[:CHECKED], targets[:CHECKED], workers=workers)
    for threads, cycles in CYCLES.items():
        took = seconds(lambda threads=threads: nearest_masks(*on_device, threads=threads))
        bound = card.multi_processor_count * clock / cycles
        masks, exact = nearest_masks(*on_device, threads=threads)
        same = np.array_equal(unpacked(masks[:CHECKED], COUNT).cpu().numpy(), chosen)
        same = same and np.array_equal(exact[:CHECKED].cpu().numpy(), errors)
        print(
            f"  {threads:3d} threads: {PROBLEMS / took:,.0f}/s, {1e3 * took:.1f} ms, {PROBLEMS / took / bound:.0%}"
            f" of the bound {bound:,.0f}/s; {CHECKED:,} answers as on the processor: {same}"
        )
    both_ways = seconds(lambda: tickets.best_subsets_on(str(device), values, targets))
    began = time.perf_counter()
    best_subsets(values[:CHECKED], targets[:CHECKED], workers=workers)
    here = CHECKED / (time.perf_counter() - began)
    print(f"  from and to the host: {1e3 * both_ways:.1f} ms, {PROBLEMS / both_ways:,.0f}/s")
    print(
        f"  processor, {workers} workers: {here:,.0f}/s; the device, copies included, is "
        f"{PROBLEMS / both_ways / here:,.0f} times as fast"
    )


def ticket(device: torch.device, path: Path) -> None:
    """Print the seconds that the ticket of the 784-500-10 network takes on the device and on the processor."""
    if not path.exists():
        print(f"784-500-10: left out, there is no {path}")
        return
    target = tickets.read_target(path, "fc1 relu fc2", (784,))
    made: dict[str, bytes] = {}
    for where in ("cpu", str(device)):
        times = []
        for _ in range(4):
            began = time.perf_counter()
            making = tickets.make_ticket(target, 0.01, 0, inputs=tickets.InputSet(), device=where)
            times.append(time.perf_counter() - began)
        if making.ticket is None:
            raise SystemExit("impossible")
        made[where] = ticket_bytes(making.ticket)
        print(
            f"784-500-10 on {where}: {statistics.median(times[1:]):.2f} s, "
            f"the first, with compilation, {times[0]:.2f} s"
        )
    print(f"  the same ticket on both: {made['cpu'] == made[str(device)]}")


def main() -> None:
    """Count, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data", help="trained networks")
    parser.add_argument("--count", action="store_true", help="count what a problem takes, without a GPU")
    asked = parser.parse_args()
    try:
        if asked.count:
            print(f"n = {COUNT}, per problem")
            for threads in CYCLES:
                print(counted(threads), flush=True)
            return
        device = find_device(asked.device)
        if device.type != "cuda":
            raise BadInputError(
                f"device {asked.device!r}", "must be a GPU here", "run benchmarks/subset_sum.py instead"
            )
    except BadInputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    subset_sums(device, asked.workers)
    ticket(device, asked.data / "mnist_fc_784_500_10.safetensors")


if __name__ == "__main__":
    main()
