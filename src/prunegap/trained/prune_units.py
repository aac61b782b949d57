"""Remove whole units (neurons, channels, heads): group after group, every reader repaired, then one pass over all.

Groups are taken in the order in which the model first reads them. A last pass walks the layers in order and fits each
once more on the columns it kept, since by then every layer before it has changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch, Calibration, LayerMoments
from prunegap.trained.layer import layers, set_weight, weight_matrix
from prunegap.trained.prune import Pruned, relative_error, shift_bias
from prunegap.trained.solve.gram import DEFAULT_RIDGE, Array, Moments
from prunegap.trained.solve.registry import SCORED, solve_units
from prunegap.trained.solve.ridge import ridge_for_units
from prunegap.trained.solve.units import UnitPart, UnitProblem
from prunegap.trained.unit_groups import Bools, Group, reading_columns, remove_units
from prunegap.trained.unit_scores import magnitude_scores


def prune_units(
    model: nn.Module,
    batches: Iterable[Batch],
    groups: Sequence[Group],
    keep: Mapping[str, int],
    solver: str = "local",
    scores: Mapping[str, Array] | None = None,
    stages: int | None = None,
    calibration: Calibration | None = None,
    ridges: Mapping[str, float] | None = None,
) -> Pruned:
    """Return a copy in which each group keeps `keep[group.name]` units (a group left out keeps all), others zeroed.

    `scores` gives magnitude and taylor one number a unit. Layers that read units outside a hook's reach (fused
    attention, grouped convolutions) are masked and named in `unrepaired`. `ridges` (of an earlier run) spares the
    choice of a ridge for the layers it names. Raises BadInputError for unknown group
    names or counts, and what calibration raises.
    """
    calibration = calibration or Calibration(model, batches)
    known = {group.name: group for group in groups}
    for name, count in keep.items():
        if name not in known or not 0 <= count <= known[name].units:
            raise BadInputError(f"keep {count} of group {name!r}", "no such group or width", "see the dry run's list")
    pruned = Pruned(copy.deepcopy(model), given=dict(ridges or {}))
    chosen = [group for group in groups if keep.get(group.name, group.units) < group.units]
    found = {name: layer for name, layer in layers(model).items() if name in calibration.calls}
    reads = {group.name: reading_columns(group, found) for group in chosen}
    order = {name: place for place, name in enumerate(calibration.order)}
    chosen.sort(key=lambda group: min((order[name] for name in reads[group.name]), default=len(order)))
    for group in chosen:
        _prune_group(pruned, calibration, group, reads[group.name], keep[group.name], solver, scores or {})
    pruned.unrepaired = tuple(sorted({name for group in chosen for name in _unreached(group, reads[group.name])}))
    if solver not in SCORED and chosen:
        refit(pruned, calibration, chosen, stages)
    return pruned


def _unreached(group: Group, reads: Mapping[str, NDArray[np.int64]]) -> set[str]:
    names = {m.parameter.removesuffix(".weight") for m in group.members if m.role == "in"}
    return names - set(reads)


def _prune_group(
    pruned: Pruned,
    calibration: Calibration,
    group: Group,
    reads: Mapping[str, NDArray[np.int64]],
    keep: int,
    solver: str,
    scores: Mapping[str, Array],
) -> None:
    found = layers(pruned.model)
    if not reads:
        kept = _by_size(pruned.model, group, keep, scores.get(group.name))
    else:
        moments = calibration.moments(pruned.model, tuple(reads))
        problem = unit_problem(pruned.model, calibration, moments, reads, keep, pruned.given)
        solution = solve_units(problem, keep, solver, scores.get(group.name))
        kept = solution.kept
        for name, matrix in zip(reads, solution.weights, strict=True):
            set_weight(found[name], matrix[None])
            if solver not in SCORED:
                shift_bias(pruned.model, calibration, name, moments[name], matrix[None])
    remove_units(pruned.model, group, kept)
    pruned.kept[group.name] = kept


def unit_problem(
    model: nn.Module,
    calibration: Calibration,
    moments: Mapping[str, LayerMoments],
    reads: Mapping[str, NDArray[np.int64]],
    keep: int,
    given: Mapping[str, float] | None = None,
) -> UnitProblem:
    """Return the group's problem: one part a reader, each scaled by its output energy.

    The ridge of each part is the one that held-out rows choose for the surgeon's set of `keep` units, found on the
    rows to fit with the default ridge.
    """
    weights = {name: weight_matrix(layers(model)[name])[0] for name in reads}
    free = {name: layers(model)[name].bias is not None or name in calibration.norms for name in reads}

    def part(name: str, sums: Moments, ridge: float) -> UnitPart:
        quadratic = sums.quadratic(weights[name], free[name], ridge)
        return UnitPart(quadratic, reads[name], 1.0 / quadratic.energy if quadratic.energy > 0.0 else 1.0)

    if given is not None and all(name in given for name in reads):
        return UnitProblem(tuple(part(name, moments[name].all[0], given[name]) for name in reads))
    if all(moments[name].held[0].rows for name in reads):
        first = UnitProblem(tuple(part(name, moments[name].fit[0], DEFAULT_RIDGE) for name in reads))
        masks = first.masks(solve_units(first, keep, "obs").kept)
    else:
        masks = tuple(np.ones(weights[name].shape[1], dtype=np.bool_) for name in reads)
    ridges = [
        ridge_for_units(moments[name].fit[0], moments[name].held[0], weights[name], free[name], mask)
        for name, mask in zip(reads, masks, strict=True)
    ]
    return UnitProblem(
        tuple(part(name, moments[name].all[0], ridge) for name, ridge in zip(reads, ridges, strict=True))
    )


def _by_size(model: nn.Module, group: Group, keep: int, scores: Array | None) -> Bools:
    """Return the units kept by score, or by the size of their weights, where no reader can be hooked."""
    if scores is None:
        scores = magnitude_scores(model, [group])[group.name]
    kept = np.zeros(group.units, dtype=np.bool_)
    kept[np.argsort(-np.asarray(scores), kind="stable")[:keep]] = True
    return kept


def refit(pruned: Pruned, calibration: Calibration, groups: Sequence[Group], stages: int | None = None) -> None:
    """Fit every layer from the first reader on once more, in order, on what is left; fills `errors` and `ridges`."""
    rows, columns = _left(pruned, groups)
    found = layers(pruned.model)
    # What runs before the first reader of a pruned group still sees the dense model's inputs.
    first = min((calibration.order.index(name) for name in columns if name in calibration.calls), default=0)
    late = set(calibration.order[first:])
    for names in calibration.chunks(stages):
        for name, moments in calibration.moments(pruned.model, [name for name in names if name in late]).items():
            layer = found[name]
            dense = weight_matrix(layer)
            free = layer.bias is not None or name in calibration.norms
            alive = rows.get(name, np.ones(dense.shape[0] * dense.shape[1], dtype=np.bool_)).reshape(dense.shape[:2])
            read = columns.get(name, np.ones(dense.shape[2], dtype=np.bool_))
            matrices = np.zeros_like(dense)
            for part, weights in enumerate(dense):
                fit, held = moments.fit[part], moments.held[part]
                ridge = pruned.given.get(name) or ridge_for_units(fit, held, weights, free, read)
                pruned.ridges[name] = max(ridge, pruned.ridges.get(name, 0.0))
                problem = moments.all[part].quadratic(weights, free, ridge)
                fitted = problem.repair(np.broadcast_to(read, problem.shape))
                matrices[part] = np.where(alive[part][:, None], fitted, 0.0)
            set_weight(layer, matrices)
            shift_bias(pruned.model, calibration, name, moments, matrices)
            if layer.bias is not None:
                with torch.no_grad():
                    layer.bias.masked_fill_(torch.from_numpy(~alive.ravel()).to(layer.bias.device), 0.0)
            pruned.errors[name] = relative_error(moments, matrices, free)
    for group in groups:
        remove_units(pruned.model, group, pruned.kept[group.name])


def _left(pruned: Pruned, groups: Sequence[Group]) -> tuple[dict[str, Bools], dict[str, Bools]]:
    """Return which output rows and which matrix columns of each layer are left, where some are gone."""
    found = layers(pruned.model)
    rows: dict[str, Bools] = {}
    columns: dict[str, Bools] = {}
    for group in groups:
        gone = ~pruned.kept[group.name]
        for name, owned in reading_columns(group, found).items():
            left = columns.setdefault(name, np.ones(weight_matrix(found[name]).shape[2], dtype=np.bool_))
            left[owned[gone].ravel()] = False
        for member in group.members:
            name = member.parameter.removesuffix(".weight")
            if member.role != "in" and member.dim == 0 and name in found and member.parameter.endswith(".weight"):
                left = rows.setdefault(name, np.ones(found[name].weight.shape[0], dtype=np.bool_))
                left[np.asarray(member.indices)[gone].ravel()] = False
    return rows, columns
