"""The loops over rows in vector types do what numpy does, and touch nothing behind `count`."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from prunegap.kernels.row_vectors import ABREAST, LANES, add_scaled, decide, find_tight


@numba.njit
def decided(steps, row, ups, downs, level, touched, count, kept):
    return decide(steps, row, ups, downs, level, touched, count, kept)


@numba.njit
def found_tight(ups, downs, level, touched, reach, tight, count):
    find_tight(ups, downs, level, touched, reach, tight, count)


@numba.njit
def scaled_added(scores, sizes, rows, weights, first, count):
    add_scaled(scores, sizes, rows, weights, first, count)


def integers(random: np.random.Generator, *shape: int, low: int = -9) -> np.ndarray:
    return random.integers(low, 10, shape).astype(np.int32)


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("count", [0, LANES, 3 * LANES])
def test_a_column_is_decided(kept: int, count: int) -> None:
    random = np.random.default_rng(count + kept)
    width = 3 * LANES + 5
    steps, touched = integers(random, 4, width), integers(random, width)
    ups, downs = (integers(random, 3, width, low=0) * 4 for _ in range(2))
    before = [array.copy() for array in (ups, downs, touched)]
    verdict = decided(steps, 2 * width, ups, downs, width, touched, count, kept)
    k = steps[2, :count]
    rise, fall = np.maximum(k, 0), np.minimum(k, 0)
    expected = [array.copy() for array in before]
    expected[0][1, :count] -= rise if kept else -fall
    expected[1][1, :count] -= -fall if kept else rise
    expected[2][:count] |= k
    for found, wanted in zip((ups, downs, touched), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert (verdict < 0) == bool((np.minimum(ups, downs)[1, :count] < 0).any())


@pytest.mark.parametrize("count", [LANES, 4 * LANES])
def test_tight_rows_are_found(count: int) -> None:
    random = np.random.default_rng(count)
    width = 4 * LANES + 3
    ups, downs, reach = (integers(random, 2, width, low=0) for _ in range(3))
    touched = np.where(random.random(width) < 0.5, 0, integers(random, width)).astype(np.int32)
    tight = np.full(width // LANES + 1, 0xFFFF, dtype=np.uint16)
    wanted = (touched != 0) & (np.minimum(ups, downs)[1] < reach[1])
    behind = touched[count:].copy()
    found_tight(ups, downs, width, touched, reach, tight, count)
    bits = (tight[:, None] >> np.arange(LANES) & 1).ravel().astype(bool)
    np.testing.assert_array_equal(bits[:count], wanted[:count])
    assert bits[count:].all()
    assert not touched[:count].any()
    np.testing.assert_array_equal(touched[count:], behind)


def test_rows_are_added_up() -> None:
    random = np.random.default_rng(0)
    sizes = random.random((9, 3 * LANES), dtype=np.float32)
    rows, weights = random.integers(0, 9, 2 * ABREAST) * 3 * LANES, random.random(2 * ABREAST, dtype=np.float32)
    scores = random.random(3 * LANES, dtype=np.float32)
    expected = scores.copy()
    expected[: 2 * LANES] += weights[ABREAST:] @ sizes[rows[ABREAST:] // (3 * LANES)][:, : 2 * LANES]
    scaled_added(scores, sizes, rows, weights, ABREAST, 2 * LANES)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
