"""The small module against its masked twin: numbers, not faith."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.structure.groups import Keep, Structure
from prunegap.trained.structure.module import ShrunkModule
from prunegap.trained.structure.shrink import cut, masked

TOLERANCE = 1e-4


def agreement(
    small: nn.Module, twin: nn.Module, inputs: Sequence[torch.Tensor], named: Mapping[str, torch.Tensor] | None = None
) -> float:
    """The largest |small - twin| over all outputs, as a fraction of the largest |twin|; both in eval mode.

    Infinity when shapes differ or a number is not finite.
    """
    return gap_between(outputs(small, inputs, named or {}), outputs(twin, inputs, named or {}))


def gap_between(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> float:
    """The largest |ours - theirs| over all tensors, each as a fraction of its largest |theirs|."""
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return math.inf
    worst = 0.0
    for x, y in zip(ours, theirs, strict=True):
        if x.numel() and x.is_floating_point():
            scale = max(float(y.abs().max()), torch.finfo(y.dtype).tiny)
            gap = float((x - y).abs().max()) / scale
            worst = max(worst, gap if math.isfinite(gap) else math.inf)
        elif not torch.equal(x, y):
            return math.inf
    return worst


def outputs(
    module: nn.Module, inputs: Sequence[torch.Tensor], named: Mapping[str, torch.Tensor]
) -> list[torch.Tensor]:
    """All output tensors in eval mode, without gradients; the module's mode is restored."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            out = module(*inputs, **named)
    finally:
        module.train(training)
    return [x for x in _pytree.tree_leaves(out) if isinstance(x, torch.Tensor)]


def _is_half(model: nn.Module) -> bool:
    return any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())


def _single(value: object) -> object:
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def shrunk(model: nn.Module, structure: Structure, keep: Keep, tolerance: float = TOLERANCE) -> ShrunkModule:
    """A new, really smaller module with the units outside `keep` removed; the model is not modified.

    Guaranteed: on the example inputs it agrees with masked(model, structure, keep) to `tolerance` of the output's
    scale, in eval mode; a model in half precision does so as a copy in single precision. Raises BadInputError when it
    does not, or where an operation cannot be made smaller.
    """
    small, twin = cut(model, structure, keep), masked(model, structure, keep)
    gap = agreement(small, twin, structure.inputs, structure.named)
    if gap > tolerance and _is_half(twin):
        inputs, named = _pytree.tree_map(_single, (tuple(structure.inputs), dict(structure.named)))
        gap = agreement(copy.deepcopy(small).float(), copy.deepcopy(twin).float(), inputs, named)
    if gap > tolerance:
        raise BadInputError(
            "the shrunk model",
            f"differs from the masked model by {gap:.2g} of the output's scale (allowed {tolerance:g})",
            "check that the model gives the same output twice in eval mode; use float64 if it is ill-conditioned",
        )
    return small
