"""The screen of candidates at d = 2 says what the exact certificate says, but for rounding."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.kernels.screen import screen
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem
from prunegap.search.plane import Circle


def networks(seed: int) -> list[Network]:
    """Spread kinks, kinks near the target's, kinks near the ends, and duplicates that cancel."""
    random = np.random.default_rng(seed)
    spread = random.uniform(-1.0, 1.0, (8, 3))
    near, ends = spread.copy(), spread.copy()
    near[:, 0] *= 0.05
    ends[:, 1] *= 0.05
    twins = np.concatenate([spread[:4], spread[:4] * [1.0, 1.0, -1.0]])
    return [Network(rows[:, :2], rows[:, 2]) for rows in (spread, near, ends, twins)]


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("target", [(1.0, 0.0), (0.6, -0.8), (-2.0, 3.0)])
@pytest.mark.parametrize("seed", range(25))
def test_it_lets_pass_what_is_within_the_limit_and_nothing_else(
    seed: int, target: tuple[float, float], readout: Readout
) -> None:
    random = np.random.default_rng(seed)
    for network in networks(seed):
        problem = Problem(network, np.array(target), 0.1, Neuron(), readout)
        circle = Circle.of(problem)
        kept = np.sort(random.permutation(circle.angles.size)[: random.integers(0, 7)])
        mask = Mask.of_neurons(circle.neurons[kept], problem.width, 2)
        error = certify(problem, mask).error_upper / np.hypot(*target)
        kinks = circle.angles, circle.strengths, circle.is_b, kept
        assert screen(*kinks, error * (1.0 + 1e-9), circle.linear)
        assert not screen(*kinks, error * (1.0 - 1e-9), circle.linear)
