"""Widths under a budget of latency, checked by the clock: the table of layers alone is only where the search begins.

Layers that are timed alone do not add up to the model: caches, fresh pages and what lies between them differ. So a
planned model is made, with units that do not matter for its speed, timed beside the dense one, and planned again with
the table's seconds scaled by what the clock said, until the clock agrees or a few plans were tried.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from prunegap.trained.compare.plan import OutOfReachError, UnitPlan
from prunegap.trained.structure import Structure
from prunegap.trained.structure.shrink import cut

Clock = Callable[[nn.Module], float]
"""What part of the dense model's latency a smaller model is left with: the clock that its speed-up is told by."""

PLANS = 4
"""Plans that are tried at most."""
NEAR = 1.03
"""Part of the budget, above 1, that the clock's noise may explain."""


def planned_widths(plan: UnitPlan, structure: Structure, keep_fraction: float, clock: Clock) -> dict[str, int]:
    """Return how many units each group keeps; where the budget is of latency, so that the clock says that it is met.

    At most keep_fraction of the dense model's latency, by PLANS plans; the quickest of them where none meets it.
    Raises OutOfReachError where the plan itself cannot meet the budget.
    """
    if plan.price is None:
        return plan.counts(keep_fraction)
    slower, tried = 1.0, list[tuple[float, dict[str, int]]]()
    while len(tried) < PLANS:
        try:
            counts = plan.counts(keep_fraction, slower)
        except OutOfReachError:
            if not tried:
                raise
            break  # the table says that nothing is left to remove
        left = clock(first_units(plan.calibration.model, structure, counts))
        tried.append((left, counts))
        if left <= NEAR * keep_fraction:
            break
        slower *= left / keep_fraction
    return min(tried, key=lambda pair: pair[0])[1]


def first_units(model: nn.Module, structure: Structure, counts: dict[str, int]) -> nn.Module:
    """Return the model in which each group keeps its first units only, as many as `counts` says."""
    keep = {group.name: np.arange(group.units) < counts.get(group.name, group.units) for group in structure.groups}
    return cut(model, structure, keep).eval()
