"""What an epsilon asks of a source, estimated by counting subsets before any is searched.

A candidate is the product of two uniform draws, so the sum of s of them is nearly normal with variance s scale^2 / 9.
Of the C(k, s) subsets of k candidates, C(k, s) 2 epsilon density(w) are expected within epsilon of a weight w. Where
none is expected among those of up to four values, the search over all subsets has to be made, and where none is
expected at all, there is no ticket. These are estimates; what is impossible is proven by search (construct.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from prunegap.kernels.smallest import MOST_CANDIDATES
from prunegap.nn.source import SourceLayer
from prunegap.nn.target import LayerWeights, Target

Floats = NDArray[np.float64]

SAMPLE = 2000
"""Weights of a layer for which subsets are counted."""
SEARCH_SECONDS = 1.0
"""What the search over all subsets of 40 candidates takes on one core; two candidates less halve it."""
UNLUCKY = 8.0
"""By how much the candidates of the unluckiest inputs miss more than the count says: 6 was the most in 18 layers."""
SOON = 60.0
"""Seconds of searches that an epsilon which is proposed may cost."""


class Effort:
    """Counts subsets for a target whose layers have tolerances `within`, at one width, or the greatest if None."""

    def __init__(self, target: Target, within: Mapping[str, Floats], width: int | None, seed: int) -> None:
        self.layers = [
            _Layer.of(
                SourceLayer(step.shape, seed, index, width or 2 * MOST_CANDIDATES, 0), weights, tolerance, width
            )
            for index, step in enumerate(target.graph.layers)
            for weights, tolerance in [(target.weights[step.name], float(within[step.name].min()))]
        ]

    @property
    def candidates(self) -> int:
        """How many values a sum has in the mean."""
        return self.layers[0].mean

    def seconds(self, factor: float = 1.0) -> float:
        """Return what searches over all subsets would take, in seconds, with `factor` times the tolerances."""
        total = 0.0
        for layer in self.layers:
            each = SEARCH_SECONDS * 2.0 ** ((layer.mean - MOST_CANDIDATES) / 2.0)
            total += each * layer.unmet(factor, layer.mean, 4)
        return total

    def missing(self, factor: float = 1.0) -> float:
        """Return how many sums would be met by no subset, had all inputs as few candidates as the one with fewest."""
        return sum((layer.unmet(factor / UNLUCKY, layer.least, layer.least) for layer in self.layers), start=0.0)

    def factor(self) -> float:
        """Return about the least factor, 1 or more, with which a ticket is found soon.

        Biases that are large beside the weights may need more.
        """
        factor = 1.0
        while factor < 1e30 and (self.seconds(factor) > SOON or self.missing(factor) > 0.01):
            factor *= 1.2
        return factor


@dataclass(frozen=True)
class _Layer:
    """Some goals, how many there are of them in all, the tolerance, and how many candidates inputs have."""

    goals: Floats
    count: int
    within: float
    mean: int
    least: int

    @classmethod
    def of(cls, source: SourceLayer, weights: LayerWeights, within: float, width: int | None) -> _Layer:
        largest = float(np.abs(weights.weight).max())
        scale = 2.0 ** math.ceil(math.log2(largest)) if largest > 0.0 else 1.0
        goals = np.abs(weights.weight).ravel()
        if weights.bias is not None:
            # A large bias is shared out among several inputs.
            goals = np.concatenate([np.minimum(np.abs(weights.bias), scale), goals])
        sample = goals[:: max(1, goals.size // SAMPLE)] / scale
        if width is None:
            return cls(sample, goals.size, within / scale, MOST_CANDIDATES, MOST_CANDIDATES)
        positive = np.array([int((source.first(block) > 0).sum()) for block in range(source.blocks)])
        least = int(np.minimum(positive, width - positive).min())
        return cls(sample, goals.size, within / scale, min(MOST_CANDIDATES, width // 2), min(MOST_CANDIDATES, least))

    def unmet(self, factor: float, candidates: int, most: int) -> float:
        """Return how many goals no subset of up to `most` of the candidates is expected to meet."""
        sizes, within = np.arange(1, most + 1), factor * self.within
        counts = gammaln(candidates + 1) - gammaln(sizes + 1) - gammaln(np.maximum(candidates - sizes, 0) + 1)
        logs = counts - 4.5 * np.square(self.goals)[:, None] / sizes - 0.5 * np.log(2.0 * np.pi * sizes / 9.0)
        expected = np.where(sizes <= candidates, 2.0 * within * np.exp(logs), 0.0).sum(axis=1)
        return self.count * float(np.where(self.goals <= within, 0.0, np.exp(-expected)).mean())
