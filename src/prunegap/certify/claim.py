"""What has to be proven: the few numbers that a mask leaves of a problem.

Every proof works on a `Claim` and on nothing else, so it cannot depend on the granularity or on the search that
found the mask. Rows that compute 0 (removed, or with v_i = 0, or with a zero row of W) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.problem import Problem


@dataclass(frozen=True, eq=False)
class Claim:
    """The rows that remain, `weights` (k, d) and `outputs` (k,), the `target` (d,) and the readout."""

    weights: Matrix
    outputs: Vector
    target: Vector
    readout: Readout

    @classmethod
    def of(cls, problem: Problem, mask: Mask) -> Claim:
        """Return the claim about `problem` pruned by `mask`; raises BadInputError if the mask does not fit."""
        pruned = mask.apply(problem.network)
        computing = (pruned.outputs != 0.0) & pruned.weights.any(axis=1)
        return cls(pruned.weights[computing], pruned.outputs[computing], problem.target, problem.readout)

    @property
    def dimension(self) -> int:
        """Number of inputs d."""
        return int(self.target.shape[0])

    @property
    def rows(self) -> int:
        """Number of neurons k that remain."""
        return int(self.outputs.shape[0])
