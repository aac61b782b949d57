"""Widths under a budget of latency, checked by the clock: the table of layers alone is only where the search begins.

Layers that are timed alone do not add up to the model: caches, fresh pages and what lies between them differ. So a
planned model is made, with units that do not matter for its speed, timed beside the dense one, and planned again with
the table's seconds scaled by what the clock said, until the clock agrees or a few plans were tried.
"""

from __future__ import annotations

from functools import partial
from statistics import median

import numpy as np
import torch
from torch import nn

from prunegap.trained.calibrate import Batch, run
from prunegap.trained.compare.plan import OutOfReachError, UnitPlan
from prunegap.trained.latency import tensors_of
from prunegap.trained.structure import Structure
from prunegap.trained.structure.shrink import cut
from prunegap.trained.timed_call import timed_call
from prunegap.trained.timing import timed_in_turns

PLANS = 4
"""Plans that are tried at most."""
NEAR = 1.03
"""Part of the budget, above 1, that the clock's noise may explain."""
TURNS = 9


def planned_widths(
    plan: UnitPlan, structure: Structure, inputs: Batch, keep_fraction: float, graphs: bool = False
) -> dict[str, int]:
    """Return how many units each group keeps; where the budget is of latency, so that the measured one meets it.

    That of the whole model, in this process: at most keep_fraction of the dense model's, by PLANS plans; the quickest
    of them where none meets it. Raises OutOfReachError where the plan itself cannot meet the budget.
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
        left = latency_left(plan.calibration.model, structure, counts, inputs, graphs)
        tried.append((left, counts))
        if left <= NEAR * keep_fraction:
            break
        slower *= left / keep_fraction
    return min(tried, key=lambda pair: pair[0])[1]


def latency_left(
    model: nn.Module, structure: Structure, counts: dict[str, int], inputs: Batch, graphs: bool = False
) -> float:
    """Return the part of the model's latency that is left once each group keeps its first units only."""
    keep = {group.name: np.arange(group.units) < counts.get(group.name, group.units) for group in structure.groups}
    small = cut(model, structure, keep).eval()

    def call(which: nn.Module) -> object:
        with torch.inference_mode():
            return run(which, inputs)

    tensors = tensors_of(inputs)
    calls = {name: timed_call(partial(call, m), tensors, graphs) for name, m in (("dense", model), ("small", small))}
    seconds = timed_in_turns(calls, TURNS)
    return median(own / dense for own, dense in zip(seconds["small"], seconds["dense"], strict=True))
