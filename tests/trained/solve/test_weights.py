"""Laws of the weight solvers, over granularities, fractions and kinds of layers."""

import numpy as np
import pytest

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, Neuron, NOfM, Weight
from prunegap.trained.solve import solve_weights, weight_solvers
from prunegap.trained.solve.support import allowed, kept_units, top_mask, top_mask_by_row, unit_sums
from trained.solve.problems import best_of_all_masks, quadratic

CASES = [
    (Weight(), 0.5),
    (Weight(), 0.13),
    (Weight(), 0.0),
    (Weight(), 1.0),
    (NOfM(2, 4), None),
    (NOfM(1, 3), 0.2),
    (Block(4), 0.5),
    (Block(3), 0.31),
]
KINDS = ("plain", "shifted", "deficient", "dead")


@pytest.mark.parametrize("solver", weight_solvers())
@pytest.mark.parametrize(("granularity", "fraction"), CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_of_the_granularity_and_of_the_size(solver, granularity, fraction, kind):
    problem = quadratic(3, 5, 18, kind)
    solution = solve_weights(problem, granularity, fraction, solver)
    length = getattr(granularity, "length", 1)
    units = unit_sums(solution.mask.astype(float), length)
    assert int((units > 0).sum()) == kept_units(problem.shape, granularity, fraction)
    assert granularity._admits_rows(solution.mask).all()
    assert not solution.weights[~solution.mask].any()
    assert np.isfinite(solution.weights).all()
    gap = solution.weights - problem.target
    recomputed = problem.floor + sum(float(row @ problem.second_moment @ row) for row in gap)
    assert solution.objective == pytest.approx(recomputed, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("granularity", "fraction"), CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_better_solvers_are_never_worse(granularity, fraction, kind):
    problem = quadratic(7, 6, 20, kind)
    admm = solve_weights(problem, granularity, fraction, "admm")
    sweep = solve_weights(problem, granularity, fraction, "second_order")
    assert admm.objective <= sweep.objective * (1 + 1e-9) + 1e-12
    repaired = problem.objective(problem.repair(admm.mask))
    assert admm.objective == pytest.approx(repaired, rel=1e-6, abs=1e-9)


def test_admm_clearly_beats_the_sweep_on_correlated_inputs():
    ratios = []
    for seed in range(6):
        problem = quadratic(seed, 16, 48)
        pair = [solve_weights(problem, Weight(), 0.3, name).objective for name in ("admm", "second_order")]
        ratios.append(pair[0] / pair[1])
    assert np.median(ratios) < 0.85


@pytest.mark.parametrize(("granularity", "fraction"), [(Weight(), 0.5), (NOfM(2, 4), None), (Block(2), 0.5)], ids=str)
def test_no_solver_beats_brute_force_and_admm_is_near_it(granularity, fraction):
    excess = []
    for seed in range(8):
        problem = quadratic(seed, 1, 8)
        best = best_of_all_masks(problem, granularity, fraction)
        for solver in weight_solvers():
            assert solve_weights(problem, granularity, fraction, solver).objective >= best * (1 - 1e-9)
        excess.append(solve_weights(problem, granularity, fraction, "admm").objective / best)
    assert np.median(excess) < 1.1


@pytest.mark.parametrize("solver", weight_solvers())
def test_same_problem_same_bits(solver):
    pair = [solve_weights(quadratic(5, 6, 24), Weight(), 0.4, solver).weights for _ in range(2)]
    assert pair[0].tobytes() == pair[1].tobytes()


def test_the_diagonal_problem_is_solved_exactly_by_wanda_and_admm():
    generator = np.random.default_rng(0)
    weights, scale = generator.standard_normal((1, 12)), generator.uniform(0.1, 3.0, 12)
    from prunegap.trained.solve import Quadratic

    problem = Quadratic.plain(weights, np.diag(scale))
    expected = np.sort(weights[0] ** 2 * scale)[:6].sum()
    for solver in ("wanda", "second_order", "admm"):
        assert solve_weights(problem, Weight(), 0.5, solver).objective == pytest.approx(expected)


def test_top_mask_is_the_best_by_enumeration():
    generator = np.random.default_rng(2)
    for _ in range(20):
        scores = generator.integers(0, 4, (2, 6)).astype(float)
        chosen = top_mask(scores, NOfM(1, 2), 4)
        assert chosen.sum() == 4
        assert NOfM(1, 2)._admits_rows(chosen).all()
        assert scores[chosen].sum() == np.sort(scores.reshape(2, 3, 2).max(axis=2).ravel())[-4:].sum()
        assert (allowed(scores, 1, 2).reshape(2, 3, 2).sum(axis=2) == 1).all()
        rows = top_mask_by_row(scores, Weight(), 7).sum(axis=1)
        assert sorted(rows) == [3, 4]


@pytest.mark.parametrize(
    ("granularity", "fraction", "solver", "word"),
    [
        (NOfM(2, 4), 0.6, "admm", "pattern"),
        (Weight(), 1.2, "admm", "0..1"),
        (Weight(), 0.5, "nothing", "must be one of"),
        (Neuron(), 0.5, "admm", "unit solvers"),
    ],
)
def test_bad_input_is_named(granularity, fraction, solver, word):
    with pytest.raises(BadInputError, match=word):
        solve_weights(quadratic(0, 2, 8), granularity, fraction, solver)
