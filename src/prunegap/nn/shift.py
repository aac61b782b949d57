"""Normalised inputs made non-negative: x becomes x + by >= 0, and the bias takes back what that adds.

Every weight of a layer that reads negative inputs needs paths of its own for both signs. Inputs of a box are bounded
below, so W x = W (x + by) - W by with by = -low: the layer becomes one-sided at the price of a bias. Zero padding is
taken out of the layer and done first, since a padded zero is moved like any other input. Exact but for the bias,
whose rounding the certificate counts.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.input_set import InputSet
from prunegap.nn.norms import gamma
from prunegap.nn.target import Floats, LayerWeights, LazyWeights, Target
from prunegap.nn.ticket import NetworkTicket

NAME = "input+shift"


def shifted(target: Target, inputs: InputSet) -> Target:
    """Return the target with its input shifted to be non-negative on `inputs`, or itself where that needs nothing.

    It is left alone as well where something else than one layer reads the input, and on a ball.
    """
    readers = [step for step in target.graph.steps if INPUT in step.inputs]
    if inputs.kind != "box" or inputs.non_negative or len(readers) != 1 or not readers[0].is_layer:
        return target
    step, before = readers[0], target.graph.input_shape
    inputs.ends(before)
    padding = [int(size) for size in step.options.get("padding", [0, 0])]
    low = [min(one, 0.0) if any(padding) else one for one in inputs.lows]
    by = [-one for one in low] * (1 if len(low) == before[0] or step.kind == "linear" else before[0])
    options = {**step.options, "bias": True}
    if step.kind == "conv2d":
        options["padding"] = [0, 0]
    moved = Step(step.name, step.kind, (NAME,), options)
    steps = [Step(NAME, "shift", (INPUT,), {"by": by, "padding": padding})]
    steps += [moved if one is step else one for one in target.graph.steps]
    loaders = {name: partial(target.weights.__getitem__, name) for name in target.weights}
    loaders[step.name] = partial(_moved, target, step.name, np.array(by))
    return Target(Graph(before, tuple(steps)), LazyWeights(loaders))


def as_in(ticket: NetworkTicket, target: Target) -> Target:
    """Return the target as the ticket reads it: shifted where the ticket shifts its input."""
    return shifted(target, ticket.inputs) if any(step.kind == "shift" for step in ticket.graph.steps) else target


def _moved(target: Target, name: str, by: Floats) -> LayerWeights:
    """Return the layer's weights with the bias b - W by and a bound on its rounding."""
    layer = target.weights[name]
    columns = layer.weight.reshape(*layer.weight.shape[:2], -1)
    if by.size > 1:
        # In a layer of groups output i reads its own group's channels.
        groups = by.size // columns.shape[1]
        by = np.repeat(by.reshape(groups, -1), columns.shape[0] // groups, axis=0)[:, :, None]
    bias = np.zeros(columns.shape[0]) if layer.bias is None else layer.bias
    sizes = np.abs(bias) + (np.abs(columns) * np.abs(by)).sum(axis=(1, 2))
    error = gamma(columns[0].size + 4) * sizes
    return LayerWeights(layer.weight, bias - (columns * by).sum(axis=(1, 2)), error)
