"""Graphs as nn.Modules: the target, the ticket collapsed to one layer a layer, and the ticket as it is, two masked
random layers.

In a masked layer every hidden neuron keeps one weight u of its row, so relu(U [x; 1]) is relu(u x_j): that is how it
is computed. In a collapsed layer the paths are summed: y = P relu(x) + N relu(-x), and P x where x is not negative.
Both compute the same function of real numbers, and differ by rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.target import Target


class GraphModule(nn.Module):
    """Runs the steps of a graph; `layers` holds a module for every layer, in graph order."""

    def __init__(self, graph: Graph, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.graph = graph
        # The names of steps may hold dots, which names of modules may not.
        self.layers = nn.ModuleList([layers[step.name] for step in graph.layers])

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for inputs of shape (batch, *graph.input_shape)."""
        return self.activations(x)[self.graph.steps[-1].name]

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """Return what every step computes, by name, the input as `input` included."""
        values = {INPUT: x}
        layers = iter(self.layers)
        for step in self.graph.steps:
            inputs = [values[name] for name in step.inputs]
            values[step.name] = next(layers)(inputs[0]) if step.is_layer else fixed(step, inputs)
        return values


def fixed(step: Step, inputs: list[Tensor]) -> Tensor:
    """Return what a step without weights computes."""
    x, options = inputs[0], step.options
    if step.kind == "relu":
        return torch.relu(x)
    if step.kind == "add":
        return x + inputs[1]
    if step.kind == "shift":
        by = torch.tensor(options["by"], dtype=x.dtype, device=x.device).reshape(-1, *[1] * (x.ndim - 2))
        return padded(step, x) + by
    if step.kind == "flatten":
        return torch.flatten(x, 1)
    if step.kind == "adaptiveavgpool":
        return functional.adaptive_avg_pool2d(x, options["size"])
    pool = functional.max_pool2d if step.kind == "maxpool" else functional.avg_pool2d
    return pool(x, options["size"], options["stride"], options["padding"])


def padded(step: Step, x: Tensor) -> Tensor:
    """Return x with the zeros of a `shift` around it."""
    rows, columns = step.options["padding"]
    return functional.pad(x, (columns, columns, rows, rows)) if rows or columns else x


def linear_map(step: Step, x: Tensor, weight: Tensor) -> Tensor:
    """Return the layer's bias-free linear map of `x` under `weight`."""
    if step.kind == "linear":
        return functional.linear(x, weight)
    options: Any = step.options
    return functional.conv2d(
        x, weight, None, options["stride"], options["padding"], options["dilation"], options["groups"]
    )


def with_bias(step: Step, y: Tensor, bias: Tensor | None) -> Tensor:
    """Return y with the bias added to every output channel."""
    if bias is None:
        return y
    return y + (bias[:, None, None] if step.kind == "conv2d" else bias)


class SidedLayer(nn.Module):
    """y = P relu(x) + N relu(-x) + b, or y = P x + b where x has no negative entry (`negative` None)."""

    def __init__(self, step: Step, positive: Tensor, negative: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        self.step = step
        self.positive = nn.Parameter(positive, requires_grad=False)
        self.negative = None if negative is None else nn.Parameter(negative, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.negative is None:
            return with_bias(self.step, linear_map(self.step, x, self.positive), self.bias)
        y = linear_map(self.step, torch.relu(x), self.positive)
        return with_bias(self.step, y + linear_map(self.step, torch.relu(-x), self.negative), self.bias)


class MaskedLayer(nn.Module):
    """Two masked random layers: hidden = relu(u x_j), y = V hidden, the constant input 1 served alike.

    `first` (inputs, width) holds the kept weight u of every hidden neuron (j, t), 0 where its row is pruned; `second`
    is the masked V, (outputs, inputs width) or (outputs, inputs / groups width, kh, kw). `first_constant` and
    `second_constant` (outputs, constants width) serve the constant inputs.
    """

    def __init__(
        self,
        step: Step,
        first: Tensor,
        second: Tensor,
        first_constant: Tensor | None = None,
        second_constant: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.step = step
        self.first = nn.Parameter(first, requires_grad=False)
        self.second = nn.Parameter(second, requires_grad=False)
        self.first_constant = None if first_constant is None else nn.Parameter(first_constant, requires_grad=False)
        self.second_constant = None if second_constant is None else nn.Parameter(second_constant, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.step.kind == "linear":
            hidden = torch.relu(x[..., None] * self.first).flatten(-2)
        else:
            hidden = torch.relu(x[:, :, None] * self.first[:, :, None, None]).flatten(1, 2)
        y = linear_map(self.step, hidden, self.second)
        if self.first_constant is None or self.second_constant is None:
            return y
        return with_bias(self.step, y, functional.linear(torch.relu(self.first_constant), self.second_constant))


def dense(target: Target, dtype: torch.dtype = torch.float64) -> GraphModule:
    """Return the target itself as a module."""
    layers: dict[str, nn.Module] = {}
    for step in target.graph.layers:
        weights = target.weights[step.name]
        bias = None if weights.bias is None else torch.tensor(weights.bias, dtype=dtype)
        layers[step.name] = SidedLayer(step, torch.tensor(weights.weight, dtype=dtype), None, bias)
    return GraphModule(target.graph, layers).eval()
