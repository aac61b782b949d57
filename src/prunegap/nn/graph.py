"""What a network computes, as a list of named steps that a file can hold and anybody can run.

A step names its inputs; the network's input is called `input`. Steps of kind `linear` and `conv2d` carry weights and
are called layers; everything else is fixed. BatchNorm is folded into layers before a graph exists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.input_set import InputSet

INPUT = "input"
FIXED = ("shift", "relu", "maxpool", "avgpool", "adaptiveavgpool", "flatten", "add")
KEEPS_SIGN = ("maxpool", "avgpool", "adaptiveavgpool", "flatten", "add")


@dataclass(frozen=True)
class LayerShape:
    """The weights of a layer: (outputs, inputs) or, for a convolution, (outputs, inputs / groups, kh, kw).

    Seen from its input channels j, a layer is a matrix of columns: row j holds all weights that j has.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, ...] = ()
    groups: int = 1
    bias: bool = False

    @property
    def taps(self) -> int:
        """Entries of the kernel, 1 for a linear layer."""
        return math.prod(self.kernel)

    @property
    def weights_per_input(self) -> int:
        """Weights that one input channel has."""
        return self.outputs // self.groups * self.taps

    @property
    def weight_count(self) -> int:
        """All weights, biases included."""
        return self.inputs * self.weights_per_input + self.outputs * self.bias

    def widened(self, width: int) -> LayerShape:
        """Return the shape of the second random layer: every input replaced by `width` hidden neurons."""
        return LayerShape(self.outputs, self.inputs * width, self.kernel, self.groups)

    def columns(self, weight: NDArray[Any]) -> NDArray[Any]:
        """Return a weight array as (inputs, weights_per_input)."""
        split = weight.reshape(self.groups, self.outputs // self.groups, self.inputs // self.groups, self.taps)
        return np.ascontiguousarray(split.transpose(0, 2, 1, 3)).reshape(self.inputs, -1)

    def from_columns(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Undo `columns`."""
        split = columns.reshape(self.groups, self.inputs // self.groups, self.outputs // self.groups, self.taps)
        shape = (self.outputs, self.inputs // self.groups, *self.kernel)
        return np.ascontiguousarray(split.transpose(0, 2, 1, 3)).reshape(shape)


@dataclass(frozen=True)
class Step:
    """One operation: `options` hold numbers and lists of numbers only, so that they survive JSON.

    A `shift` pads the network's input by `padding` zeros and then adds by[c] to channel c, padding included.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_layer(self) -> bool:
        """Whether the step carries weights."""
        return self.kind in ("linear", "conv2d")

    @property
    def shape(self) -> LayerShape:
        """The shape of a layer's weights."""
        options = self.options
        kernel = tuple(int(size) for size in options.get("kernel", ()))
        return LayerShape(
            int(options["outputs"]),
            int(options["inputs"]),
            kernel,
            int(options.get("groups", 1)),
            bool(options["bias"]),
        )


@dataclass(frozen=True)
class Graph:
    """The steps of a network in the order in which they can be run; the last one is the output.

    `input_shape` leaves out the batch. Raises BadInputError for unknown kinds, names used twice or before they exist.
    """

    input_shape: tuple[int, ...]
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        known = {INPUT}
        for step in self.steps:
            if not (step.is_layer or step.kind in FIXED):
                raise BadInputError(f"step {step.name}", f"is of unknown kind {step.kind!r}", "update prunegap")
            if step.name in known or not set(step.inputs) <= known or len(step.inputs) != 1 + (step.kind == "add"):
                raise BadInputError(f"step {step.name}", "has a wrong name or wrong inputs", "make the ticket anew")
            if step.kind == "shift" and step.inputs != (INPUT,):
                raise BadInputError(
                    f"step {step.name}", "shifts something else than the input", "make the ticket anew"
                )
            known.add(step.name)
        if not any(step.is_layer for step in self.steps):
            raise BadInputError("a network without layers", "has nothing to prune", "give Linear or Conv2d layers")

    @property
    def layers(self) -> tuple[Step, ...]:
        """The steps that carry weights."""
        return tuple(step for step in self.steps if step.is_layer)

    def one_sided(self, inputs: InputSet) -> dict[str, bool]:
        """Return for every layer whether its input has no negative entry, whatever its weights are."""
        non_negative = {INPUT: inputs.non_negative}
        for step in self.steps:
            before = all(non_negative[name] for name in step.inputs)
            shifted = step.kind == "shift" and inputs.non_negative_after(
                step.options["by"], any(step.options["padding"])
            )
            non_negative[step.name] = step.kind == "relu" or shifted or (step.kind in KEEPS_SIGN and before)
        return {step.name: non_negative[step.inputs[0]] for step in self.layers}

    def as_object(self) -> dict[str, Any]:
        """Return the graph as plain lists and dictionaries."""
        steps = [[step.name, step.kind, list(step.inputs), dict(step.options)] for step in self.steps]
        return {"input_shape": list(self.input_shape), "steps": steps}

    @classmethod
    def from_object(cls, plain: dict[str, Any]) -> Graph:
        """Undo `as_object`."""
        steps = tuple(
            Step(str(name), str(kind), tuple(map(str, inputs)), dict(options))
            for name, kind, inputs, options in plain["steps"]
        )
        return cls(tuple(int(size) for size in plain["input_shape"]), steps)
