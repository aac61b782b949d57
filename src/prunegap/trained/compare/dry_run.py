"""What a comparison would prune, how wide things would get, and what it would take, before anything is pruned.

Widths are a guess: every group keeps the same fraction, where the comparison itself spends by sensitivity. Times are
the counted work of the solvers at this machine's measured speed, memory the arrays that are held at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from prunegap.model.granularity import Granularity, Neuron
from prunegap.trained.budget import unit_cost, unit_counts
from prunegap.trained.calibrate import Batch, evaluating
from prunegap.trained.calibrate import run as forward
from prunegap.trained.compare.candidate import size_in_bytes
from prunegap.trained.compare.hands import Hands
from prunegap.trained.compare.measure import Evaluate
from prunegap.trained.compare.options import BUDGETS, GRANULARITIES, Options, asked_budgets, asked_granularities
from prunegap.trained.compare.plan import KEEPS
from prunegap.trained.compare.question import threads
from prunegap.trained.compare.run import Run
from prunegap.trained.layer import layers, shared, weight_matrix
from prunegap.trained.structure import Structure

SCHEMA = 1
BASE_BYTES = 1.4e9
"""Three processes with torch loaded: this one and two that are timed."""
ROUNDS = {"weight": (6.0, 50.0), "neuron": (5.0, 5.0)}
"""Work of a layer in units of in^3 and of out in^2 multiply-adds in float64, from profiles of the solvers."""
CHOOSING = 12.0
"""Forward passes that the choice of kernels costs."""


@dataclass(frozen=True)
class DryRun:
    """`layers`: name, shape, weights. `groups`: name, units, producers, consumers. `fixed`: what stays, and why.

    `widths`: for each budget the units each group keeps if all keep the same fraction. `seconds` and `bytes` are
    estimates, good to a factor of about three.
    """

    layers: tuple[tuple[str, tuple[int, ...], int], ...]
    groups: tuple[tuple[str, int, tuple[str, ...], tuple[str, ...]], ...]
    fixed: tuple[tuple[str, str], ...]
    untraced: str
    widths: dict[str, dict[str, int]]
    granularities: tuple[str, ...]
    seconds: float
    bytes: float

    def as_object(self) -> dict[str, Any]:
        """Return the plan as the JSON object that docs/json-schema.md promises."""
        return {"schema": SCHEMA, **asdict(self)}

    def __str__(self) -> str:
        weights = sum(count for _, _, count in self.layers)
        lines = [f"{len(self.layers)} layers can be pruned, {weights} weights:"]
        lines += [f"  {name}  {'x'.join(map(str, shape))}  {count}" for name, shape, count in self.layers]
        if self.untraced:
            lines.append(f"no neuron can be removed: {self.untraced}")
        elif "neuron" in self.granularities:
            lines.append(f"{len(self.groups)} groups of neurons, channels or heads can be removed:")
            budgets = list(self.widths)
            for name, units, _, readers in self.groups:
                kept = ", ".join(f"{self.widths[b].get(name, units)} at {b}" for b in budgets)
                lines.append(f"  {name}  {units} units, read by {', '.join(readers) or 'nothing'}; about {kept}")
        lines += [f"  fixed: {name}: {reason}" for name, reason in self.fixed]
        lines.append(f"estimate: {_duration(self.seconds)}, {self.bytes / 1e9:.1f} GB of memory")
        return "\n".join(lines)


def dry_run(
    model: nn.Module,
    calibration: Iterable[Batch] | Tensor,
    evaluate: Evaluate | None = None,
    budgets: Sequence[float] = BUDGETS,
    granularities: Sequence[str | Granularity] = GRANULARITIES,
    options: Options | None = None,
) -> DryRun:
    """Return what `compare` with the same arguments would do; prunes and writes nothing, raises as it does."""
    asked, fractions = asked_granularities(granularities), asked_budgets(budgets)
    run = Run(model, calibration, evaluate, None, options or Options())
    names, found = run.calibration.order, layers(run.model)
    structure = run.structure if any(isinstance(g, Neuron) for g in asked) else None
    fixed = [(name, f"its weight is shared with {other}; it stays dense") for name, other in shared(run.model)]
    fixed += [] if structure is None else [(f"{f.parameter}, dimension {f.dim}", f.reason) for f in structure.fixed]
    return DryRun(
        tuple((name, tuple(found[name].weight.shape), found[name].weight.numel()) for name in names),
        () if structure is None else tuple((g.name, g.units, g.producers, g.consumers) for g in structure.groups),
        tuple(fixed),
        run.untraced,
        {} if structure is None else {f"{b:g}": _uniform(run.model, names, structure, b) for b in fractions},
        tuple(g.name for g in asked),
        _seconds(run, asked, len(fractions)),
        _bytes(run),
    )


def _uniform(model: nn.Module, names: Sequence[str], structure: Structure, budget: float) -> dict[str, int]:
    """Return the widths of the greatest common fraction that meets the budget."""
    cost = unit_cost(model, structure.groups, {f"{name}.weight" for name in names})
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        fits = cost(dict.fromkeys((g.name for g in structure.groups), middle)) <= budget * cost({})
        low, high = (middle, high) if fits else (low, middle)
    return unit_counts(structure.groups, dict.fromkeys((g.name for g in structure.groups), low))


def _seconds(run: Run, granularities: Sequence[Granularity], budgets: int) -> float:
    """Return the estimate: passes over the calibration, and the solvers' work at the measured speed."""
    with evaluating(run.model):
        once = _least_seconds(lambda: forward(run.model, run.inputs), 3)
    # A pass ends at the last layer it looks at: half the model on average. The dense model's outputs are kept.
    passes = 0.5 * min(run.options.stages or 10**9, len(run.calibration.stages)) * len(run.calibration.batches)
    hands = Hands(run.calibration, run.threads).count
    with threads(run.threads):
        speed = _speed()
    shapes = [weight_matrix(layers(run.model)[name]).shape for name in run.calibration.order]
    total = 0.0
    for granularity in granularities:
        is_neuron = isinstance(granularity, Neuron)
        cube, square = ROUNDS["neuron" if is_neuron else "weight"]
        work = sum(g * (cube * i**3 + square * o * i**2) for g, o, i in shapes)
        point = run.options.repeats * (once * passes + work / speed)
        # Models with zeros are timed whole only where a sparse form wins, which few layers see.
        timing = 2.0 * run.options.turns * once + 0.5 if is_neuron else CHOOSING * once
        # Sensitivity: every layer pruned alone by one sweep, and the model run, at each of a few keep_fractions.
        alone = len(KEEPS) * (len(shapes) * once + sum(g * i**3 for g, _, i in shapes) / speed)
        total += alone + budgets * (point / hands + timing)
    return total


def _speed() -> float:
    """Return multiply-adds a second of products of float64 matrices."""
    square = np.random.default_rng(0).random((512, 512))
    return 512.0**3 / _least_seconds(lambda: square @ square, 12)


def _least_seconds(call: Callable[[], object], times: int) -> float:
    """Return the least of several times: what else the machine does only ever adds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _bytes(run: Run) -> float:
    shapes = [weight_matrix(layers(run.model)[name]).shape for name in run.calibration.order]
    moments = sum(8.0 * g * (i * i + i * o) for g, o, i in shapes)
    largest = max(8.0 * (i * i + i * o) for _, o, i in shapes)
    hands = Hands(run.calibration, run.threads).count
    return float(BASE_BYTES + hands * (8.0 * size_in_bytes(run.model) + 3.0 * moments + 8.0 * largest))


def _duration(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"
