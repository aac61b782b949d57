"""Four lists joined: the same assignments as brute force lists, whatever way the neurons are cut into lists."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from prunegap.kernels.quadrants import listed_class
from prunegap.search.base import Budget, Deadline
from prunegap.search.walk import Walk


def drawn(seed: int, width: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    weights = random.uniform(-1.0, 1.0, (width, inputs))
    weights[random.random((width, inputs)) < 0.1] = 0.0
    return np.abs(weights) * random.uniform(-1.0, 1.0, (width, 1)), (weights < 0.0).astype(np.int64)


def brute(values: np.ndarray, sides: np.ndarray, forced: int) -> dict[tuple[int, ...], np.ndarray]:
    """Return the sums of every assignment, 0 for none or 1 + the input that a neuron serves."""
    width, inputs = values.shape
    found = {}
    for choice in product(range(inputs + 1), repeat=width):
        if any(j and values[i, j - 1] == 0.0 for i, j in enumerate(choice)) or (forced >= 0 and not choice[forced]):
            continue
        sums = np.zeros(2 * inputs)
        for i, j in enumerate(choice):
            if j:
                sums[2 * (j - 1) + sides[i, j - 1]] += values[i, j - 1]
        found[choice] = sums
    return found


def decoded(code: int, width: int, base: int) -> tuple[int, ...]:
    return tuple(code // base**i % base for i in range(width))


@pytest.mark.parametrize("forced", [-1, 0, 3])
@pytest.mark.parametrize("inputs", [2, 3])
def test_a_list_holds_every_assignment_once(inputs: int, forced: int) -> None:
    values, sides = drawn(inputs, 5, inputs)
    sums, codes = listed_class(values, sides, forced)
    expected = brute(values, sides, forced)
    assert len(codes) == len(expected)
    for row, code in zip(sums, codes.tolist(), strict=True):
        assert row == pytest.approx(expected[decoded(code, 5, inputs + 1)], abs=1e-14)


@pytest.mark.parametrize("by_sign", [True, False])
@pytest.mark.parametrize(("inputs", "width"), [(2, 8), (3, 7), (4, 6)])
def test_the_join_lists_what_brute_force_lists(inputs: int, width: int, by_sign: bool) -> None:
    seen = 0
    for seed in range(8):
        values, sides = drawn(seed, width, inputs)
        random = np.random.default_rng([seed, 2])
        everything = brute(values, sides, -1)
        middle = list(everything.values())[int(random.integers(len(everything)))]
        half = random.uniform(0.02, 0.3, 2 * inputs)
        lows, highs = middle - half, middle + half * random.uniform(0.5, 1.0, 2 * inputs)
        wanted = {c for c, sums in everything.items() if (sums >= lows).all() and (sums <= highs).all()}
        order = np.lexsort((sides[:, 1], sides[:, 0])) if by_sign else np.argsort(sides[:, 0], kind="stable")
        plus = int((sides[:, 0] == 0).sum())
        if by_sign:
            cuts = np.cumsum([int(((sides[:, 0] == k // 2) & (sides[:, 1] == k % 2)).sum()) for k in range(3)])
        else:
            cuts = np.array([plus // 2, plus, plus + (width - plus) // 3])
        groups = np.split(order, cuts)
        walk = Walk([listed_class(values[g], sides[g], -1) for g in groups], lows, highs)
        met = set()
        for rows in walk.matches(Deadline(Budget())):
            choice = [0] * width
            for group, codes, row in zip(groups, walk.codes, rows, strict=True):
                for neuron, j in zip(group.tolist(), decoded(int(codes[row]), group.size, inputs + 1), strict=True):
                    choice[neuron] = j
            assert tuple(choice) not in met
            met.add(tuple(choice))
        assert met == wanted
        seen += len(wanted)
    assert seen > 20
