"""The random source network, its readout, and the single neuron it is pruned to imitate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.model.errors import BadInputError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Readout(StrEnum):
    """What is applied to the sum of the hidden layer: rho in f(x) = rho(sum_i v_i relu(<w_i, x>))."""

    RELU = "relu"
    LINEAR = "linear"

    @classmethod
    def parse(cls, name: str) -> Readout:
        """Return the readout called `name`; raises BadInputError for any other name."""
        try:
            return cls(name)
        except ValueError:
            raise BadInputError(f"readout {name!r}", "must be relu or linear", "use --readout relu") from None


def frozen_array(values: ArrayLike, name: str, axes: int) -> NDArray[np.float64]:
    """Return a read-only float64 copy of `values`; raises BadInputError unless finite with `axes` axes."""
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise BadInputError(f"array {name}", "must hold real numbers", "pass a float64 array") from None
    if array.ndim != axes:
        raise BadInputError(
            f"array {name} of shape {array.shape}", f"must have {axes} axes", "reshape it before saving"
        )
    if not np.isfinite(array).all():
        raise BadInputError(f"array {name}", "holds NaN or infinite entries", "replace them by finite numbers")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Network:
    """A bias-free two-layer ReLU network f(x) = rho(sum_i v_i relu(<w_i, x>)).

    `weights` W has shape (width, dimension), `outputs` v has shape (width,); both become read-only float64 copies.
    Raises BadInputError for mismatched shapes, NaN or infinite entries, or dimension < 1. Width 0 is allowed.
    """

    weights: Matrix
    outputs: Vector

    def __post_init__(self) -> None:
        weights = frozen_array(self.weights, "W", 2)
        outputs = frozen_array(self.outputs, "v", 1)
        if weights.shape[1] < 1:
            raise BadInputError(f"array W of shape {weights.shape}", "dimension must be at least 1", "add a column")
        if weights.shape[0] != outputs.shape[0]:
            raise BadInputError(
                f"W of shape {weights.shape} with v of shape {outputs.shape}",
                "W needs one row for every entry of v",
                "save W as (n, d) and v as (n,)",
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "outputs", outputs)

    @property
    def width(self) -> int:
        """Number of hidden neurons n."""
        return int(self.weights.shape[0])

    @property
    def dimension(self) -> int:
        """Number of inputs d."""
        return int(self.weights.shape[1])

    def prefix(self, width: int) -> Network:
        """Return the first `width` neurons, 0 <= width <= self.width (the nested draw)."""
        if not 0 <= width <= self.width:
            raise BadInputError(f"width {width}", f"must lie in 0..{self.width}", "draw a wider network first")
        return Network(self.weights[:width], self.outputs[:width])

    def preactivation(self, inputs: Matrix) -> Vector:
        """Return p(x) = sum_i v_i relu(<w_i, x>) for inputs of shape (k, dimension); shape (k,)."""
        hidden = np.maximum(np.asarray(inputs, dtype=np.float64) @ self.weights.T, 0.0)
        return np.asarray(hidden @ self.outputs, dtype=np.float64)

    def __call__(self, inputs: Matrix, readout: Readout = Readout.RELU) -> Vector:
        """Return f(x) for inputs of shape (k, dimension); shape (k,)."""
        values = self.preactivation(inputs)
        return np.maximum(values, 0.0) if readout is Readout.RELU else values


def frozen_target(values: ArrayLike, dimension: int) -> Vector:
    """Return the target vector w* as a read-only array of shape (dimension,); raises BadInputError if it is 0."""
    target = frozen_array(values, "target", 1)
    if target.shape[0] != dimension:
        raise BadInputError(
            f"target of shape {target.shape} for W with {dimension} columns",
            "the target needs one entry for every input",
            "save target as (d,)",
        )
    if not np.any(target):
        raise BadInputError(
            "target of norm 0", "imitating the zero neuron needs no network", "give a non-zero target"
        )
    return target
