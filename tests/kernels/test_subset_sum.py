"""The subset-sum kernel: compiled, interpreted and brute force agree."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest

from prunegap.kernels.exact_sum import exact_error
from prunegap.kernels.sized_sum import best_of_size_kernel
from prunegap.kernels.subset_sum import best_subset, best_subset_kernel, best_subsets, sorted_sums, workspace
from prunegap.model.errors import BadInputError

random = np.random.default_rng(0)
ROWS = {
    "uniform": lambda n: random.uniform(-1.0, 1.0, n),
    "positive": lambda n: random.uniform(0.0, 1.0, n),
    "equal": lambda n: np.full(n, 0.3),
    "zero": lambda n: np.zeros(n),
    "quarters": lambda n: random.integers(-4, 5, n) / 4.0,
    "scales": lambda n: random.standard_normal(n) * 10.0 ** random.integers(-8, 9, n),
}


def least_error(values: np.ndarray, target: float) -> float:
    choices = np.array(list(product((0.0, 1.0), repeat=values.size))).reshape(2**values.size, values.size)
    return float(np.abs(choices @ values - target).min())


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("count", range(13))
def test_no_subset_is_nearer(kind: str, count: int) -> None:
    values = ROWS[kind](count)
    for target in (0.0, 0.37, -1.4, 100.0, -100.0):
        chosen, error = best_subset(values, target)
        scale = float(np.abs(values).sum()) + abs(target)
        assert chosen.shape == (count,)
        assert error == abs(math.fsum([*values[chosen], -target]))
        assert error <= least_error(values, target) + 1e-14 * scale


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 10])
def test_compiled_code_and_its_python_original_agree(count: int) -> None:
    values, (left, right) = ROWS["uniform"](count), workspace(count)
    assert best_subset_kernel(values, 0.4, 0.0, left, right) == best_subset_kernel.py_func(
        values, 0.4, 0.0, left, right
    )
    levels, again = np.empty(2 ** (count + 1) + count + 1), np.empty(2 ** (count + 1) + count + 1)
    start = sorted_sums(values, levels)
    assert start == sorted_sums.py_func(values, again) == 2**count + count
    sums = levels[start : start + 2**count]
    assert (sums == again[start : start + 2**count]).all()
    assert (np.diff(sums) >= 0.0).all()
    brute = np.sort(np.array(list(product((0.0, 1.0), repeat=count))).reshape(2**count, count) @ values)
    np.testing.assert_allclose(sums, brute, atol=1e-14)


def test_a_batch_answers_as_its_rows_do_with_any_number_of_workers() -> None:
    values, targets = random.uniform(-1.0, 1.0, (1500, 9)), random.uniform(-1.0, 1.0, 1500)
    chosen, errors = best_subsets(values, targets)
    shared, shared_errors = best_subsets(values, targets, workers=3)
    assert (chosen == shared).all()
    assert (errors == shared_errors).all()
    alone, error = best_subset(values[7], float(targets[7]))
    assert (alone == chosen[7]).all()
    assert error == errors[7]


def test_forty_values_come_as_near_as_a_trillion_sums_must() -> None:
    assert best_subset(np.random.default_rng(5).uniform(-1.0, 1.0, 40), 0.123)[1] < 1e-9


@pytest.mark.parametrize(
    ("values", "targets"),
    [
        ([[1.0, math.nan]], [0.0]),
        ([[1.0, 2.0]], [math.inf]),
        ([[1.0, 2.0]], [0.0, 1.0]),
        ([1.0, 2.0], [0.0]),
        (np.zeros((1, 45)), [0.0]),
        ([[1e301, -1e301]], [0.0]),
    ],
)
def test_bad_input_is_refused(values: object, targets: object) -> None:
    with pytest.raises(BadInputError):
        best_subsets(values, targets)


def test_one_problem_wants_one_row() -> None:
    with pytest.raises(BadInputError):
        best_subset([[1.0]], 0.0)


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_no_subset_of_the_size_is_nearer(kind: str, count: int) -> None:
    values = ROWS[kind](count)
    for size, target in product(range(count + 1), (0.0, 0.37, -1.4)):
        chosen, error = best_subset(values, target, size=size)
        scale = float(np.abs(values).sum()) + abs(target)
        least = min(abs(math.fsum([*some, -target])) for some in combinations(values.tolist(), size))
        assert chosen.sum() == size
        assert least <= error * (1.0 + 1e-15)
        assert error <= least + 1e-14 * scale
    if count:
        mask = best_of_size_kernel(values, 0.3, count // 2)
        assert mask == best_of_size_kernel.py_func(values, 0.3, count // 2)


@pytest.mark.parametrize("within", [1e-2, 1e-4, 1e-12])
def test_the_first_subset_within_is_within_wherever_there_is_one(within: float) -> None:
    for _ in range(50):
        values, target = random.uniform(-1.0, 1.0, 14), float(random.uniform(-1.0, 1.0))
        best, (chosen, error) = best_subset(values, target)[1], best_subset(values, target, within=within)
        assert error == abs(math.fsum([*values[chosen], -target]))
        assert error <= within if best <= within * (1 - 1e-9) else error == pytest.approx(best, abs=1e-14)


@pytest.mark.parametrize("kind", ROWS)
def test_errors_are_what_fsum_gives(kind: str) -> None:
    for count in (0, 1, 3, 30):
        values = ROWS[kind](count)
        kept = random.uniform(size=count) < 0.6
        for target in (0.0, 0.1, math.fsum(values[kept].tolist()), 1e17):
            expected = abs(math.fsum([*values[kept].tolist(), -target]))
            assert exact_error(values, kept, target) == pytest.approx(expected, rel=3e-16, abs=0.0)


def test_cancellation_loses_nothing() -> None:
    values = np.array([1e100, 1.0, -1e100, 1e-30, 7.0, -7.0])
    assert exact_error(values, np.ones(6, dtype=np.bool_), 1.0) == 1e-30


@pytest.mark.parametrize(("within", "size"), [(-1.0, None), (math.nan, None), (0.0, 4), (0.0, -1)])
def test_bad_wishes_are_refused(within: float, size: int | None) -> None:
    with pytest.raises(BadInputError):
        best_subset([1.0, 2.0, 3.0], 1.0, within=within, size=size)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_bounded_method_answers_a_batch_as_it_answers_each_row(workers: int) -> None:
    random = np.random.default_rng(7)
    values, targets = random.uniform(-1.0, 1.0, (5, 60)), random.uniform(-8.0, 8.0, 5)
    chosen, errors = best_subsets(values, targets, method="bounded", workers=workers)
    for k in range(5):
        alone = best_subset(values[k], float(targets[k]), method="bounded")
        np.testing.assert_array_equal(chosen[k], alone[0])
        assert errors[k] == alone[1] == abs(math.fsum([*values[k][chosen[k]].tolist(), -targets[k]]))
        assert errors[k] <= np.abs(values[k]).max()
    assert errors.max() < 1e-6


@pytest.mark.parametrize(("method", "size"), [("bounded", 3), ("fast", None)])
def test_a_method_that_does_not_exist_or_apply_is_refused(method: str, size: int | None) -> None:
    with pytest.raises(BadInputError):
        best_subsets(np.zeros((1, 50)), [0.0], size=size, method=method)  # type: ignore[arg-type]
