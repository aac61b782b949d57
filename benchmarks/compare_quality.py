"""Accuracy after one-shot pruning, without fine-tuning: prunegap beside its peers, on networks trained here.

    python benchmarks/compare_quality.py --peers FOLDER_WITH_TORCH_PRUNING [--seeds 3] [--model mlp] [--cache FOLDER]

Units: at equal parameters, against Torch-Pruning's importances, each also with global ranking; its models are taken
just above the target size (within 5 points of the dense size, else just below). Weights: at equal keep_fraction
against magnitude, global magnitude, Wanda and SparseGPT; the last two are this repository's own implementations of
the published algorithms, run as published (published=True).
All sides see the same 512 calibration images; Taylor and Hessian also see their labels, prunegap does not.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from prunegap.model.granularity import Weight
from prunegap.trained import budget
from prunegap.trained.calibrate import Calibration
from prunegap.trained.layer import layers
from prunegap.trained.prune import prune_weights
from prunegap.trained.prune_units import prune_units
from prunegap.trained.structure import trace
from quality_models import MAKERS, Data, accuracy, trained

REMOVED_UNITS = (0.3, 0.5, 0.7)
REMOVED_WEIGHTS = (0.5, 0.7, 0.9)
CALIBRATION = 512
NEAR = 0.05
"""How far above its target a peer's model may lie, as a part of the dense size."""


def size(model: nn.Module) -> int:
    """Parameters of the model."""
    return sum(p.numel() for p in model.parameters())


def ours_by_unit(model: nn.Module, data: Data) -> Iterator[tuple[float, str, float, int]]:
    """Yield (removed, side, accuracy, parameters) of prunegap: widths by sensitivity, and even widths."""
    batches = list(data.train[:CALIBRATION].split(128))
    calibration = Calibration(model, batches)
    groups = trace(model, (data.train[:2],)).groups
    curves = budget.unit_curves(calibration, groups)
    groups = tuple(group for group in groups if group.name in curves)
    cost = budget.unit_cost(model, groups)
    level = {group.name: budget.Curve((0.0, 1.0), (1.0, 0.0)) for group in groups}
    for removed in REMOVED_UNITS:
        target = (1.0 - removed) * size(model)
        for side, plan in (("prunegap", curves), ("prunegap, even widths", level)):
            keep = budget.allocate(plan, cost, target) if plan is curves else even(groups, cost, target)
            counts = budget.unit_counts(groups, keep)
            pruned = prune_units(model, batches, groups, counts, calibration=calibration)
            yield removed, side, accuracy(pruned.model, data), int(cost(keep))


def even(groups: tuple, cost: Callable, target: float) -> dict[str, float]:
    """The largest common keep_fraction that fits."""
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        fits = cost({group.name: middle for group in groups}) <= target
        low, high = (middle, high) if fits else (low, middle)
    return {group.name: low for group in groups}


def peers_by_unit(model: nn.Module, data: Data, tp: object, chosen: str) -> Iterator[tuple[float, str, float, int]]:
    """Yield the same of Torch-Pruning, for each importance with and without global ranking."""
    importances = {
        "taylor": tp.importance.GroupTaylorImportance,
        "magnitude": tp.importance.GroupMagnitudeImportance,
        "hessian": tp.importance.GroupHessianImportance,
        "fpgm": tp.importance.FPGMImportance,
        "lamp": tp.importance.LAMPImportance,
    }
    images, labels = data.train[:CALIBRATION], data.train_labels[:CALIBRATION]
    for name, make in importances.items():
        if chosen and name not in chosen:
            continue
        for everywhere in (False, True):
            side = f"torch-pruning {name}{' global' if everywhere else ''}"
            try:
                yield from peer_path(copy.deepcopy(model), data, tp, make(), everywhere, side, images, labels)
            except Exception as error:
                print(f"  {side}: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)


def peer_path(model, data, tp, importance, everywhere, side, images, labels):
    """Torch-Pruning in small steps: for each target the last model above it, if that is near.

    Where a step of 1/40 jumps over more than NEAR of the dense size (Hessian with global ranking does), the way is
    gone again in steps of 1/320; where even that jumps, the model behind the jump stands, with its size.
    """
    dense, found = size(model), {}
    for steps in (40, 320):
        for removed, before, after in steps_of_peer(
            copy.deepcopy(model), tp, importance, everywhere, steps, images, labels
        ):
            near = size(before) <= (1 - removed + NEAR) * dense
            chosen = before if near else after
            if removed not in found or (near and not found[removed][2]):
                found[removed] = (accuracy(chosen, data), size(chosen), near)
        if len(found) == len(REMOVED_UNITS) and all(near for _, _, near in found.values()):
            break
    for removed in sorted(found):
        score, left, _ = found[removed]
        yield removed, side, score, left


def steps_of_peer(model, tp, importance, everywhere, steps, images, labels):
    """Yield (removed, last model above the target, first model at most at it)."""
    heads = {m: m.heads for m in model.modules() if hasattr(m, "heads")}
    num_heads = {layer: module.heads for module in heads for layer in (module.q, module.k, module.v)}
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    pruner = tp.pruner.BasePruner(
        model,
        images[:2],
        importance=importance,
        pruning_ratio=0.98,
        iterative_steps=steps,
        global_pruning=everywhere,
        ignored_layers=[last],
        num_heads=num_heads,
    )
    dense, left = size(model), list(REMOVED_UNITS)
    before = copy.deepcopy(model)
    while left and pruner.current_step < steps:
        model.zero_grad()
        if isinstance(importance, tp.importance.GroupHessianImportance):
            importance.zero_grad()
            for loss in nn.functional.cross_entropy(model(images[:64]), labels[:64], reduction="none"):
                model.zero_grad()
                loss.backward(retain_graph=True)
                importance.accumulate_grad(model)
        elif isinstance(importance, tp.importance.GroupTaylorImportance):
            nn.functional.cross_entropy(model(images), labels).backward()
        pruner.step()
        while left and size(model) <= (1 - left[0]) * dense:
            yield left.pop(0), before, copy.deepcopy(model)
        if size(model) < size(before):
            before = copy.deepcopy(model)


def by_weight(model: nn.Module, data: Data) -> Iterator[tuple[float, str, float, int]]:
    """Yield (removed, side, accuracy, weights left) of every weight pruner."""
    batches = list(data.train[:CALIBRATION].split(128))
    calibration = Calibration(model, batches)
    curves = budget.weight_curves(calibration, Weight())
    cost = budget.weight_cost(model, calibration.order)
    for removed in REMOVED_WEIGHTS:
        keep = 1.0 - removed
        left = int(keep * cost({}))
        yield removed, "magnitude global", accuracy(globally(model, keep), data), left
        planned = budget.allocate(curves, cost, keep * cost({}), least=0.01)
        for side, solver, fractions, published in (
            ("magnitude", "magnitude", keep, True),
            ("wanda", "wanda", keep, True),
            ("sparsegpt", "second_order", keep, True),
            ("prunegap, even fractions", "admm", keep, False),
            ("prunegap", "admm", planned, False),
        ):
            pruned = prune_weights(
                model, batches, Weight(), fractions, solver, published=published, calibration=calibration
            )
            yield removed, side, accuracy(pruned.model, data), left


def globally(model: nn.Module, keep: float) -> nn.Module:
    """Magnitude pruning with one threshold for all layers."""
    model = copy.deepcopy(model)
    weights = [layer.weight for layer in layers(model).values()]
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    threshold = sizes.sort(descending=True).values[int(keep * sizes.numel()) - 1]
    with torch.no_grad():
        for weight in weights:
            weight.mul_(weight.abs() >= threshold)
    return model


def main() -> None:
    """Train, prune, print one table a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*MAKERS, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", help="folder that holds torch_pruning")
    parser.add_argument("--sides", default="ours,peers,weights", help="which of ours,peers,weights are run")
    parser.add_argument("--importances", default="", help="comma-separated names; all by default")
    parser.add_argument("--cache", type=Path, help="folder of trained weights")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tp = None
    if options.peers and "peers" in options.sides:
        sys.path.insert(0, options.peers)
        import torch_pruning as tp
    rows: list[dict[str, object]] = []
    for name in MAKERS if options.model == "all" else (options.model,):
        for seed in range(options.seeds):
            start = time.process_time()
            model, data = trained(name, seed, options.cache)
            rows.append(row(name, seed, "dense", 0.0, "dense", accuracy(model, data), size(model)))
            for kind, found in (
                ("unit", ours_by_unit(model, data) if "ours" in options.sides else ()),
                ("unit", peers_by_unit(model, data, tp, options.importances) if tp else ()),
                ("weight", by_weight(model, data) if "weights" in options.sides else ()),
            ):
                for values in found:
                    rows.append(row(name, seed, kind, *values))
                    print("  ", *values, file=sys.stderr, flush=True)
            print(f"{name} seed {seed}: {time.process_time() - start:.0f} s of CPU", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
        show([r for r in rows if r["model"] == name])


def row(name: str, seed: int, kind: str, removed: float, side: str, score: float, left: int) -> dict[str, object]:
    """One measurement."""
    return {
        "model": name,
        "seed": seed,
        "kind": kind,
        "removed": removed,
        "side": side,
        "accuracy": score,
        "left": left,
    }


def show(rows: list[dict]) -> None:
    """Print mean accuracy over the seeds, per cent, and the standard deviation."""
    for kind in ("dense", "unit", "weight"):
        chosen = [r for r in rows if r["kind"] == kind]
        removed = sorted({r["removed"] for r in chosen})
        print(f"\n{rows[0]['model']}, {kind}; removed: {', '.join(f'{x:.0%}' for x in removed)}")
        for side in dict.fromkeys(r["side"] for r in chosen):
            cells = []
            for fraction in removed:
                scores = [r["accuracy"] for r in chosen if r["side"] == side and r["removed"] == fraction]
                cells.append(f"{np.mean(scores):6.2f} ± {np.std(scores):4.2f}" if scores else "      -      ")
            print(f"  {side:32s} " + "   ".join(cells))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
