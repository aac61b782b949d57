"""Sums and their excess over bounds in vector types are what numpy makes of them."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from prunegap.kernels.excess import LANES, add_rows, moved_excess


@numba.njit
def excess(sums, rows, a, b, low, high, count):
    return moved_excess(sums, rows, a, b, low, high, count)


@numba.njit
def added(sums, rows, a, b, count):
    add_rows(sums, rows, a, b, count)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, LANES, 3 * LANES])
def test_rows_move_sums_and_their_excess(count: int, seed: int) -> None:
    random = np.random.default_rng([seed, count])
    width = 3 * LANES + 5
    rows = random.integers(-1000, 1000, (4, width)).astype(np.int32)
    sums, low, high = (random.integers(-2000, 2000, width).astype(np.int32) for _ in range(3))
    low = np.minimum(low, high)
    moved = sums.copy()
    moved[:count] += rows[1, :count] + rows[3, :count]
    beyond = np.maximum(0, np.maximum(low - moved, moved - high))[:count].astype(np.float64)
    found = excess(sums, rows, width, 3 * width, low, high, count)
    assert np.isclose(found, (beyond**2).sum(), rtol=1e-6)
    added(sums, rows, width, 3 * width, count)
    np.testing.assert_array_equal(sums, moved)


def test_sums_within_their_bounds_have_no_excess() -> None:
    sums = np.arange(LANES, dtype=np.int32)
    nothing = np.zeros(LANES, dtype=np.int32)
    assert excess(sums, nothing, 0, 0, sums, sums, LANES) == 0.0
    assert excess(sums, nothing, 0, 0, sums + np.int32(1), sums + np.int32(5), LANES) == LANES
