"""The trained network to imitate: its graph and its weights in float64, whatever they were before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import Graph

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A weight array (outputs, inputs[, kh, kw]) and its bias (outputs,) or None, float64."""

    weight: Floats
    bias: Floats | None = None

    @property
    def count(self) -> int:
        """Number of weights, biases included."""
        return self.weight.size + (0 if self.bias is None else self.bias.size)


def checked_weights(name: str, weight: ArrayLike, bias: ArrayLike | None) -> LayerWeights:
    """Return float64 copies; raises BadInputError for NaN or infinite entries, naming the layer and the first one."""
    arrays = []
    for kind, values in (("weight", weight), ("bias", bias)):
        array = None if values is None else np.array(values, dtype=np.float64)
        if array is not None and not np.isfinite(array).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise BadInputError(
                f"layer {name}", f"{kind}{list(place)} is {array[place]}", "replace it by a finite number"
            )
        arrays.append(array)
    assert arrays[0] is not None
    return LayerWeights(arrays[0], arrays[1])


@dataclass(frozen=True, eq=False)
class Target:
    """A graph with the weights of its layers, BatchNorm folded in.

    Raises BadInputError where the weights do not fit the graph.
    """

    graph: Graph
    weights: Mapping[str, LayerWeights]

    def __post_init__(self) -> None:
        for step in self.graph.layers:
            shape, layer = step.shape, self.weights[step.name]
            expected = (shape.outputs, shape.inputs // shape.groups, *shape.kernel)
            if layer.weight.shape != expected or (layer.bias is not None) != shape.bias:
                raise BadInputError(
                    f"layer {step.name} with weights {layer.weight.shape}", f"must be {expected}", "check the state"
                )

    @property
    def weight_count(self) -> int:
        """All weights of all layers, biases included."""
        return sum(layer.count for layer in self.weights.values())

    def digest(self) -> str:
        """Return SHA-256 over the layers' names and weights as little-endian float64, in graph order."""
        digest = hashlib.sha256()
        for step in self.graph.layers:
            digest.update(step.name.encode())
            layer = self.weights[step.name]
            for array in (layer.weight, layer.bias):
                if array is not None:
                    digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()
