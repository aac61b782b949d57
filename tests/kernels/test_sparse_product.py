"""Laws of the sparse product: the dense product's numbers for every shape, strip and edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunegap.kernels.sparse_product import (
    LANES,
    STRIP,
    product,
    strips_of,
    tiled_columns,
    tiled_rows,
    whole_matrix,
)


def thinned(rows: int, columns: int, keep_fraction: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((rows, columns)) * (random.random((rows, columns)) < keep_fraction)
    return matrix.astype(np.float32)


def times(matrix: np.ndarray, x: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return W x^T + b, (rows, samples), by the kernels."""
    samples = -(-x.shape[0] // LANES) * LANES
    tiles = np.full(samples * x.shape[1], np.nan, dtype=np.float32)
    out = np.full((matrix.shape[0], samples), np.nan, dtype=np.float32)
    tiled_rows(x, tiles)
    product(*strips_of(matrix), tiles, bias, out)
    return out[:, : x.shape[0]]


@pytest.mark.parametrize("keep_fraction", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("columns", [1, 15, 16, 17, STRIP - 1, STRIP, STRIP + 1, 2 * STRIP + 5])
@pytest.mark.parametrize("samples", [1, 16, LANES - 1, LANES, LANES + 1, 3 * LANES])
def test_it_is_the_dense_product(keep_fraction: float, columns: int, samples: int) -> None:
    random = np.random.default_rng(columns)
    matrix = thinned(7, columns, keep_fraction)
    x = random.standard_normal((samples, columns)).astype(np.float32)
    bias = random.standard_normal(7).astype(np.float32)
    exact = matrix.astype(float) @ x.T.astype(float) + bias[:, None]
    size = np.abs(matrix).astype(float) @ np.abs(x).T.astype(float) + np.abs(bias)[:, None]
    assert (np.abs(times(matrix, x, bias) - exact) <= 1e-6 * size).all()


@given(st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=60, deadline=None)
def test_both_layouts_of_the_samples_are_one(samples: int, columns: int) -> None:
    x = np.random.default_rng(samples * columns).standard_normal((samples, columns)).astype(np.float32)
    size = -(-samples // LANES) * LANES * columns
    ours, theirs = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    tiled_rows(x, ours)
    tiled_columns(np.ascontiguousarray(x.T), theirs)
    np.testing.assert_array_equal(ours, theirs)
    there = np.zeros((size // columns, columns), np.float32)
    there[:samples] = x
    np.testing.assert_array_equal(ours.reshape(-1, columns, LANES), there.reshape(-1, LANES, columns).swapaxes(1, 2))


@pytest.mark.parametrize("shape", [(1, 1), (5, STRIP), (9, 2 * STRIP + 1), (3, 0)])
@pytest.mark.parametrize("keep_fraction", [0.0, 0.3, 1.0])
def test_strips_are_the_matrix(shape: tuple[int, int], keep_fraction: float) -> None:
    matrix = thinned(*shape, keep_fraction)
    np.testing.assert_array_equal(whole_matrix(strips_of(matrix), shape[1]), matrix)


def test_what_is_not_finite_stays_so() -> None:
    """A kept weight times an infinite sample is infinite; samples that no kept weight reads do not matter."""
    matrix = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    out = times(matrix, np.array([[np.inf, 3.0]], dtype=np.float32), np.zeros(2, dtype=np.float32))
    np.testing.assert_array_equal(out, [[np.inf], [6.0]])
