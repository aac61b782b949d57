"""Removing units: the same quadratic, where one decision takes a group of columns from every consumer at once.

A unit (hidden neuron, channel, attention head) feeds k columns of each layer that reads it. The swept matrix of each
consumer holds, at once, what removing each kept unit would cost and what taking each removed one back would gain;
sweeping a unit in or out keeps that table exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.trained.solve.gram import Array, Quadratic

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UnitPart:
    """One consumer: its quadratic and, for each unit, the k columns it feeds, (units, k).

    `weight` scales its objective among the consumers. Columns of no unit are always kept.
    """

    quadratic: Quadratic
    columns: NDArray[np.int64]
    weight: float = 1.0

    def __post_init__(self) -> None:
        columns = np.array(self.columns, dtype=np.int64)
        flat = columns.ravel()
        inputs = self.quadratic.shape[1]
        if (
            columns.ndim != 2
            or np.unique(flat).size != flat.size
            or (flat.size and not 0 <= flat.min() <= flat.max() < inputs)
        ):
            raise BadInputError(
                f"columns of shape {columns.shape}",
                f"each unit needs its own columns in 0..{inputs - 1}",
                "list each column once",
            )
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True, eq=False)
class UnitProblem:
    """objective = sum over consumers of weight * quadratic; all parts have the same units."""

    parts: tuple[UnitPart, ...]

    def __post_init__(self) -> None:
        counts = {part.columns.shape[0] for part in self.parts}
        if len(counts) != 1:
            raise BadInputError(
                f"consumers with {sorted(counts)} units", "must all have the same units", "give one row a unit"
            )

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.parts[0].columns.shape[0])

    def masks(self, kept: Bools) -> tuple[Bools, ...]:
        """Return for each part which of its columns stay, (in,)."""
        masks = []
        for part in self.parts:
            mask = np.ones(part.quadratic.shape[1], dtype=np.bool_)
            mask[part.columns[~kept].ravel()] = False
            masks.append(mask)
        return tuple(masks)

    def repair(self, kept: Bools) -> tuple[Array, ...]:
        """Return the exact least-squares weights of every part on the kept columns."""
        return tuple(
            part.quadratic.repair(np.broadcast_to(mask, part.quadratic.shape))
            for part, mask in zip(self.parts, self.masks(kept), strict=True)
        )

    def masked(self, kept: Bools) -> tuple[Array, ...]:
        """Return the dense weights of every part with the removed columns set to 0: pruning without repair."""
        return tuple(part.quadratic.dense * mask for part, mask in zip(self.parts, self.masks(kept), strict=True))

    def objective(self, weights: tuple[Array, ...]) -> float:
        """Return the weighted sum of the parts' objectives at the given weights."""
        return sum(
            part.weight * part.quadratic.objective(values) for part, values in zip(self.parts, weights, strict=True)
        )
