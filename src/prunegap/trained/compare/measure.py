"""What quality is: the user's own measure, accuracy on labels, or likeness to the dense model where there are none.

Higher is better, and 1 is the best there is for the three measures defined here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch, run

Evaluate = Callable[[nn.Module], float]


class Likeness(Protocol):
    """A measure made from the dense model and held-out batches."""

    def __call__(self, dense: nn.Module, batches: Sequence[Batch]) -> Evaluate: ...


def accuracy(inputs: Tensor, labels: Tensor, batch: int = 256) -> Evaluate:
    """Return a function that gives the share of `inputs` that a model classifies as `labels`."""

    def evaluate(model: nn.Module) -> float:
        pieces = zip(torch.split(inputs, batch), torch.split(labels, batch), strict=True)
        right = [int((first_tensor(_run(model, x)).argmax(dim=-1) == y).sum()) for x, y in pieces]
        return sum(right) / labels.shape[0]

    return evaluate


def agreement(dense: nn.Module, batches: Sequence[Batch]) -> Evaluate:
    """Return a function that gives the share of outputs whose largest entry is the dense model's."""
    expected = [first_tensor(_run(dense, x)).argmax(dim=-1) for x in batches]

    def evaluate(model: nn.Module) -> float:
        same = [first_tensor(_run(model, x)).argmax(dim=-1) == y for x, y in zip(batches, expected, strict=True)]
        return float(torch.cat([s.flatten() for s in same]).double().mean())

    return evaluate


def fidelity(dense: nn.Module, batches: Sequence[Batch]) -> Evaluate:
    """Return a function that gives the mean cosine between a model's output rows and the dense model's."""
    expected = [first_tensor(_run(dense, x)) for x in batches]

    def evaluate(model: nn.Module) -> float:
        cosines = [
            nn.functional.cosine_similarity(first_tensor(_run(model, x)).double(), y.double(), dim=-1).flatten()
            for x, y in zip(batches, expected, strict=True)
        ]
        return float(torch.cat(cosines).mean())

    return evaluate


LIKENESSES: dict[str, Likeness] = {"agreement": agreement, "fidelity": fidelity}


def first_tensor(outputs: Any) -> Tensor:
    """Return the tensor of an output, also where a model returns a tuple, a mapping or an object with logits."""
    if isinstance(outputs, Tensor):
        return outputs
    if hasattr(outputs, "logits"):
        return first_tensor(outputs.logits)
    if isinstance(outputs, dict):
        return first_tensor(next(iter(outputs.values())))
    if isinstance(outputs, (tuple, list)) and outputs:
        return first_tensor(outputs[0])
    raise BadInputError(f"output of type {type(outputs).__name__}", "holds no tensor", "give an evaluate of your own")


def _run(model: nn.Module, batch: Batch) -> Any:
    model.eval()
    with torch.inference_mode():
        return run(model, batch)
