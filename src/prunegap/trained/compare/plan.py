"""How much each layer or group keeps, so that every granularity meets the same budget.

The budget is a fraction of the weights of all layers that can be pruned: Linear and Conv, as the model calls them.
It is spent where the model's output suffers least, by measured sensitivity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, NOfM
from prunegap.trained.budget import Curve, allocate, unit_cost, unit_counts, unit_shapes, weight_curves
from prunegap.trained.budget import unit_curves as measured_unit_curves
from prunegap.trained.calibrate import Calibration, LayerMoments
from prunegap.trained.layer import layers
from prunegap.trained.structure import Group, Structure

KEEPS = (0.6, 0.3, 0.1)
"""keep_fractions at which sensitivity is measured, beside the most that the granularity can keep."""
LIKED_BY_HARDWARE = 8
"""Widths are multiples of this where a group is at least four times as wide: vector units and tensor cores."""
SPENT = 0.98
"""Part of the budget that rounding must not leave unspent."""
LEAST_KEPT = 0.01


class OutOfReachError(Exception):
    """This granularity cannot meet this budget; the text says why."""


def most_kept(granularity: Granularity) -> float:
    """Return the greatest fraction of a pruned layer that the granularity may keep: N/M, otherwise 1."""
    return granularity.kept / granularity.group if isinstance(granularity, NOfM) else 1.0


@dataclass
class WeightPlan:
    """keep_fractions of layers for weights, n:m and blocks; sensitivity is measured once for all budgets.

    `counted`: where there is a price, the budget holds for the weights as well.
    """

    calibration: Calibration
    granularity: Granularity
    moments: Mapping[str, LayerMoments] | None = None
    price: Callable[[str, float], float] | None = None
    """Cost of a layer at a keep_fraction, rising with it (seconds, for budgets of latency); None: its weights."""
    counted: bool = False
    _curves: dict[str, Curve] = field(default_factory=dict)

    def fractions(self, keep_fraction: float) -> dict[str, float]:
        """Return each layer's keep_fraction, 1 for a dense one; raises OutOfReachError where it cannot be met."""
        most = most_kept(self.granularity)
        sizes = {name: layers(self.calibration.model)[name].weight.numel() for name in self.calibration.order}
        prices = [self.price] if self.price is not None else []
        if self.price is None or self.counted:
            prices.append(lambda name, keep: sizes[name] * keep)
        wholes = [sum(price(name, 1.0) for name in sizes) for price in prices]

        def cost(keep: Mapping[str, float]) -> float:
            # An n:m layer keeps at most N/M or is left dense: nothing lies between.
            left = {n: 1.0 if keep[n] > most + 1e-9 else keep[n] for n in sizes}
            return max(sum(p(n, left[n]) for n in sizes) / whole for p, whole in zip(prices, wholes, strict=True))

        if not self._curves:
            keeps = [k for k in sorted({*KEEPS, most}) if k <= most and k < 1.0]
            self._curves = weight_curves(self.calibration, self.granularity, keeps, moments=self.moments)
        try:
            planned = allocate(self._curves, cost, keep_fraction, LEAST_KEPT)
        except BadInputError:
            least = cost(dict.fromkeys(self._curves, LEAST_KEPT))
            raise OutOfReachError(_too_much(least, self.price is not None, self.counted)) from None
        settled = {name: 1.0 if keep > most + 1e-9 else keep for name, keep in planned.items()}
        return self._refilled(settled, cost, keep_fraction) if most < 1.0 else settled

    def _refilled(
        self, planned: dict[str, float], cost: Callable[[Mapping[str, float]], float], budget: float
    ) -> dict[str, float]:
        """Return the plan with layers made dense again, the one that costs most error first, while the budget lasts.

        An n:m layer that must leave dense frees half of its weights at once, often more than was asked for.
        """
        gain = {name: self._curves[name].at(keep) for name, keep in planned.items() if keep < 1.0}
        for name in sorted(gain, key=lambda n: -gain[n]):
            more = {**planned, name: 1.0}
            if cost(more) <= budget:
                planned = more
        return planned


@dataclass
class UnitPlan:
    """Kept widths of the groups of a traced model; sensitivity is measured once for all budgets.

    `counted`: where there is a price, the budget holds for the weights as well.
    """

    calibration: Calibration
    structure: Structure
    moments: Mapping[str, LayerMoments] | None = None
    price: Callable[[str, float, float], float] | None = None
    """Cost of a layer with these fractions of its outputs and inputs; None: its weights."""
    counted: bool = False
    _curves: dict[str, Curve] = field(default_factory=dict)

    def counts(self, keep_fraction: float, slower: float = 1.0) -> dict[str, int]:
        """Return how many units each group keeps. Raises OutOfReachError where the least widths keep too much.

        `slower`: times as many seconds as the price says are left of what is smaller.
        """
        names = {f"{name}.weight" for name in self.calibration.order}
        if not self._curves:
            self._curves = measured_unit_curves(self.calibration, self.structure.groups, KEEPS, self.moments)
        groups = [g for g in self.structure.groups if g.name in self._curves]
        if not groups:
            raise OutOfReachError("no group of neurons in this model can be removed")
        cost = self._cost(groups, names, slower)
        try:
            planned = allocate(self._curves, cost, keep_fraction, LEAST_KEPT)
        except BadInputError:
            least = cost(dict.fromkeys(self._curves, LEAST_KEPT))
            raise OutOfReachError(_too_much(least, self.price is not None, self.counted)) from None
        counts = unit_counts(groups, planned)
        return _liked(groups, counts, lambda c: cost({g.name: c[g.name] / g.units for g in groups}), keep_fraction)

    def _cost(
        self, groups: Sequence[Group], names: Collection[str], slower: float
    ) -> Callable[[Mapping[str, float]], float]:
        """Return the part of what the budget is of that is left, the greater of the two where it is of both."""
        model, price = self.calibration.model, self.price
        weights = unit_cost(model, groups, names)
        all_weights = weights({})
        if price is None:
            return lambda keep: weights(keep) / all_weights
        left, whole = unit_shapes(model, groups, names), unit_shapes(model, (), names)({})

        def seconds(keep: Mapping[str, float]) -> float:
            shapes = left(keep)
            parts = {name: [a / b for a, b in zip(shapes[name], whole[name], strict=True)] for name in shapes}
            return sum(price(name.removesuffix(".weight"), *parts[name][:2]) for name in parts)

        all_seconds = seconds({})
        if not self.counted:
            return lambda keep: slower * seconds(keep) / all_seconds
        return lambda keep: max(slower * seconds(keep) / all_seconds, weights(keep) / all_weights)


def _too_much(least: float, is_latency: bool, is_both: bool) -> str:
    of = "weights, or of their measured latency," if is_both else "measured latency" if is_latency else "weights"
    return f"{least:.1%} of the prunable layers' {of} is left when as much as possible is removed"


def _liked(
    groups: Sequence[Group],
    counts: Mapping[str, int],
    cost: Callable[[Mapping[str, int]], float],
    budget: float,
) -> dict[str, int]:
    """Return the counts rounded to what the hardware likes, as coarsely as still spends SPENT of the budget.

    All are rounded down, then up again while the budget lasts. Where even the finest rounding leaves more unspent,
    single units are added, so that neurons get what the other granularities get.
    """
    rounded = dict(counts)
    for liked in (LIKED_BY_HARDWARE, LIKED_BY_HARDWARE // 2, LIKED_BY_HARDWARE // 4, 1):
        rounded = _filled(groups, counts, {g.name: _step(g, liked) for g in groups}, lambda c: cost(c) <= budget)
        if cost(rounded) >= SPENT * budget:
            break
    return rounded


def _filled(
    groups: Sequence[Group],
    counts: Mapping[str, int],
    steps: Mapping[str, int],
    fits: Callable[[Mapping[str, int]], bool],
) -> dict[str, int]:
    rounded = {
        name: max(min(steps[name], count), count // steps[name] * steps[name]) for name, count in counts.items()
    }
    units = {g.name: g.units for g in groups}
    growing = True
    while growing:
        growing = False
        for name in sorted(rounded, key=lambda n: rounded[n] / counts[n]):
            more = {**rounded, name: min(units[name], rounded[name] + steps[name])}
            if more != rounded and fits(more):
                rounded, growing = more, True
    return rounded


def _step(group: Group, liked: int) -> int:
    """Return the multiple of units that makes a multiple of liked indices; 1 for groups too narrow for rounding."""
    each = min(m.indices.shape[1] for m in group.members)
    step = liked // int(np.gcd(liked, each))
    return step if group.units >= 4 * step else 1


def weights_of(model: nn.Module, names: Sequence[str]) -> int:
    """Return how many weights the named layers have."""
    found = layers(model)
    return sum(found[name].weight.numel() for name in names)
