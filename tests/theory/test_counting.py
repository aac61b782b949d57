"""Counting bounds: caps measured by sampling, and shapes."""

import math

import numpy as np
import pytest

from prunegap.theory.counting import (
    counting_width,
    estimated_separable_width,
    log_cap,
    separable_choices,
    weight_choices,
)


@pytest.mark.parametrize("dimension", [2, 3, 5])
@pytest.mark.parametrize("chord", [0.2, 0.7, 1.3])
def test_the_cap_is_as_large_as_sampling_says(dimension: int, chord: float) -> None:
    points = np.random.default_rng(0).standard_normal((200_000, dimension))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points[:, 0] -= 1.0
    share = float((np.linalg.norm(points, axis=1) <= chord).mean())
    assert math.exp(log_cap(dimension, chord)) == pytest.approx(share, abs=4e-3, rel=0.05)


def test_small_caps_go_on_smoothly() -> None:
    chords = [10.0**-k for k in range(1, 12)]
    for dimension in (2, 30, 1024):
        steps = np.diff([log_cap(dimension, chord) for chord in chords])
        assert steps[1:] == pytest.approx(-(dimension - 1) * math.log(10.0), rel=2e-2)
    assert log_cap(7, 1.5) == 0.0
    assert log_cap(1, 0.3) == -math.log(2.0)


def test_the_circle_is_exact() -> None:
    assert math.exp(log_cap(2, 1.0)) == pytest.approx(1 / 3)


def test_two_targets_that_one_function_serves_are_near() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        one, other = random.standard_normal((2, 4))
        way = (one - other) / np.linalg.norm(one - other)
        gaps = [abs(max(s * way @ one, 0.0) - max(s * way @ other, 0.0)) for s in (1.0, -1.0)]
        assert max(gaps) >= 0.5 * np.linalg.norm(one - other) * (1 - 1e-12)


def test_widths_grow_with_the_dimension_and_the_logarithm() -> None:
    assert counting_width(8, 0.9, separable_choices(8)) == 0
    for d in (2, 8, 64):
        widths = [counting_width(d, eps, separable_choices(d)) for eps in (1e-1, 1e-2, 1e-4)]
        assert widths == sorted(widths)
        assert counting_width(d, 1e-3, weight_choices(d)) <= counting_width(d, 1e-3, separable_choices(d))
        assert counting_width(d, 1e-6, separable_choices(d)) < estimated_separable_width(d, 1e-6)
