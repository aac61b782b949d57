"""Prune a trained model at one granularity: layer after layer, each repaired on what the pruned prefix gives it.

The user's model is copied, never changed; the copy has the same shapes, with zeros. Shrinking it is another part's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity
from prunegap.trained.calibrate import Batch, Calibration, LayerMoments
from prunegap.trained.layer import layers, set_weight, weight_matrix
from prunegap.trained.solve.gram import DEFAULT_RIDGE, Array, Moments, Quadratic
from prunegap.trained.solve.registry import solve_weights
from prunegap.trained.solve.ridge import ridge_for_weights

Bools = NDArray[np.bool_]


@dataclass(eq=False)
class Pruned:
    """A pruned copy of the model, its masks, and what each layer lost.

    `masks` (weight, n:m, block): layer name to a boolean tensor of the weight's shape. `kept` (units): group name to
    (units,). `errors`: layer name to its squared output error over its output energy on the calibration rows.
    `ridges`: layer name to the ridge that held-out rows chose. `unrepaired`: consumers left as they were.
    `given`: ridges that were not chosen but handed in.
    """

    model: nn.Module
    masks: dict[str, torch.Tensor] = field(default_factory=dict)
    kept: dict[str, Bools] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    ridges: dict[str, float] = field(default_factory=dict)
    unrepaired: tuple[str, ...] = ()
    given: dict[str, float] = field(default_factory=dict)


def prune_weights(
    model: nn.Module,
    batches: Iterable[Batch],
    granularity: Granularity,
    keep_fractions: float | Mapping[str, float],
    solver: str = "admm",
    stages: int | None = None,
    published: bool = False,
    calibration: Calibration | None = None,
    ridges: Mapping[str, float] | None = None,
) -> Pruned:
    """Return a copy with weights, n:m groups or blocks removed from each Linear and Conv layer.

    A layer missing from a mapping of `keep_fractions` stays dense (and is repaired for what came before). `stages`
    bounds the calibration passes: layers of one pass do not see each other's errors. `published` runs the solver as
    the papers do: target X' W instead of X W, ridge 0.01, biases as they were; magnitude and wanda always run so.
    `ridges` (of an earlier run) spares the choice of a ridge for the layers it names.
    Raises BadInputError for names that are no layer, and what calibration raises.
    """
    calibration = calibration or Calibration(model, batches)
    keep = _fractions(calibration, keep_fractions)
    published = published or solver in ("magnitude", "wanda")
    pruned = Pruned(copy.deepcopy(model), given=dict(ridges or {}))
    theirs = layers(pruned.model)
    for names in calibration.chunks(stages):
        for name, moments in calibration.moments(pruned.model, names).items():
            fraction = keep.get(name, 1.0)
            if published and fraction >= 1.0:
                continue
            free = theirs[name].bias is not None or name in calibration.norms
            matrix = _pruned_matrix(pruned, name, moments, granularity, fraction, solver, published, free)
            set_weight(theirs[name], matrix)
            if not published:
                shift_bias(pruned.model, calibration, name, moments, matrix)
            pruned.errors[name] = relative_error(moments, matrix, free)
    return pruned


def _pruned_matrix(
    pruned: Pruned,
    name: str,
    moments: LayerMoments,
    granularity: Granularity,
    fraction: float,
    solver: str,
    published: bool,
    free: bool,
) -> Array:
    """Return the layer's new weights (groups, out, in); notes its masks and ridge in `pruned`."""
    layer = layers(pruned.model)[name]
    matrices, masks = [], []
    for group, weights in enumerate(weight_matrix(layer)):
        fit, held, every = moments.fit[group], moments.held[group], moments.all[group]
        if published:
            problem = as_published(every, weights)
        else:
            ridge = pruned.given.get(name) or ridge_for_weights(fit, held, weights, free, granularity, fraction)
            pruned.ridges[name] = max(ridge, pruned.ridges.get(name, 0.0))
            problem = every.quadratic(weights, free, ridge)
        if fraction >= 1.0:
            matrices.append(problem.target)
            continue
        solution = solve_weights(problem, granularity, fraction, solver)
        matrices.append(solution.weights)
        masks.append(solution.mask)
    if masks:
        pruned.masks[name] = torch.from_numpy(np.array(masks)).reshape(layer.weight.shape)
    return np.array(matrices)


def as_published(moments: Moments, weights: Array) -> Quadratic:
    """Return the problem as SparseGPT and Wanda pose it: H = E[X'X'^T] with damping 0.01, target W."""
    moment = moments.means(bias=False)[0]
    size = float(np.trace(moment)) / moment.shape[0]
    return Quadratic.plain(weights, moment + DEFAULT_RIDGE * (size or 1.0) * np.eye(moment.shape[0]))


def _fractions(calibration: Calibration, keep: float | Mapping[str, float]) -> dict[str, float]:
    if not isinstance(keep, Mapping):
        return dict.fromkeys(calibration.order, float(keep))
    for name in keep:
        if name not in calibration.order:
            raise BadInputError(
                f"layer {name!r}", "is no Linear or Conv layer that the calibration reaches", "see the dry run's list"
            )
    return dict(keep)


def shift_bias(model: nn.Module, calibration: Calibration, name: str, moments: LayerMoments, matrix: Array) -> None:
    """Give the layer its best bias, or the batch norm behind it the mean that stands for one."""
    layer = layers(model)[name]
    best = np.concatenate([m.best_bias(weights) for m, weights in zip(moments.all, matrix, strict=True)])
    with torch.no_grad():
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(best))
        elif name in calibration.norms:
            mean = calibration.model.get_submodule(calibration.norms[name]).running_mean
            norm = model.get_submodule(calibration.norms[name])
            assert isinstance(norm.running_mean, torch.Tensor)
            assert isinstance(mean, torch.Tensor)
            norm.running_mean.copy_(mean.double() - torch.from_numpy(best).to(mean.device))


def relative_error(moments: LayerMoments, matrix: Array, free: bool) -> float:
    """Return the layer's squared error over its output energy, on all rows; free: with its best bias."""
    error = sum(m.error(weights, free) for m, weights in zip(moments.all, matrix, strict=True))
    energy = sum(m.energy(free) for m in moments.all)
    return error / energy if energy > 0.0 else 0.0
