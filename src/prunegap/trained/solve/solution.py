"""What a solver hands back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.trained.solve.gram import Array


@dataclass(frozen=True, eq=False)
class WeightSolution:
    """Weights (out, in), zero off `mask` (out, in); `objective` is the quadratic's at those weights."""

    weights: Array
    mask: NDArray[np.bool_]
    objective: float
    solver: str


@dataclass(frozen=True, eq=False)
class UnitSolution:
    """`kept` (units,); `weights` one array (out, in) a consumer; `objective` the problem's at those weights."""

    kept: NDArray[np.bool_]
    weights: tuple[Array, ...]
    objective: float
    solver: str
