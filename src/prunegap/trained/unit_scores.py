"""Scores of units for the baselines: the size of a unit's weights, or its first-order effect on a loss.

Taylor needs gradients of a loss; without one the energy of the model's outputs stands in for it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch, first_tensor, run
from prunegap.trained.solve.gram import Array
from prunegap.trained.unit_groups import Group


def magnitude_scores(model: nn.Module, groups: Sequence[Group]) -> dict[str, Array]:
    """Return for each group the sum of squares of every parameter entry of each unit, (units,)."""
    return _summed(groups, {name: value.detach().double() ** 2 for name, value in model.named_parameters()})


def taylor_scores(
    model: nn.Module,
    groups: Sequence[Group],
    batches: Iterable[Batch],
    loss: Callable[[nn.Module, Any], torch.Tensor] | None = None,
) -> dict[str, Array]:
    """Return for each group the sum of (weight * gradient)^2 over the entries of each unit (Molchanov et al. 2019).

    `loss(model, batch)` gives a scalar; without it, the mean squared output. Gradients add up over the batches. The
    model is copied and run in eval mode. Raises BadInputError for gradients that are not finite.
    """
    trial = copy.deepcopy(model).eval()
    trial.zero_grad()
    for batch in batches:
        value = loss(trial, batch) if loss is not None else (first_tensor(run(trial, batch)) ** 2).mean()
        torch.autograd.backward(value)
    terms = {}
    for name, parameter in trial.named_parameters():
        if parameter.grad is None:
            continue
        if not torch.isfinite(parameter.grad).all():
            raise BadInputError(
                f"gradient of {name}", "is NaN or infinite", "mend the loss or the calibration inputs"
            )
        terms[name] = (parameter.detach().double() * parameter.grad.double()) ** 2
    return _summed(groups, terms)


def _summed(groups: Sequence[Group], terms: dict[str, torch.Tensor]) -> dict[str, Array]:
    scores = {}
    for group in groups:
        total = np.zeros(group.units)
        for member in group.members:
            if member.parameter in terms:
                term = terms[member.parameter].movedim(member.dim, 0)
                sizes = term.reshape(term.shape[0], -1).sum(1).cpu().numpy()
                total += sizes[np.asarray(member.indices)].sum(axis=1)
        scores[group.name] = total
    return scores
