"""Questions about one sum: every answer says what is proven, and why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prunegap.kernels.subset_question import find_subset
from prunegap.kernels.subset_sum import best_subset
from prunegap.model.errors import BadInputError
from prunegap.model.outcome import Status

VALUES = [0.5, 0.25, -0.125]


@pytest.mark.parametrize(
    ("values", "target", "status", "reason"),
    [
        (VALUES, 0.375, Status.FOUND, "error 0"),
        (VALUES, 0.8, Status.IMPOSSIBLE, "mass"),
        (VALUES, -0.2, Status.IMPOSSIBLE, "mass"),
        (VALUES, 0.3, Status.IMPOSSIBLE, "search"),
        ([0.5, 0.25], -0.2, Status.IMPOSSIBLE, "sign"),
        ([], 0.2, Status.IMPOSSIBLE, "sign"),
        ([], 1e-4, Status.FOUND, ""),
        ([0.1, 0.2], 0.3 + 1e-3, Status.UNDECIDED, "closer"),
    ],
)
@pytest.mark.parametrize("method", ["exact", "bounded"])
def test_the_status_and_its_reason(
    values: list[float], target: float, status: Status, reason: str, method: str
) -> None:
    epsilon = 1e-3 if status is not Status.UNDECIDED else math.nextafter(best_subset(values, target)[1], 0.0)
    answer = find_subset(values, target, epsilon, "exact" if reason in ("search", "closer") else method)  # type: ignore[arg-type]
    assert answer.status is status
    assert answer.reason.startswith(reason)
    assert answer.error == abs(math.fsum([*np.array(values)[answer.chosen].tolist(), -target]))


@pytest.mark.parametrize("count", [45, 100, 1000])
def test_many_values_keep_the_promise_of_the_bounded_method(count: int) -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        values = random.uniform(-1.0, 1.0, count)
        low, high = np.minimum(values, 0.0).sum(), np.maximum(values, 0.0).sum()
        for target in (0.0, 0.3, -2.0, float(random.uniform(low, high))):
            answer = find_subset(values, target, 1e-6, "bounded")
            assert answer.error == abs(math.fsum([*values[answer.chosen].tolist(), -target]))
            assert answer.error <= np.abs(values).max()
            assert answer.status is (Status.FOUND if answer.error <= 1e-6 else Status.UNDECIDED)
        assert find_subset(values, 0.3, 1e-6, "bounded").status is Status.FOUND
        assert find_subset(values, float(high) + 1.0, 1e-6, "bounded").status is Status.IMPOSSIBLE


@pytest.mark.parametrize(
    ("values", "target", "epsilon", "method"),
    [
        (np.zeros(45), 0.0, 0.1, "exact"),
        ([math.nan], 0.0, 0.1, "exact"),
        ([math.nan] * 50, 0.0, 0.1, "bounded"),
        (np.zeros(50), math.inf, 0.1, "bounded"),
        ([1.0], 0.0, 0.1, "fast"),
        ([1.0], 0.0, 0.0, "exact"),
        ([1.0], 0.0, math.nan, "exact"),
        ([[1.0]], 0.0, 0.1, "exact"),
    ],
)
def test_bad_input_is_refused(values: object, target: float, epsilon: float, method: str) -> None:
    with pytest.raises(BadInputError):
        find_subset(values, target, epsilon, method)  # type: ignore[arg-type]
