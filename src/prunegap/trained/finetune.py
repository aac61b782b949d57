"""A short fine-tuning, the same for every side of a comparison: fixed steps, fixed order, the mask kept.

Without labels the pruned model imitates the dense one's outputs (distillation); what was removed stays 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch, evaluating, first_tensor, run

Loss = Callable[[nn.Module, Any], torch.Tensor]


def finetune(
    model: nn.Module,
    dense: nn.Module,
    batches: Iterable[Batch],
    steps: int = 100,
    learning_rate: float = 1e-4,
    masks: Mapping[str, torch.Tensor] | None = None,
    loss: Loss | None = None,
) -> nn.Module:
    """Return a fine-tuned copy after exactly `steps` steps of Adam with a linearly falling learning rate.

    Batches are taken in order, again and again: no randomness but the model's own. `loss(model, batch)` gives a
    scalar; without it, the mean squared difference from the dense model's first output tensor. Every parameter entry
    that is 0 in `model` stays 0, or, where `masks` (layer name to booleans of the weight's shape) is given, what it
    removes. The model trains in eval mode: batch-norm statistics and dropout stay as the solvers left them. A model
    in half precision trains in single precision, as Adam's small steps need, and is rounded at the end. Raises
    BadInputError for no batches, steps < 0 and a loss that is not finite.
    """
    given = list(batches)
    if not given or steps < 0:
        raise BadInputError(f"fine-tuning of {steps} steps on {len(given)} batches", "needs both", "give batches")
    tuned = copy.deepcopy(model).eval()
    if any(parameter.dtype in (torch.float16, torch.bfloat16) for parameter in model.parameters()):
        single = _single(given), steps, learning_rate, masks, loss
        return _rounded(finetune(tuned.float(), copy.deepcopy(dense).float(), *single), model)
    kept = _kept(tuned, masks)
    trained = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, learning_rate)
    for step in range(steps):
        batch = given[step % len(given)]
        optimiser.zero_grad()
        value = loss(tuned, batch) if loss is not None else _distance(tuned, dense, batch)
        if not torch.isfinite(value):
            raise BadInputError(f"fine-tuning step {step}", "has a loss that is not finite", "lower learning_rate")
        torch.autograd.backward(value)
        for entry in optimiser.param_groups:
            entry["lr"] = learning_rate * (1.0 - step / steps)
        optimiser.step()
        with torch.no_grad():
            for parameter, mask in kept:
                parameter.mul_(mask)
    return tuned


def _single(batches: list[Batch]) -> list[Batch]:
    def single(leaf: object) -> object:
        return leaf.float() if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf

    return [_pytree.tree_map(single, batch) for batch in batches]


def _rounded(tuned: nn.Module, like: nn.Module) -> nn.Module:
    """Return the model `like` with the tuned numbers, each tensor in its own precision."""
    rounded = copy.deepcopy(like).eval()
    rounded.load_state_dict(tuned.state_dict())
    return rounded


def _kept(model: nn.Module, masks: Mapping[str, torch.Tensor] | None) -> list[tuple[nn.Parameter, torch.Tensor]]:
    if masks is None:
        return [(value, value.detach() != 0) for value in model.parameters() if bool((value == 0).any())]
    named = dict(model.named_parameters())
    weights = {name: named[f"{name}.weight"] for name in masks}
    return [(weights[name], mask.to(weights[name].device)) for name, mask in masks.items()]


def _distance(model: nn.Module, dense: nn.Module, batch: Batch) -> torch.Tensor:
    with evaluating(dense):
        goal = first_tensor(run(dense, batch))
    return ((first_tensor(run(model, batch)) - goal) ** 2).mean()
