"""Problems solved abreast: each has, bit for bit, the answer of the kernel for one problem."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.kernels.lanes import LANES
from prunegap.kernels.subset_sum import MAX_ABREAST, best_subset, best_subsets
from prunegap.kernels.sums_abreast import sorted_sums_abreast

KINDS = {
    "uniform": lambda random, shape: random.uniform(-1.0, 1.0, shape),
    "equal": lambda random, shape: np.full(shape, 0.3),
    "zero": lambda random, shape: np.zeros(shape),
    "quarters": lambda random, shape: random.integers(-4, 5, shape) / 4.0,
    "tenths": lambda random, shape: random.integers(-4, 5, shape) / 10.0,
    "scales": lambda random, shape: random.standard_normal(shape) * 10.0 ** random.integers(-300, 299, shape),
    "vanishing": lambda random, shape: random.choice([1.0, 1e-17, -1e-17, 3e-16, 5e-324], shape),
}


@pytest.mark.parametrize("within", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 11, 14])
@pytest.mark.parametrize("kind", KINDS)
def test_lanes_answer_as_the_kernel_for_one_problem(kind: str, count: int, within: float) -> None:
    random = np.random.default_rng(count)
    # Two fillings of the lanes, and some rows that fill none.
    rows = KINDS[kind](random, (2 * LANES + 3, count))
    # Targets in reach, far out of it on both sides, and met exactly.
    targets = random.uniform(-1.0, 1.0, rows.shape[0])
    targets[::5], targets[1::7], targets[2::7] = rows[::5, ::2].sum(axis=1), 50.0, -50.0
    chosen, errors = best_subsets(rows, targets, within=within)
    for row, target, kept, error in zip(rows, targets, chosen, errors, strict=True):
        alone, least = best_subset(row, float(target), within=within)
        assert (kept == alone).all()
        assert error == least


@pytest.mark.parametrize("count", [21, MAX_ABREAST, MAX_ABREAST + 1])
def test_larger_problems_too(count: int) -> None:
    random = np.random.default_rng(count)
    rows, targets = random.uniform(-1.0, 1.0, (LANES + 1, count)), random.uniform(-1.0, 1.0, LANES + 1)
    for within in (0.0, 1e-4):
        chosen, errors = best_subsets(rows, targets, within=within)
        for row, target, kept, error in zip(rows, targets, chosen, errors, strict=True):
            alone, least = best_subset(row, float(target), within=within)
            assert (kept == alone).all()
            assert error == least


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_sums_of_each_lane_ascend_and_are_all_there(count: int) -> None:
    values = np.random.default_rng(count).uniform(-1.0, 1.0, (count, LANES))
    levels = np.full(LANES * (2 ** (count + 1) + count + 1), np.nan)
    start = sorted_sums_abreast(values.reshape(-1), 0, count, levels)
    sums = levels.reshape(-1, LANES)[start : start + 2**count]
    assert (np.diff(sums, axis=0) >= 0.0).all()
    for lane in range(LANES):
        brute = np.zeros(1)
        for value in values[:, lane]:
            brute = np.concatenate([brute, brute + value])
        np.testing.assert_allclose(sums[:, lane], np.sort(brute), rtol=0.0, atol=1e-14)
