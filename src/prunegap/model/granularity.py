"""What one pruning decision removes, as a value type.

A granularity is fully described by the supports a hidden row may keep: a search that handles any list of supports
handles every granularity. The entry v_i is kept exactly when its row keeps something, since a neuron without
weights computes 0.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product
from typing import final

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.mask import Mask

Supports = NDArray[np.bool_]

MAX_LISTED_SUPPORTS = 1 << 16


class Granularity(ABC):
    """The unit that one pruning decision removes; it says which rows are allowed, and nothing else."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name used on the command line and in stored rows."""

    @abstractmethod
    def _admits_rows(self, rows: Supports) -> NDArray[np.bool_]:
        """Return, for kept rows of shape (k, d), which are allowed; shape (k,)."""

    def admits(self, mask: Mask) -> bool:
        """Return whether every row of the mask is one that this granularity can leave."""
        alive = mask.alive
        return bool(self._admits_rows(mask.kept_weights[alive]).all()) if alive.any() else True

    def row_supports(self, dimension: int) -> Supports:
        """Return every non-empty support a row may keep, shape (count, dimension), fewest weights first.

        Raises BadInputError where there are more than 65,536 of them.
        """
        if 2**dimension - 1 > MAX_LISTED_SUPPORTS:
            raise BadInputError(
                f"dimension {dimension}",
                f"the supports of granularity {self.name} are too many to list",
                "use a search that does not enumerate supports",
            )
        rows = np.array(list(product((False, True), repeat=dimension)), dtype=np.bool_)[1:]
        rows = rows[self._admits_rows(rows)]
        return rows[np.argsort(rows.sum(axis=1), kind="stable")]

    def plain(self, dimension: int) -> Granularity:
        """Return the simplest granularity that allows the same rows at this dimension, itself where there is none.

        block:1 and an N:M that never has to drop anything are weight; a block of the whole row is neuron.
        """
        return self

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True)
class Weight(Granularity):
    """Any entry of W or v may be removed."""

    @property
    def name(self) -> str:
        return "weight"

    def _admits_rows(self, rows: Supports) -> NDArray[np.bool_]:
        return np.ones(rows.shape[0], dtype=np.bool_)


@final
@dataclass(frozen=True)
class Neuron(Granularity):
    """A whole row w_i is removed together with v_i."""

    @property
    def name(self) -> str:
        return "neuron"

    def _admits_rows(self, rows: Supports) -> NDArray[np.bool_]:
        return np.asarray(rows.all(axis=1))

    def row_supports(self, dimension: int) -> Supports:
        """Return the one support of a whole row, shape (1, dimension), whatever the dimension."""
        return np.ones((1, dimension), dtype=np.bool_)


@final
@dataclass(frozen=True)
class NOfM(Granularity):
    """At most `kept` of every `group` consecutive inputs of a row are kept; a last, shorter group obeys it too."""

    kept: int
    group: int

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= self.group:
            raise BadInputError(f"granularity {self.kept}:{self.group}", "needs 1 <= N <= M", "use for example 2:4")

    @property
    def name(self) -> str:
        return f"{self.kept}:{self.group}"

    def plain(self, dimension: int) -> Granularity:
        """Return weight where no group holds more inputs than may be kept."""
        return Weight() if self.kept >= min(self.group, dimension) else self

    def _admits_rows(self, rows: Supports) -> NDArray[np.bool_]:
        starts = np.arange(0, rows.shape[1], self.group)
        counts = np.add.reduceat(rows.astype(np.int64), starts, axis=1)
        return np.asarray((counts <= self.kept).all(axis=1))


@final
@dataclass(frozen=True)
class Block(Granularity):
    """`length` consecutive weights of a row are kept or removed at once; a last, shorter block is a block too."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise BadInputError(f"granularity block:{self.length}", "needs a length >= 1", "use for example block:2")

    @property
    def name(self) -> str:
        return f"block:{self.length}"

    def plain(self, dimension: int) -> Granularity:
        """Return weight for blocks of one input, neuron for a block of the whole row."""
        if self.length == 1:
            return Weight()
        return Neuron() if self.length == dimension else self

    def blocks(self, dimension: int) -> list[slice]:
        """Return the inputs of each block, in order; the last may be shorter."""
        return [slice(start, min(start + self.length, dimension)) for start in range(0, dimension, self.length)]

    def _admits_rows(self, rows: Supports) -> NDArray[np.bool_]:
        if self.length > rows.shape[1]:
            raise BadInputError(
                f"granularity {self.name} at dimension {rows.shape[1]}",
                "a block cannot be longer than the row",
                f"use a length of at most {rows.shape[1]}, or neuron",
            )
        leaders = (np.arange(rows.shape[1]) // self.length) * self.length
        return np.asarray((rows == rows[:, leaders]).all(axis=1))


def parse_granularity(name: str) -> Granularity:
    """Return the granularity called weight, neuron, N:M or block:K; raises BadInputError for any other name."""
    if name == "weight":
        return Weight()
    if name == "neuron":
        return Neuron()
    if match := re.fullmatch(r"(\d{1,9}):(\d{1,9})", name):
        return NOfM(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"block:(\d{1,9})", name):
        return Block(int(match[1]))
    raise BadInputError(
        f"granularity {name!r}", "must be weight, neuron, N:M or block:K", "use --granularity weight,neuron"
    )
