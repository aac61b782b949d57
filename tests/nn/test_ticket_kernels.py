"""Generator, subsets and codes against numpy, brute force and themselves."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from prunegap.kernels.mask_code import (
    STATE,
    begin_decoding,
    begin_encoding,
    decode,
    encode,
    end_encoding,
    fresh_counts,
)
from prunegap.kernels.philox import KEY, drawn, drawn_apart, drawn_rows
from prunegap.kernels.smallest import shaped_subsets, smallest_within, summed
from prunegap.kernels.subset_sum import workspace


def numpy_draws(seed: int, layer: int, block: int, part: int, count: int) -> np.ndarray:
    key, counter = np.array([seed, KEY], dtype=np.uint64), np.array([0, part, block, layer], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(count)
    return 2 * (raw >> np.uint64(40)).astype(np.int64) + 1 - 2**24


@pytest.mark.parametrize("stream", [(0, 0, 0, 0), (2**63 - 1, 3, 70_000, 1), (12345, 2**20, 7, 1)])
def test_draws_are_numpys_philox_at_any_place(stream: tuple[int, int, int, int]) -> None:
    known = numpy_draws(*stream, 600)
    assert (known % 2 != 0).all()
    assert np.abs(known).max() < 2**24
    for start, count in [(0, 600), (1, 3), (3, 10), (597, 3), (8, 0)]:
        into = np.zeros(count, dtype=np.int32)
        drawn(*stream, start, into)
        assert (into == known[start : start + count]).all()
    apart, rows = np.zeros(9, dtype=np.int32), np.zeros((3, 40), dtype=np.int32)
    drawn_apart(*stream, 5, 61, apart)
    assert (apart == known[5 : 5 + 9 * 61 : 61]).all()
    drawn_rows(*stream, np.array([0, 4, 14]), rows)
    assert (rows == known.reshape(15, 40)[[0, 4, 14]]).all()


def brute_size(values: np.ndarray, goal: float, within: float) -> int:
    """Return the size of the smallest subset within the tolerance, -1 where there is none."""
    for size in range(values.size + 1):
        if any(abs(values[list(some)].sum() - goal) <= within for some in combinations(range(values.size), size)):
            return size
    return -1


@pytest.mark.parametrize("within", [1e3, 3e4, 2e6])
def test_smallest_subsets_are_smallest_and_failure_is_proof(within: float) -> None:
    sizes = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = rng.integers(-(2**24), 2**24, 10).astype(np.float64)
        goal = float(rng.normal() * 3e7)
        mask = smallest_within(values, goal, within, *workspace(10))
        size = brute_size(values, goal, within)
        sizes.add(size)
        assert (mask if mask < 0 else mask.bit_count()) == size
        if mask >= 0:
            assert abs(values[[k for k in range(10) if mask >> k & 1]].sum() - goal) <= within
    assert -1 in sizes
    assert max(sizes) >= (2 if within > 1e4 else -1)


@pytest.mark.parametrize("price", [0.0, 1.0, 1e9])
def test_shaped_subsets_minimise_price_and_what_is_left_over(price: float) -> None:
    rng = np.random.default_rng(5)
    factors, draws = rng.integers(1, 99, 7).astype(np.float64), rng.integers(-999, 999, (7, 24)).astype(np.int32)
    goals, within, masks = rng.normal(size=24) * 2e4, 4e3, np.zeros(24, dtype=np.int64)
    carried = np.array([2e3, -1e3, 0.0])
    expected = carried.copy()
    shaped_subsets(factors, draws, goals, within, price * within**2, carried, 0, 24, workspace(7), masks)
    for g in range(24):
        values = factors * draws[:, g]
        sums = {(): 0.0} | {s: values[list(s)].sum() for n in (1, 2) for s in combinations(range(7), n)}
        costs = {
            s: price * within**2 * len(s) + (expected[g // 8] + total - goals[g]) ** 2
            for s, total in sums.items()
            if abs(total - goals[g]) <= within
        }
        chosen = tuple(k for k in range(7) if masks[g] >= 0 and masks[g] >> k & 1)
        if costs:
            assert costs[chosen] == pytest.approx(min(costs.values()), rel=1e-12)
        else:
            assert (len(chosen) if masks[g] >= 0 else -1) == brute_size(values, goals[g], within)
        if masks[g] >= 0:
            expected[g // 8] += values[list(chosen)].sum() - goals[g]
    assert carried == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("candidates", [0, 1, 2, 9, 40])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.3, 0.97])
def test_codes_give_back_their_masks(candidates: int, density: float) -> None:
    rng = np.random.default_rng(candidates)
    factors = rng.integers(1, 2**24, candidates).astype(np.float64)
    blocks = [rng.integers(-(2**24), 2**24, (candidates, 50)).astype(np.int32) for _ in range(6)]
    weights = (1 << np.arange(candidates, dtype=np.int64))[:, None]
    masks = [(weights * (rng.random((candidates, 50)) < density)).sum(axis=0).astype(np.int64) for _ in blocks]
    code, state, counts = np.zeros(20_000, dtype=np.uint8), np.zeros(STATE, dtype=np.int64), fresh_counts()
    begin_encoding(state)
    above = np.zeros(50, dtype=np.int64)
    for draws, kept in zip(blocks, masks, strict=True):
        encode(kept, factors, draws, above, counts, state, code)
        above = kept
    length = end_encoding(state, code)
    state, counts, above = np.zeros(STATE, dtype=np.int64), fresh_counts(), np.zeros(50, dtype=np.int64)
    begin_decoding(state, code[:length])
    for draws, kept in zip(blocks, masks, strict=True):
        read = np.zeros(50, dtype=np.int64)
        decode(factors, draws, above, counts, state, code[:length], read)
        assert (read == kept).all()
        above = read
    ones = min(max(density, 1e-9), 1 - 1e-9)
    entropy = -ones * np.log2(ones) - (1 - ones) * np.log2(1 - ones)
    assert 8 * length <= 1.15 * entropy * 300 * candidates + 700


def test_sums_are_exact() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**24, 20)
    draws = (2 * rng.integers(-(2**23), 2**23, (20, 30)) + 1).astype(np.int32)
    masks, sums = rng.integers(0, 2**20, 30), np.zeros(30)
    bits = summed(factors.astype(np.float64), draws, masks, sums)
    exact = [
        sum(int(f) * int(v) for k, (f, v) in enumerate(zip(factors, draws[:, g], strict=True)) if int(m) >> k & 1)
        for g, m in enumerate(masks)
    ]
    assert [int(total) for total in sums] == exact
    assert bits == sum(int(m).bit_count() for m in masks)
