"""One budget over many layers: measure what pruning each does to the output, then spend where it is cheap.

Each layer (or group of units) is pruned alone, at a few keep_fractions, and the model's output error is measured. The
errors add up to a good first order, so the plan takes, step by step, what costs least error for what it saves.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity
from prunegap.trained.calibrate import Batch, Calibration, LayerMoments, evaluating, first_tensor, run
from prunegap.trained.layer import layers, set_weight, weight_matrix
from prunegap.trained.prune import shift_bias
from prunegap.trained.prune_units import unit_problem
from prunegap.trained.solve.neuron import surgeon_order
from prunegap.trained.solve.registry import solve_weights
from prunegap.trained.unit_groups import Group, reading_columns, remove_units

KEEPS = (0.75, 0.5, 0.3, 0.15, 0.05)
"""keep_fractions at which each layer is measured; 1 is known to cost nothing."""
STEPS = 100
"""Parts into which a layer's width is cut when the budget is spent."""
LEAST = 1e-12
LEAST_SAMPLES = 32
LEAST_VALUES = 2048
"""Samples, and numbers of output, on which the effect of pruning one layer is measured."""


@dataclass(frozen=True)
class Curve:
    """Output error of the model against the keep_fraction of one layer, others dense; `keeps` ascending, last 1."""

    keeps: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        if list(self.keeps) != sorted(set(self.keeps)) or len(self.keeps) != len(self.errors):
            raise BadInputError(f"keep_fractions {self.keeps}", "must ascend, one error each", "sort them")

    @cached_property
    def _points(self) -> NDArray[np.float64]:
        return _hull(np.array(self.keeps), np.array(self.errors))

    def at(self, keep: float) -> float:
        """Return the error at a keep_fraction: the lower convex hull of the points, linear between them.

        Below the least keep_fraction measured the last slope goes on. Convex, so a greedy plan is not trapped.
        """
        hull = self._points
        if keep < hull[0, 0] and len(hull) > 1:
            slope = (hull[1, 1] - hull[0, 1]) / (hull[1, 0] - hull[0, 0])
            return float(hull[0, 1] + slope * (keep - hull[0, 0]))
        return float(np.interp(keep, hull[:, 0], hull[:, 1]))


def _hull(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    points: list[tuple[float, float]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(points) > 1 and (points[-1][0] - points[-2][0]) * (point[1] - points[-2][1]) <= (
            points[-1][1] - points[-2][1]
        ) * (point[0] - points[-2][0]):
            points.pop()
        points.append(point)
    return np.array(points)


def allocate(
    curves: Mapping[str, Curve],
    cost: Callable[[Mapping[str, float]], float],
    budget: float,
    least: float = 0.0,
    steps: int = STEPS,
) -> dict[str, float]:
    """Return keep_fractions with cost(keep_fractions) <= budget and a small sum of errors.

    Greedy on marginal error per unit of cost saved; the last step is shortened to spend the budget. `cost` may count
    parameters, FLOPs or a table's milliseconds, and must not rise when a fraction falls. No layer goes below `least`.
    Raises BadInputError where even that costs more than the budget.
    """
    keep = dict.fromkeys(curves, 1.0)
    grid = {name: np.linspace(1.0, least, steps + 1) for name in curves}
    place = dict.fromkeys(curves, 0)
    now = cost(keep)
    while now > budget:
        best: tuple[float, float, str, int] | None = None
        for name, curve in curves.items():
            ahead = _next_saving(name, keep, grid[name], place[name], cost, now)
            if ahead is None:
                continue
            step, after = ahead
            rise = max(curve.at(float(grid[name][step])) - curve.at(keep[name]), 0.0) + LEAST
            price = rise / (now - after)
            if best is None or price < best[0]:
                best = (price, after, name, step)
        if best is None:
            raise BadInputError(
                f"budget {budget:g}", f"is below what is left at keep_fraction {least:g}: {now:g}", "raise the budget"
            )
        _, after, name, step = best
        place[name], before = step, keep[name]
        keep[name] = float(grid[name][step])
        if after <= budget:
            keep[name] = _largest(name, keep, before, cost, budget)
        now = cost(keep)
    return keep


def _next_saving(
    name: str,
    keep: Mapping[str, float],
    grid: NDArray[np.float64],
    place: int,
    cost: Callable[[Mapping[str, float]], float],
    now: float,
) -> tuple[int, float] | None:
    """Return the next step at which this layer saves anything, and the cost then (a table may have plateaus)."""
    for step in range(place + 1, grid.size):
        after = cost({**keep, name: float(grid[step])})
        if after < now:
            return step, after
    return None


def _largest(
    name: str,
    keep: Mapping[str, float],
    upper: float,
    cost: Callable[[Mapping[str, float]], float],
    budget: float,
) -> float:
    """Return, to one part in a million, the largest keep_fraction of one layer that still fits the budget."""
    low = keep[name]
    while upper - low > 1e-6:
        middle = (low + upper) / 2
        low, upper = (middle, upper) if cost({**keep, name: middle}) <= budget else (low, middle)
    return low


def output_of(model: nn.Module, batch: Any) -> torch.Tensor:
    """Return the first tensor of the model's output, samples first, flattened to (samples, values)."""
    return first_tensor(run(model, batch)).detach().double().flatten(1)


class OutputError:
    """Mean squared difference of the outputs over their energy around the mean.

    On as many batches as hold LEAST_SAMPLES samples and LEAST_VALUES numbers of output.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.batches: list[Batch] = []
        self.targets: list[torch.Tensor] = []
        with evaluating(calibration.model):
            for batch in calibration.batches:
                self.batches.append(batch)
                self.targets.append(output_of(calibration.model, batch))
                samples = sum(len(target) for target in self.targets)
                if samples >= LEAST_SAMPLES and samples * self.targets[0].shape[1] >= LEAST_VALUES:
                    break
        together = torch.cat(self.targets)
        self.energy = float(((together - together.mean(0)) ** 2).sum()) or 1.0

    def __call__(self, model: nn.Module) -> float:
        """Return the relative squared error of a model's outputs."""
        with evaluating(model):
            pairs = zip(self.batches, self.targets, strict=True)
            return float(sum(((output_of(model, b) - t) ** 2).sum() for b, t in pairs)) / self.energy


def weight_curves(
    calibration: Calibration,
    granularity: Granularity,
    keeps: Sequence[float] = KEEPS,
    solver: str = "second_order",
    moments: Mapping[str, LayerMoments] | None = None,
) -> dict[str, Curve]:
    """Return each layer's curve: the layer pruned alone at each keep_fraction the granularity allows.

    `moments` of all layers of the dense model, where they are known already.
    """
    measure, curves = OutputError(calibration), {}
    moments = moments or calibration.moments(calibration.model, calibration.order)
    trial = copy.deepcopy(calibration.model)
    for name in calibration.order:
        layer, points = layers(trial)[name], {1.0: 0.0}
        free = layer.bias is not None or name in calibration.norms
        dense = weight_matrix(layer)
        problems = [part.quadratic(own, free) for part, own in zip(moments[name].all, dense, strict=True)]
        before = copy.deepcopy(trial.state_dict()) if name in calibration.norms else _own_state(layer)
        for keep in keeps:
            matrix = np.array([solve_weights(problem, granularity, keep, solver).weights for problem in problems])
            set_weight(layer, matrix)
            shift_bias(trial, calibration, name, moments[name], matrix)
            points[keep] = measure(trial)
            (trial if name in calibration.norms else layer).load_state_dict(before)
        curves[name] = Curve(tuple(sorted(points)), tuple(points[keep] for keep in sorted(points)))
    return curves


def _own_state(layer: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in layer.state_dict().items()}


def unit_curves(
    calibration: Calibration,
    groups: Sequence[Group],
    keeps: Sequence[float] = KEEPS,
    moments: Mapping[str, LayerMoments] | None = None,
) -> dict[str, Curve]:
    """Return each group's curve: its units removed in the surgeon's order, its readers repaired, all else dense.

    Groups no reader of which can be hooked are left out: nothing is known about them.
    """
    measure, curves, known = OutputError(calibration), {}, moments
    found = {name: layer for name, layer in layers(calibration.model).items() if name in calibration.calls}
    for group in groups:
        reads = reading_columns(group, found)
        if not reads:
            continue
        moments = known or calibration.moments(calibration.model, tuple(reads))
        problem = unit_problem(calibration.model, calibration, moments, reads, max(1, group.units // 2))
        order, _ = surgeon_order(problem, max(1, round(min(keeps) * group.units)))
        points = {1.0: 0.0}
        for count in sorted({max(1, round(keep * group.units)) for keep in keeps} - {group.units}):
            kept = np.ones(group.units, dtype=np.bool_)
            kept[order[: group.units - count]] = False
            trial = copy.deepcopy(calibration.model)
            for name, weights in zip(reads, problem.repair(kept), strict=True):
                set_weight(layers(trial)[name], weights[None])
                shift_bias(trial, calibration, name, moments[name], weights[None])
            remove_units(trial, group, kept)
            points[count / group.units] = measure(trial)
        curves[group.name] = Curve(tuple(sorted(points)), tuple(points[keep] for keep in sorted(points)))
    return curves


def weight_cost(model: nn.Module, names: Sequence[str]) -> Callable[[Mapping[str, float]], float]:
    """Return the count of weights kept in the named layers, as a function of their keep_fractions."""
    sizes = {name: layers(model)[name].weight.numel() for name in names}
    return lambda keep: sum(size * keep.get(name, 1.0) for name, size in sizes.items())


def unit_counts(groups: Sequence[Group], keep: Mapping[str, float]) -> dict[str, int]:
    """Return how many units each group keeps: its keep_fraction of them, rounded down, at least 1."""
    return {g.name: max(1, int(keep.get(g.name, 1.0) * g.units + 1e-9)) for g in groups}


def unit_cost(
    model: nn.Module, groups: Sequence[Group], names: Collection[str] | None = None
) -> Callable[[Mapping[str, float]], float]:
    """Return the count of parameters that a shrunk model has, as a function of the groups' keep_fractions.

    `names` restricts the count to those parameters. Exact: a tensor's size is the product over its dimensions of what
    every group leaves there. Buffers not counted.
    """
    left = unit_shapes(model, groups, names)
    return lambda keep: float(sum(np.prod(sizes) for sizes in left(keep).values()))


def unit_shapes(
    model: nn.Module, groups: Sequence[Group], names: Collection[str] | None = None
) -> Callable[[Mapping[str, float]], dict[str, list[int]]]:
    """Return the shapes that a shrunk model's parameters have, as a function of the groups' keep_fractions.

    Groups may share indices of a dimension: heads, and the units inside every head. Of those, the product of what
    each group keeps is left, which is exact where every head loses the same units.
    """
    shapes = {n: tuple(value.shape) for n, value in model.named_parameters() if names is None or n in names}
    owners: dict[tuple[str, int], dict[int, list[str]]] = {}
    for g in groups:
        for m in g.members:
            if m.parameter in shapes:
                place = owners.setdefault((m.parameter, m.dim), {})
                for index in np.asarray(m.indices).ravel().tolist():
                    place.setdefault(index, []).append(g.name)
    parts = [(*place, Counter(map(tuple, indices.values()))) for place, indices in owners.items()]

    def kept_shapes(keep: Mapping[str, float]) -> dict[str, list[int]]:
        counts = unit_counts(groups, keep)
        share = {g.name: counts[g.name] / g.units for g in groups}
        left = {name: list(shape) for name, shape in shapes.items()}
        for name, dim, sizes in parts:
            gone = sum(size * (1.0 - math.prod(share[g] for g in owned)) for owned, size in sizes.items())
            left[name][dim] -= round(gone)
        return left

    return kept_shapes
