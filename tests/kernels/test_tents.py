"""Every choice of kinks meets every row made for its own error, as floats and as integers."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.certify import certify
from prunegap.kernels.branch import laid_out
from prunegap.kernels.tents import POINTS, REACHES, conditions, rounded
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem
from prunegap.search.plane import Circle

WIDTH = 7


def circle_of(seed: int, readout: Readout) -> tuple[Problem, Circle]:
    """Return a problem with most of the target in neuron 0, and strong and weak kinks in front of it."""
    random = np.random.default_rng([seed, 11])
    angles = random.uniform(-1.0, 1.0, WIDTH) + np.pi * random.integers(0, 2, WIDTH) + np.pi / 2
    weights = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outputs = random.uniform(-1, 1, WIDTH) * random.choice((0.2, 4.0), WIDTH)
    weights[0], outputs[0] = (1.0, 0.1), 0.9
    problem = Problem(Network(weights, outputs), np.array([1.0, 0.0]), 0.5, Neuron(), readout)
    return problem, Circle.of(problem)


@pytest.mark.parametrize("readout", list(Readout))
def test_rows_hold_at_the_error_of_the_choice(readout: Readout) -> None:
    tents = broken = asked = 0
    for seed in range(12):
        problem, circle = circle_of(seed, readout)
        for chosen in np.random.default_rng(seed).integers(0, 2, (16, WIDTH)):
            chosen[circle.neurons == 0] = 1
            mask = Mask.of_neurons(circle.neurons[chosen == 1], WIDTH, 2)
            error = certify(problem, mask).error_upper
            tube = error * (1.0 + 1e-9) + 1e-12
            values, low, high, ids = conditions(
                circle.angles, circle.strengths, circle.is_b, tube, circle.linear, POINTS, REACHES
            )
            sums = values @ chosen
            assert ((low <= sums) & (sums <= high)).all()
            tents += int((ids >= POINTS).sum())
            steps, up, down, useful = rounded(values, low, high)
            stepped = chosen @ steps.astype(np.int64)
            assert ((stepped <= up) & (-stepped <= down)).all()
            assert (useful | (values @ chosen <= high)).all()
            # Rows for half the error are not met, but where a narrow peak hides between the points.
            half = conditions(
                circle.angles, circle.strengths, circle.is_b, 0.5 * error, circle.linear, POINTS, REACHES
            )
            sums, asked = half[0] @ chosen, asked + 1
            broken += bool(((sums < half[1]) | (sums > half[2])).any())
    assert tents >= 100
    assert broken >= 0.9 * asked


def test_magnitudes_are_rounded_up_in_units_of_their_row() -> None:
    _, circle = circle_of(0, Readout.RELU)
    values, low, high, _ = conditions(circle.angles, circle.strengths, circle.is_b, 0.1, False, POINTS, REACHES)
    steps, *_ = rounded(values, low, high)
    # Magnitudes of at most 16 bits, of exactly a power of two, and none.
    steps[:, :4] = np.array([1, (1 << 16) - 1, 1 << 16, 0], dtype=np.int32)
    steps[:, 4] = np.resize([1 << 28, -(1 << 28) + 1, 3], WIDTH)
    same, sizes, shifts, greatest = laid_out(steps)
    magnitudes = np.abs(steps.T.astype(np.int64))
    assert same is steps
    assert np.array_equal(sizes[:, :WIDTH], -(-magnitudes >> shifts[:, None]))
    assert not sizes[:, WIDTH:].any()
    assert np.array_equal(greatest, magnitudes.max(axis=1))
    assert (shifts[:4] == [0, 0, 1, 0]).all()
    # No coarser than needed: one bit less would not fit.
    assert (-(-greatest[shifts > 0].astype(np.int64) >> (shifts[shifts > 0] - 1)) >= 1 << 16).all()
