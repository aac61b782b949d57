"""The difference of a target and its ticket at single inputs: what is measured, with its roundings proven.

Both networks are run in float64. Beside every computed value stands a bound on the l2 norm by which it misses the
exact one: a layer multiplies it by the layer's operator norm and adds what its own sums round, at most
gamma_n (|W| |x| + |b|) in the entries (Higham 2002, section 3.1). Carried entry by entry the same errors would grow
with the row sums of |W|, which makes them useless after twenty layers. Memory is that of a layer, so any network
will do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.layer_norm import layer_norm_upper, reads
from prunegap.nn.modules import fixed, linear_map, with_bias
from prunegap.nn.norms import gamma, upward
from prunegap.nn.target import LayerWeights, Target
from prunegap.nn.ticket import Collapsed, NetworkTicket

Floats = NDArray[np.float64]

UP = 1.0 + 2.0**-48
"""Covers a few roundings of non-negative numbers."""
BATCH = 64


@dataclass(frozen=True)
class Run:
    """Computed values (n, *shape), and for each input the greatest l2 distance to the exact ones (n,)."""

    value: Tensor
    missed: Tensor


@dataclass(frozen=True)
class Side:
    """One network's layer: W x + b, or P relu(x) + N relu(-x) + b, and the norm of (P N).

    `bias_missed` bounds the l2 norm of what rounding took from the bias.
    """

    step: Step
    weight: Tensor
    negative: Tensor | None
    bias: Tensor | None
    norm: float
    bias_missed: float = 0.0

    @classmethod
    def of(cls, step: Step, weight: Floats, negative: Floats | None, bias: Floats | None, missed: float) -> Side:
        """Return the layer, its norm computed."""
        norm = layer_norm_upper(step, weight)
        if negative is not None:
            # The map to (relu(x), relu(-x)) lengthens no distance.
            norm = upward(math.hypot(norm, layer_norm_upper(step, negative)), 4)
        opposite, shift = (None if part is None else torch.from_numpy(part) for part in (negative, bias))
        return cls(step, torch.from_numpy(weight), opposite, shift, norm, missed)

    def __call__(self, before: Run) -> Run:
        """Return the run behind the layer."""
        x, step = before.value, self.step
        value, size = linear_map(step, x, self.weight), linear_map(step, x.abs(), self.weight.abs())
        if self.negative is not None:
            up, down = torch.relu(x), torch.relu(-x)
            value = linear_map(step, up, self.weight) + linear_map(step, down, self.negative)
            size = linear_map(step, up, self.weight.abs()) + linear_map(step, down, self.negative.abs())
        value = with_bias(step, value, self.bias)
        size = with_bias(step, size, None if self.bias is None else self.bias.abs())
        summands = terms(step) * (1 if self.negative is None else 2)
        rounded = norms(size) * gamma(summands) + self.bias_missed * math.sqrt(math.prod(value.shape[2:]))
        return Run(value, (self.norm * before.missed + rounded * UP) * UP)


def sides(step: Step, weights: LayerWeights, paths: Collapsed) -> tuple[Side, Side]:
    """Return a layer of the target and of the ticket."""
    lost = 0.0 if weights.bias_error is None else float(np.linalg.norm(weights.bias_error)) * UP
    ours = Side.of(step, weights.weight, None, weights.bias, lost)
    return ours, Side.of(step, paths.positive, paths.negative, paths.bias, 0.0)


def errors_at(ticket: NetworkTicket, target: Target, points: Tensor) -> Iterator[list[float]]:
    """Yield for each batch of `points` (n, *input_shape), float64, upper bounds on every |output - ticket's|.

    They hold for the exact functions of real numbers at exactly these inputs.
    """
    for part in torch.split(points, BATCH):
        pairs = {INPUT: (Run(part, torch.zeros(len(part), dtype=torch.float64)),) * 2}
        left = readers(ticket.graph)
        for step in ticket.graph.steps:
            before = [pairs[name] for name in step.inputs]
            if step.is_layer:
                ours, theirs = sides(step, target.weights[step.name], ticket.layers[step.name].collapsed())
                pairs[step.name] = ours(before[0][0]), theirs(before[0][1])
            else:
                pairs[step.name] = through_fixed(step, before)
            for name in step.inputs:
                left[name] -= 1
                if not left[name]:
                    del pairs[name]
        mine, theirs_run = pairs[ticket.graph.steps[-1].name]
        apart = (mine.value - theirs_run.value).abs().flatten(1).amax(1)
        bounds = (apart + mine.missed + theirs_run.missed) * UP
        yield [math.nextafter(bound, math.inf) for bound in bounds.tolist()]


def readers(graph: Graph) -> dict[str, int]:
    """Return how many steps still read each value; the last one is read by whoever asks."""
    counts = dict.fromkeys([INPUT, *(step.name for step in graph.steps)], 0)
    for step in graph.steps:
        for name in step.inputs:
            counts[name] += 1
    counts[graph.steps[-1].name] += 1
    return counts


def through_fixed(step: Step, before: list[tuple[Run, Run]]) -> tuple[Run, Run]:
    """Return both runs behind a step without weights."""
    ours, theirs = (_through_fixed(step, list(side)) for side in zip(*before, strict=True))
    return ours, theirs


def _through_fixed(step: Step, before: list[Run]) -> Run:
    value = fixed(step, [run.value for run in before])
    missed = torch.stack([run.missed for run in before]).sum(0) * UP
    if step.kind in ("relu", "flatten"):
        return Run(value, missed)
    if step.kind in ("maxpool", "avgpool", "adaptiveavgpool"):
        missed = missed * reads(step, before[0].value.shape) * UP
    if step.kind == "maxpool":
        return Run(value, missed)
    size = fixed(step, [run.value.abs() for run in before])
    if step.kind == "shift":
        size = size + 2.0 * max(map(abs, step.options["by"]))
    return Run(value, (missed + norms(size) * gamma(window(step, before[0].value))) * UP)


def norms(values: Tensor) -> Tensor:
    """Return the l2 norms of values (n, *shape), rounded up, (n,)."""
    flat = values.flatten(1)
    return flat.square().sum(1).sqrt() * (1.0 + gamma(flat.shape[1] + 4))


def terms(step: Step) -> int:
    """Return how many products an output of a layer sums."""
    return step.shape.inputs // step.shape.groups * step.shape.taps + 2


def window(step: Step, x: Tensor) -> int:
    """Return how many entries a step without weights sums at most, and a few more."""
    return 8 + (math.prod(x.shape[2:]) if "pool" in step.kind else 2)
