"""The trained network to imitate: its graph and its weights in float64, whatever they were before.

Weights of a file are read layer by layer, so that a network may be larger than memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import Graph

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A weight array (outputs, inputs[, kh, kw]) and its bias (outputs,) or None, float64.

    `bias_error` (outputs,) bounds what rounding took from a bias that was computed (None: nothing).
    """

    weight: Floats
    bias: Floats | None = None
    bias_error: Floats | None = None


class LazyWeights(Mapping[str, LayerWeights]):
    """The weights of layers by name, each read anew whenever it is asked for: never more than one layer is held."""

    def __init__(self, loaders: Mapping[str, Callable[[], LayerWeights]]) -> None:
        self._loaders = dict(loaders)

    def __getitem__(self, name: str) -> LayerWeights:
        return self._loaders[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


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

    Raises BadInputError where the weights do not fit the graph (those of LazyWeights are made to fit).
    """

    graph: Graph
    weights: Mapping[str, LayerWeights]

    def __post_init__(self) -> None:
        for step in () if isinstance(self.weights, LazyWeights) else self.graph.layers:
            shape, layer = step.shape, self.weights[step.name]
            expected = (shape.outputs, shape.inputs // shape.groups, *shape.kernel)
            if layer.weight.shape != expected or (layer.bias is not None) != shape.bias:
                raise BadInputError(
                    f"layer {step.name} with weights {layer.weight.shape}", f"must be {expected}", "check the state"
                )

    @property
    def weight_count(self) -> int:
        """All weights of all layers, biases included."""
        return sum(step.shape.weight_count for step in self.graph.layers)

    @property
    def largest(self) -> float:
        """The largest absolute weight or bias."""
        return max(
            float(np.abs(part).max())
            for layer in self.weights.values()
            for part in (layer.weight, layer.bias)
            if part is not None
        )

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
