"""Numbers in lanes: what a kernel does with a vector is, lane by lane, what numpy does with an array."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from prunegap.kernels.lanes import LANES, any_of, chosen, gather, least, load, own_lane, spread, store

random = np.random.default_rng(3)
AWKWARD = np.array([0.0, -0.0, 5e-324, 1e308, -1e308, np.inf, -np.inf, 0.1])


@numba.njit
def arithmetic(one, other, out):
    a, b = load(one, 0), load(other, 0)
    store(out[0], 0, a + b)
    store(out[1], 0, a - b)
    store(out[2], 0, least(a, b))
    store(out[3], 0, abs(a))


@numba.njit
def compared(one, other, out):
    a, b = load(one, 0), load(other, 0)
    store(out[0], 0, chosen(a < b, spread(1), spread(0)))
    store(out[1], 0, chosen(a <= b, spread(1), spread(0)))
    store(out[2], 0, chosen(a == b, spread(1), spread(0)))
    return any_of(a < b)


@numba.njit
def gathered(array, first, steps, out):
    places = own_lane() + spread(steps) - spread(2)
    store(out, 0, gather(array, first, places))


@numba.njit
def united(one, other, out):
    lane = own_lane()
    store(out, 0, (lane + spread(one)) | spread(other))


@pytest.mark.parametrize("seed", range(20))
def test_arithmetic_rounds_as_for_single_numbers(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.standard_normal((2, LANES)) * 10.0 ** random.integers(-30, 30, (2, LANES))
    one[: AWKWARD.size], other[: AWKWARD.size] = AWKWARD, random.permutation(AWKWARD)
    out = np.empty((4, LANES))
    arithmetic(one, other, out)
    with np.errstate(invalid="ignore", over="ignore"):
        expected = np.array([one + other, one - other, np.where(one < other, one, other), np.abs(one)])
    np.testing.assert_array_equal(out, expected)
    assert (np.signbit(out) == np.signbit(expected))[~np.isnan(expected)].all()


@pytest.mark.parametrize("seed", range(20))
def test_comparisons_are_true_where_they_hold(seed: int) -> None:
    one, other = np.random.default_rng(seed).choice(AWKWARD, (2, LANES))
    out = np.empty((3, LANES), dtype=np.int64)
    assert compared(one, other, out) == (one < other).any()
    assert (out == np.array([one < other, one <= other, one == other])).all()


def test_any_of_sees_each_lane_alone() -> None:
    out = np.empty((3, LANES), dtype=np.int64)
    assert not compared(np.zeros(LANES), np.zeros(LANES), out)
    for lane in range(LANES):
        one = np.zeros(LANES)
        one[lane] = -1.0
        assert compared(one, np.zeros(LANES), out)


def test_a_gather_reads_each_lanes_own_place() -> None:
    array, out = random.standard_normal(100), np.empty(LANES)
    for first, steps in ((0, 2), (7, -3), (50, -30), (20, 40)):
        gathered(array, first, steps, out)
        at = first + steps - 2
        assert (out == array[at : at + LANES]).all()


def test_integers_keep_all_their_bits() -> None:
    out = np.empty(LANES, dtype=np.int64)
    united(2**61, 1 << 43, out)
    assert (out == ((np.arange(LANES) + 2**61) | (1 << 43))).all()
