"""Edge-popup (Ramanujan et al. 2020, arXiv:1911.13299): masks of a random network learned by gradient descent.

Every weight, or every hidden neuron, has a score that is trained while the weights stay as drawn. The forward pass
keeps what has the greatest |score|: a fraction of each array, N of every M consecutive weights of a row, or a
fraction of the hidden neurons. The backward pass lets the gradient of the mask through to the score (straight
through). The scalar of a layer is a power of two, set once, before training, so that the layer's outputs are as
large as the target's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, Neuron, NOfM
from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.modules import dense, fixed
from prunegap.nn.random_pair import Pair, drawn_pair, pair_forward
from prunegap.nn.rival import Rival, RivalLayer, mask_shapes
from prunegap.nn.source import SourceLayer
from prunegap.nn.target import Target

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Training:
    """How masks are learned: `keep_fraction` of each array (N:M keeps N / M), steps of Adam on batches, cosine decay.

    Without a `step_size` it is 0.01, and 0.1 for neurons, whose scores are few. Raises BadInputError for a
    keep_fraction outside (0, 1], no steps, an empty batch or a step size that is not above 0.
    """

    keep_fraction: float = 0.5
    steps: int = 300
    batch: int = 128
    step_size: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.keep_fraction <= 1.0:
            raise BadInputError(
                f"keep_fraction {self.keep_fraction}", "must lie in (0, 1]", "use --keep-fraction 0.5"
            )
        if self.steps < 1 or self.batch < 1 or not (self.step_size is None or self.step_size > 0.0):
            raise BadInputError(f"{self}", "needs at least one step and input, and a step size", "use --steps 300")

    def step_size_for(self, granularity: Granularity) -> float:
        """Return the step size."""
        return self.step_size or (0.1 if isinstance(granularity, Neuron) else 0.01)


def learn_masks(
    target: Target,
    sources: Mapping[str, SourceLayer],
    inputs: Tensor,
    labels: Tensor | None,
    granularity: Granularity,
    training: Training | None = None,
    *,
    seconds: float = math.inf,
    progress: Progress | None = None,
) -> Rival | None:
    """Return masks of `sources` learned on `inputs` (n, *input_shape), or None where the time ran out first.

    With labels (n,) the loss is their cross entropy, without it is ||output - target's||^2 relative to the
    target's. The same arguments give the same bits on one machine and number of threads.
    """
    training, began = training or Training(), time.monotonic()
    with torch.no_grad():
        wanted = dense(target, torch.float32)(inputs.float())
    generator = torch.Generator().manual_seed(training.seed)
    learner = _Learner(target, sources, inputs[: training.batch].float(), granularity, training, generator)
    optimiser = torch.optim.Adam(learner.scores, lr=training.step_size_for(granularity))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.steps)
    order = torch.randperm(inputs.shape[0], generator=generator)
    for step in range(training.steps):
        if time.monotonic() - began > seconds:
            return None
        if order.numel() < min(training.batch, inputs.shape[0]):
            order = torch.randperm(inputs.shape[0], generator=generator)
        chosen, order = order[: training.batch], order[training.batch :]
        output = learner(inputs[chosen].float())
        if labels is None:
            loss = (output - wanted[chosen]).square().sum() / wanted.square().mean(0).sum() / chosen.numel()
        else:
            loss = functional.cross_entropy(output, labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(f"edge-popup {granularity}", step + 1, training.steps)
    return Rival(target.graph, learner.layers(), "edge-popup", target.digest())


class _StraightThrough(torch.autograd.Function):
    """The mask of the scores forward, the identity on |score| backward."""

    @staticmethod
    def forward(context: Any, sizes: Tensor, granularity: Granularity, keep_fraction: float) -> Tensor:
        return hard_mask(sizes, granularity, keep_fraction).to(sizes.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0], None, None


def _straight_through(sizes: Tensor, granularity: Granularity, keep_fraction: float) -> Tensor:
    masked: Tensor = _StraightThrough.apply(sizes, granularity, keep_fraction)  # type: ignore[no-untyped-call]
    return masked


def hard_mask(sizes: Tensor, granularity: Granularity, keep_fraction: float) -> Tensor:
    """Return which entries stay: the round(keep_fraction n), at least one, largest, or N of every M of a row."""
    if isinstance(granularity, NOfM):
        group = granularity.group
        padded = functional.pad(sizes, (0, -sizes.shape[1] % group), value=-1.0).reshape(sizes.shape[0], -1, group)
        chosen = padded.topk(granularity.kept, dim=2).indices
        kept = torch.zeros_like(padded, dtype=torch.bool).scatter_(2, chosen, True)
        return kept.reshape(sizes.shape[0], -1)[:, : sizes.shape[1]]
    count = max(1, round(keep_fraction * sizes.numel()))
    kept = torch.zeros(sizes.numel(), dtype=torch.bool)
    kept[sizes.flatten().topk(count).indices] = True
    return kept.reshape(sizes.shape)


class _Learner:
    """The random network with its scores."""

    def __init__(
        self,
        target: Target,
        sources: Mapping[str, SourceLayer],
        sample: Tensor,
        granularity: Granularity,
        training: Training,
        generator: torch.Generator,
    ) -> None:
        self.graph: Graph = target.graph
        self.granularity, self.keep_fraction = granularity, training.keep_fraction
        self.sources: dict[str, SourceLayer] = {}
        self.pairs: dict[str, Pair] = {}
        self.by_layer: dict[str, list[Tensor]] = {}
        module = dense(target, torch.float32)
        with torch.no_grad():
            wanted = module.activations(sample)
            values = {INPUT: sample}
            for step in self.graph.steps:
                before = [values[name] for name in step.inputs]
                if step.is_layer:
                    self._begin(step, sources[step.name], before[0], wanted[step.name], generator)
                    values[step.name] = self._layer(step, before[0])
                else:
                    values[step.name] = fixed(step, before)

    @property
    def scores(self) -> list[Tensor]:
        """Everything that is trained."""
        return [score for scores in self.by_layer.values() for score in scores]

    def _begin(self, step: Step, source: SourceLayer, x: Tensor, wanted: Tensor, generator: torch.Generator) -> None:
        """Draw the scores of a layer and choose its scale."""
        drawn = [
            torch.rand(shape, generator=generator).requires_grad_() for shape in mask_shapes(source, self.granularity)
        ]
        self.by_layer[step.name] = drawn
        self.pairs[step.name] = drawn_pair(replace(source, exponent=0))
        size, given = float(wanted.square().mean().sqrt()), float(self._layer(step, x).square().mean().sqrt())
        exponent = int(np.clip(round(math.log2(size / given)), -96, 60)) if size > 0.0 and given > 0.0 else 0
        self.sources[step.name] = replace(source, exponent=exponent)
        pair = self.pairs[step.name]
        constant = None if pair.constant is None else pair.constant * 2.0**exponent
        self.pairs[step.name] = Pair(pair.first, pair.second * 2.0**exponent, constant)

    def _layer(self, step: Step, x: Tensor) -> Tensor:
        masks = [
            _straight_through(score.abs(), self.granularity, self.keep_fraction) for score in self.by_layer[step.name]
        ]
        pair = self.pairs[step.name]
        if isinstance(self.granularity, Neuron):
            return pair_forward(step, pair, x, masks[0])
        parts = [part * mask.reshape(part.shape) for part, mask in zip(pair.arrays, masks, strict=True)]
        return pair_forward(step, Pair(parts[0], parts[1], parts[2] if len(parts) == 3 else None), x)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of the masked network."""
        values = {INPUT: x}
        for step in self.graph.steps:
            before = [values[name] for name in step.inputs]
            values[step.name] = self._layer(step, before[0]) if step.is_layer else fixed(step, before)
        return values[self.graph.steps[-1].name]

    def layers(self) -> dict[str, RivalLayer]:
        """Return the masks as they are now."""
        return {
            name: RivalLayer(
                source,
                self.granularity,
                tuple(
                    hard_mask(score.detach().abs(), self.granularity, self.keep_fraction).numpy()
                    for score in self.by_layer[name]
                ),
            )
            for name, source in self.sources.items()
        }
