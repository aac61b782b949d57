"""Claim: 35 architectures lose 30 % of their prunable width and agree with their masked twins. Peer: Torch-Pruning.

Own environment (torchvision and timm are no dependencies of prunegap):

    python -m venv shrinkenv && . shrinkenv/bin/activate
    pip install -e '.[torch,onnx]' 'torchvision' timm torch-pruning
    python benchmarks/shrink_models.py            # all; or names; --peer runs Torch-Pruning instead

Every model is randomly initialised, then *stirred*: norms, biases, layer scales and zero weights get random
values, batch norms the statistics of the inputs, since in a fresh model whole branches are multiplied by 0 or 1e-6,
which hides mistakes. From every group 30 % of the units (rounded, at least one) are removed at random. Each model has
its own process. A model counts when it agrees to 1e-4, its parameters went down, and it took at most 60 s of wall or
of process time (of two threads; on idle cores wall time is less than process time).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

TORCHVISION = [
    "resnet18", "resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0",
    "convnext_tiny", "regnet_x_400mf", "regnet_y_400mf", "shufflenet_v2_x1_0", "squeezenet1_1", "googlenet",
    "inception_v3", "vgg11_bn", "mnasnet1_0", "vit_b_16", "swin_t", "swin_v2_t", "maxvit_t", "alexnet",
]  # fmt: skip
TIMM = [
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "mixer_s32_224", "levit_128s", "efficientvit_b0",
    "mobilevit_s", "edgenext_xx_small", "repvgg_a0", "ghostnet_100", "fastvit_t8", "hrnet_w18_small",
    "coatnet_nano_rw_224", "convmixer_768_32", "resnest14d", "mobilenetv4_conv_small",
]  # fmt: skip
LIMIT_S = 60.0


def import_torchvision() -> Any:
    """torchvision, whose compiled operators may not load beside a CPU torch: declare the two it names on import."""
    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        import torchvision
    return torchvision


def build(name: str) -> tuple[nn.Module, torch.Tensor]:
    torchvision = import_torchvision()
    torch.manual_seed(0)
    if name in TORCHVISION:
        model = torchvision.models.get_model(name, weights=None)
    else:
        import timm

        model = timm.create_model(name)
    x = torch.randn(2, 3, *[299 if name == "inception_v3" else 224] * 2)
    stir(model, x)
    return model.eval(), x


def stir(model: nn.Module, x: torch.Tensor) -> None:
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.numel() == max(p.shape, default=1):
                p.add_(torch.randn(p.shape, generator=source) * 0.3)
            elif float(p.abs().max()) < 1e-3:
                p.add_(torch.randn(p.shape, generator=source) / p[0].numel() ** 0.5)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        model.train()
        model(x)


def prunegap_once(model: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    from prunegap.trained.structure import agreement, count, masked, shrunk, trace

    structure = trace(model, x)
    rng, keep, units, removed = np.random.default_rng(0), {}, 0, 0
    for group in structure.groups:
        gone = min(group.units - 1, max(1, round(0.3 * group.units)))
        keep[group.name] = np.isin(np.arange(group.units), rng.permutation(group.units)[gone:])
        units, removed = units + group.units, removed + gone
    small = shrunk(model, structure, keep)
    before, after = count(structure), count(small, [x])
    return {
        "gap": agreement(small, masked(model, structure, keep), [x]),
        "moved": agreement(small, model, [x]),
        "groups": len(structure.groups),
        "width": 1 - removed / units,
        "parameters": after.parameters / before.parameters,
        "macs": after.macs / before.macs,
        "free_batch": structure.free_batch,
    }


def peer_once(model: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    """Torch-Pruning's generic recipe: 30 % of channels, random importance, classifier left alone; it must run."""
    import torch_pruning as tp

    last = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1]
    before = sum(p.numel() for p in model.parameters())
    pruner = tp.pruner.MetaPruner(
        model, x, importance=tp.importance.RandomImportance(), pruning_ratio=0.3, ignored_layers=[last]
    )
    pruner.step()
    with torch.no_grad():
        model(x)
    return {"gap": 0.0, "parameters": sum(p.numel() for p in model.parameters()) / before}


def one(name: str, peer: bool) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    model, x = build(name)
    wall, cpu = time.perf_counter(), time.process_time()
    row = (peer_once if peer else prunegap_once)(model, x)
    row |= {"wall_s": time.perf_counter() - wall, "process_s": time.process_time() - cpu}
    print("ROW " + json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=TORCHVISION + TIMM)
    parser.add_argument("--peer", action="store_true", help="run Torch-Pruning instead")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds a model may take")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.names[0], options.peer)
        return
    good = 0
    for name in options.names:
        command = [sys.executable, __file__, name, "--one", *(["--peer"] if options.peer else [])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10 * options.limit)
            lines = [line for line in done.stdout.splitlines() if line.startswith("ROW ")]
            why = "" if lines else (done.stderr.strip().splitlines() or ["no output"])[-1][:160]
        except subprocess.TimeoutExpired:
            lines, why = [], "out of time"
        row = json.loads(lines[-1][4:]) if lines else {}
        passed = (
            bool(row)
            and row["gap"] <= 1e-4
            and row["parameters"] < 1
            and min(row["wall_s"], row["process_s"]) <= options.limit
        )
        good += passed
        shown = " ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        print(f"{'yes' if passed else 'NO ':3s} {name:24s} {shown or why}", flush=True)
    print(f"{good} of {len(options.names)}")


if __name__ == "__main__":
    main()
