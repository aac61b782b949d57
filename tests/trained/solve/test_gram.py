"""The quadratic equals the squared error computed row by row, ridge and bias included."""

import numpy as np
import pytest

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Weight
from prunegap.trained.solve import Moments, Quadratic
from prunegap.trained.solve.least_squares import conjugate_gradients, on_support
from prunegap.trained.solve.ridge import RIDGES, WITHOUT_HELD_OUT, held_out_error, ridge_for_units, ridge_for_weights
from trained.solve.problems import quadratic, rows


def layer(count=40, bias=True, seed=0):
    generator = np.random.default_rng(seed)
    dense = generator.standard_normal((3, 7))
    before = rows(seed, count, 7)
    after = before + 0.2 * generator.standard_normal(before.shape)
    targets = before @ dense.T + (generator.standard_normal(3) if bias else 0.0)
    sums = Moments.zeros(7, 3)
    for start in range(0, count, 16):
        sums.add(after[start : start + 16], targets[start : start + 16])
    return sums, dense, after, targets


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ridge", [1e-4, 0.1])
def test_the_objective_is_the_error_on_the_rows_plus_the_ridge(bias, ridge):
    sums, dense, after, targets = layer(bias=bias)
    problem = sums.quadratic(dense, bias, ridge)
    weights = np.random.default_rng(9).standard_normal((3, 7))
    shift = sums.best_bias(weights) if bias else 0.0
    error = ((targets - after @ weights.T - shift) ** 2).sum(axis=1).mean()
    seen = after - after.mean(axis=0) if bias else after
    pull = ridge * (seen**2).mean() * ((weights - dense) ** 2).sum()
    assert sums.error(weights, bias) == pytest.approx(error)
    assert problem.objective(weights) == pytest.approx(error + pull)
    centre = targets.mean(axis=0) if bias else 0.0
    assert problem.energy == pytest.approx(((targets - centre) ** 2).sum(axis=1).mean())


def test_the_target_is_the_minimiser():
    sums, dense, *_ = layer()
    problem = sums.quadratic(dense, True)
    least = problem.objective(problem.target)
    generator = np.random.default_rng(1)
    for _ in range(20):
        assert problem.objective(problem.target + 1e-3 * generator.standard_normal((3, 7))) > least


@pytest.mark.parametrize("kind", ["plain", "shifted", "deficient", "dead"])
def test_conjugate_gradients_reach_the_exact_repair(kind):
    problem = quadratic(2, 6, 30, kind)
    mask = np.random.default_rng(0).random((6, 30)) < 0.5
    exact = problem.repair(mask)
    iterated = conjugate_gradients(problem, mask, np.where(mask, problem.dense, 0.0))
    assert problem.objective(iterated) == pytest.approx(problem.objective(exact), rel=1e-8)
    assert problem.objective(on_support(problem, mask)) == problem.objective(exact)
    assert not exact[~mask].any()


def test_one_row_changes_no_weight_and_nothing_is_infinite():
    dense = np.random.default_rng(0).standard_normal((3, 7))
    sums = Moments.zeros(7, 3)
    sums.add(np.ones((1, 7)), np.ones((1, 7)) @ dense.T)
    problem = sums.quadratic(dense, bias=True)
    np.testing.assert_allclose(problem.target, dense)
    assert np.isfinite(problem.repair(np.eye(3, 7, dtype=np.bool_))).all()


def test_few_rows_ask_for_more_ridge_than_many():
    """Held-out rows choose: on noise, 12 rows need a strong pull to the dense weights, 4000 do not."""
    chosen = {}
    for count in (12, 4000):
        fit, dense, *_ = layer(count, seed=3)
        held = layer(400, seed=3)[0]
        mask = np.array([True, True, True, True, False, False, True])
        chosen[count] = ridge_for_units(fit, held, dense, True, mask)
        errors = {
            ridge: held_out_error(fit, held, fit.quadratic(dense, True, ridge).repair(np.tile(mask, (3, 1))), True)
            for ridge in RIDGES
        }
        assert errors[chosen[count]] == min(errors.values())
    assert chosen[12] >= chosen[4000]


def test_nothing_held_out_falls_back():
    fit, dense, *_ = layer(2)
    assert ridge_for_weights(fit, Moments.zeros(7, 3), dense, True, Weight(), 0.5) == WITHOUT_HELD_OUT
    assert ridge_for_units(fit, Moments.zeros(7, 3), dense, True, np.ones(7, dtype=np.bool_)) == WITHOUT_HELD_OUT


def test_the_held_out_error_is_measured_with_the_fitted_bias():
    fit, dense, *_ = layer(30, seed=1)
    held, _, after, targets = layer(20, seed=2)
    predicted = after @ dense.T + fit.best_bias(dense)
    assert held_out_error(fit, held, dense, True) == pytest.approx(((targets - predicted) ** 2).sum(axis=1).mean())


def test_bad_input_is_named():
    sums, dense, *_ = layer()
    with pytest.raises(BadInputError, match="ridge"):
        sums.quadratic(dense, True, 0.0)
    sums.add(np.full((1, 7), np.nan), np.zeros((1, 3)))
    with pytest.raises(BadInputError, match="NaN"):
        sums.quadratic(dense, True)
    with pytest.raises(BadInputError, match="second moment"):
        Quadratic.plain(dense, np.eye(3))
    with pytest.raises(BadInputError, match="positive definite"):
        Quadratic.plain(dense, -np.eye(7)).inverse()
