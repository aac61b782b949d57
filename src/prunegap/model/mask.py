"""The mask: which weights stay. It refuses anything but 0 and 1, and it cannot be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.network import Network

SHORT = 8
"""Rows of so many entries are looked at column by column: numpy reduces short rows one by one."""


def living_rows(kept_weights: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows of a mask (n, d) keep any weight, shape (n,)."""
    if kept_weights.shape[1] > SHORT:
        return np.asarray(kept_weights.any(axis=1))
    living = np.zeros(kept_weights.shape[0], dtype=np.bool_)
    for column in kept_weights.T:
        living |= column
    return living


def _binary(values: ArrayLike, name: str, axes: int) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.ndim != axes:
        raise BadInputError(f"mask of {name} with shape {array.shape}", f"must have {axes} axes", "reshape it")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise BadInputError(f"mask of {name}", "may hold nothing but 0 and 1", "threshold the scores first")
    kept = np.array(array, dtype=np.bool_, order="C")
    kept.setflags(write=False)
    return kept


@dataclass(frozen=True, eq=False)
class Mask:
    """A binary mask over a network: `kept_weights` of shape (n, d) and `kept_outputs` of shape (n,).

    Row i computes something exactly when v_i and at least one of its weights are kept (`alive`).
    Raises BadInputError for entries other than 0 and 1 or for mismatched shapes.
    """

    kept_weights: NDArray[np.bool_]
    kept_outputs: NDArray[np.bool_]

    def __post_init__(self) -> None:
        weights = _binary(self.kept_weights, "W", 2)
        outputs = _binary(self.kept_outputs, "v", 1)
        if weights.shape[0] != outputs.shape[0]:
            raise BadInputError(
                f"masks of shapes {weights.shape} and {outputs.shape}",
                "W and v need the same number of rows",
                "build both from one network",
            )
        object.__setattr__(self, "kept_weights", weights)
        object.__setattr__(self, "kept_outputs", outputs)

    @classmethod
    def from_rows(cls, kept_weights: ArrayLike) -> Mask:
        """Return the mask that keeps `kept_weights` and every v_i whose row keeps something."""
        weights = _binary(kept_weights, "W", 2)
        return cls(weights, living_rows(weights))

    @classmethod
    def of_neurons(cls, neurons: Sequence[int] | NDArray[np.integer], width: int, dimension: int) -> Mask:
        """Return the mask that keeps exactly the whole rows listed in `neurons`."""
        rows = np.zeros((width, dimension), dtype=np.bool_)
        rows[np.asarray(neurons, dtype=np.int64)] = True
        return cls.from_rows(rows)

    @property
    def width(self) -> int:
        """Number of rows, kept or not."""
        return int(self.kept_outputs.shape[0])

    @property
    def dimension(self) -> int:
        """Number of columns."""
        return int(self.kept_weights.shape[1])

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """Rows that compute something, shape (n,)."""
        alive = np.asarray(self.kept_outputs & living_rows(self.kept_weights))
        alive.setflags(write=False)
        return alive

    @property
    def kept_neurons(self) -> int:
        """Number of rows that compute something."""
        return int(self.alive.sum())

    @property
    def kept_weight_count(self) -> int:
        """Number of kept entries of W in rows that compute something."""
        return int(self.kept_weights[self.alive].sum())

    @cached_property
    def least_width(self) -> int:
        """The width of the narrowest prefix that holds this ticket: 1 + the last living row, or 0."""
        alive = np.flatnonzero(self.alive)
        return int(alive[-1]) + 1 if alive.size else 0

    def resized(self, width: int) -> Mask:
        """Return the same ticket in a prefix or an extension; raises BadInputError if a living row would be cut."""
        if width < self.least_width:
            raise BadInputError(
                f"width {width}",
                f"the mask keeps row {self.least_width - 1}",
                f"use at least {self.least_width}",
            )
        rows = np.zeros((width, self.dimension), dtype=np.bool_)
        used = self.least_width
        rows[:used] = self.kept_weights[:used] & self.kept_outputs[:used, None]
        return Mask.from_rows(rows)

    def apply(self, network: Network) -> Network:
        """Return the pruned network, same shapes, removed entries set to 0; raises BadInputError on a mismatch."""
        self.fitting(network)
        return Network(network.weights * self.kept_weights, network.outputs * self.kept_outputs)

    def fitting(self, network: Network) -> Mask:
        """Return this mask; raises BadInputError if it was made for a network of another shape."""
        if self.kept_weights.shape != network.weights.shape:
            raise BadInputError(
                f"mask of shape {self.kept_weights.shape} for a network of shape {network.weights.shape}",
                "the mask belongs to another network",
                "use the network the mask was made for",
            )
        return self
