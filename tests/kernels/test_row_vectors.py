"""The loops over rows in vector types do what numpy does, and touch nothing behind `count`."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from prunegap.kernels.row_vectors import (
    ABREAST,
    LANES,
    add_scaled,
    decide,
    decided_ahead,
    find_tight,
    hear,
    repeat,
)


@numba.njit
def decided(steps, row, ups, downs, level, count, kept):
    return decide(steps, row, ups, downs, level, count, kept)


@numba.njit
def found_tight(ups, downs, level, reach, tight, count):
    return find_tight(ups, downs, level, reach, tight, count)


@numba.njit
def counted_ahead(columns, first, states, begin):
    return decided_ahead(columns, first, states, begin)


@numba.njit
def heard_rows(ups, downs, level, reach, slack, stride, weights, heard, voices, count):
    return hear(ups, downs, level, reach, slack, stride, weights, heard, voices, count)


@numba.njit
def repeated(array, source, target, count):
    repeat(array, source, target, count)


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
    steps = integers(random, 4, width)
    ups, downs = (integers(random, 3, width, low=0) * 4 for _ in range(2))
    expected = ups.copy(), downs.copy()
    verdict = decided(steps, 2 * width, ups, downs, width, count, kept)
    k = steps[2, :count]
    rise, fall = np.maximum(k, 0), np.minimum(k, 0)
    expected[0][1, :count] -= rise if kept else -fall
    expected[1][1, :count] -= -fall if kept else rise
    for found, wanted in zip((ups, downs), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert (verdict < 0) == bool((np.minimum(ups, downs)[1, :count] < 0).any())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, LANES, 4 * LANES])
def test_tight_rows_are_listed(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    width = 4 * LANES + 3
    ups, downs, reach = (integers(random, 2, width, low=0) for _ in range(3))
    tight = np.full(count + LANES, -7, dtype=np.int32)
    wanted = np.flatnonzero((np.minimum(ups, downs)[1] < reach[1])[:count])
    assert found_tight(ups, downs, width, reach, tight, count) == wanted.size
    np.testing.assert_array_equal(tight[: wanted.size], wanted)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [0, LANES, 4 * LANES])
def test_rows_with_little_left_are_heard(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    width = 4 * LANES + 3
    ups, downs, reach = (integers(random, 2, width, low=0) * 1000 for _ in range(3))
    weights = random.random(width, dtype=np.float32)
    heard, voices = np.zeros(count + LANES, dtype=np.int32), np.zeros(count + LANES, dtype=np.float32)
    left = np.minimum(ups, downs)[1, :count]
    wanted = np.flatnonzero(left <= 3 * reach[1, :count])
    assert heard_rows(ups, downs, width, reach, 3, 80, weights, heard, voices, count) == wanted.size
    np.testing.assert_array_equal(heard[: wanted.size], 80 * wanted)
    expected = weights[:count][wanted] / (left[wanted].astype(np.float32) + np.float32(1.0))
    np.testing.assert_array_equal(voices[: wanted.size], expected)


@pytest.mark.parametrize("ahead", [0, 1, 7, LANES - 1, LANES])
def test_decided_columns_are_passed_over(ahead: int) -> None:
    random = np.random.default_rng(ahead)
    columns = random.permutation(3 * LANES).astype(np.uint16)
    states = np.full((3, 3 * LANES), -1, dtype=np.int8)
    states[1, columns[5 : 5 + ahead]] = random.integers(0, 2, ahead)
    # What other levels decide says nothing.
    states[[0, 2]] = 0
    assert counted_ahead(columns, 5, states, 3 * LANES) == ahead


def test_a_level_is_repeated() -> None:
    array = integers(np.random.default_rng(0), 3, 2 * LANES)
    expected = array.copy()
    expected[2, :LANES] = array[0, :LANES]
    repeated(array, 0, 4 * LANES, LANES)
    np.testing.assert_array_equal(array, expected)


def test_rows_are_added_up() -> None:
    random = np.random.default_rng(0)
    halves = random.integers(0x3C00, 0x3F80, (9, 3 * LANES)).astype(np.uint16)
    sizes = (halves.astype(np.uint32) << 16).view(np.float32)
    rows, weights = (
        (random.integers(0, 9, 2 * ABREAST) * 3 * LANES).astype(np.int32),
        random.random(2 * ABREAST, dtype=np.float32),
    )
    scores = random.random(3 * LANES, dtype=np.float32)
    expected = scores.copy()
    expected[: 2 * LANES] += weights[ABREAST:] @ sizes[rows[ABREAST:] // (3 * LANES)][:, : 2 * LANES]
    scaled_added(scores, halves, rows, weights, ABREAST, 2 * LANES)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
