"""The loops over rows in vector types do what numpy does, and touch nothing behind `count`."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from prunegap.kernels.row_vectors import (
    ABREAST,
    LANES,
    WIDE,
    add_scaled,
    decide,
    find_tight,
    hear,
    keep_loud,
    lowest_bit,
    mark_greater,
    repeat,
)


@numba.njit
def decided(steps, row, ups, downs, level, count, kept):
    return decide(steps, row, ups, downs, level, count, kept)


@numba.njit
def found_tight(ups, downs, level, reach, tight, count):
    return find_tight(ups, downs, level, reach, tight, count)


@numba.njit
def marked(sizes, place, states, begin, least, marks, count):
    return mark_greater(sizes, place, states, begin, least, marks, count)


@numba.njit
def places_of_bits(word):
    places = []
    while word != 0:
        places.append(lowest_bit(word))
        word &= word - 1
    return places


@numba.njit
def heard_rows(ups, downs, level, reach, slack, stride, weights, shifts, heard, voices, loud, count):
    return hear(ups, downs, level, reach, slack, stride, weights, shifts, heard, voices, loud, count)


@numba.njit
def kept_loud(heard, voices, loud, share, count):
    return keep_loud(heard, voices, loud, share, count)


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
    shifts = random.integers(0, 14, width).astype(np.int32)
    heard = np.zeros(count + LANES, dtype=np.int32)
    voices, loud = np.zeros((2, count + LANES), dtype=np.float32)
    left = np.minimum(ups, downs)[1, :count]
    wanted = np.flatnonzero(left <= 3 * reach[1, :count])
    assert heard_rows(ups, downs, width, reach, 3, 80, weights, shifts, heard, voices, loud, count) == wanted.size
    np.testing.assert_array_equal(heard[: wanted.size], 80 * wanted)
    units = (1 << shifts[:count][wanted]).astype(np.float32)
    expected = weights[:count][wanted] / (left[wanted].astype(np.float32) + np.float32(1.0)) * units
    np.testing.assert_array_equal(voices[: wanted.size], expected)
    np.testing.assert_allclose(loud[: wanted.size] * units, expected * reach[1, :count][wanted], rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, LANES, 2 * LANES + 3])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_rows_that_say_little_are_left_out(share: float, count: int) -> None:
    random = np.random.default_rng(count)
    heard, voices, loud = (
        np.arange(count + LANES, dtype=np.int32),
        *random.random((2, count + LANES), dtype=np.float32),
    )
    loud[random.random(loud.size) < 0.2] = 0.0
    loud[count:] = 0.0
    wanted = np.flatnonzero((loud >= np.float32(share) * loud.max(initial=0.0)) & (loud > 0.0))
    expected = voices[wanted]
    assert kept_loud(heard, voices, loud, share, count) == wanted.size
    np.testing.assert_array_equal(heard[: wanted.size], wanted)
    np.testing.assert_array_equal(voices[: wanted.size], expected)


@pytest.mark.parametrize("least", [0, 7, (1 << 16) - 1])
@pytest.mark.parametrize("count", [0, WIDE, 3 * WIDE])
def test_free_columns_of_greater_size_are_marked(count: int, least: int) -> None:
    random = np.random.default_rng(least + count)
    width = 4 * WIDE + 5
    sizes = random.choice([0, 1, 7, 8, 40_000, (1 << 16) - 1], (3, width)).astype(np.uint16)
    states = random.integers(-1, 2, (4, width)).astype(np.int8)
    marks = np.full(5, 77, dtype=np.uint32)
    other = marked(sizes, width, states, 2 * width, least, marks, count)
    free = states[2, :count] == -1
    greater = free & (sizes[1, :count] > least)
    bits = (marks[: count // WIDE, None] >> np.arange(WIDE, dtype=np.uint32)) & 1
    np.testing.assert_array_equal(bits.ravel(), greater)
    assert (marks[count // WIDE :] == 77).all()
    assert other == sizes[1, :count][free & ~greater].max(initial=0)


def test_bits_are_found_from_the_lowest() -> None:
    assert places_of_bits((1 << 31) | (1 << 5) | 1) == [0, 5, 31]


def test_a_level_is_repeated() -> None:
    array = integers(np.random.default_rng(0), 3, 2 * LANES)
    expected = array.copy()
    expected[2, :LANES] = array[0, :LANES]
    repeated(array, 0, 4 * LANES, LANES)
    np.testing.assert_array_equal(array, expected)


def test_rows_are_added_up() -> None:
    random = np.random.default_rng(0)
    halves = random.integers(0, 1 << 16, (9, 3 * LANES)).astype(np.uint16)
    sizes = halves.astype(np.float32)
    rows, weights = (
        (random.integers(0, 9, 2 * ABREAST) * 3 * LANES).astype(np.int32),
        random.random(2 * ABREAST, dtype=np.float32),
    )
    scores = random.random(3 * LANES, dtype=np.float32)
    expected = scores.copy()
    expected[: 2 * LANES] += weights[ABREAST:] @ sizes[rows[ABREAST:] // (3 * LANES)][:, : 2 * LANES]
    scaled_added(scores, halves, rows, weights, ABREAST, 2 * LANES)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
