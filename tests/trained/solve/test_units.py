"""Laws of the unit solvers: against brute force, against direct recomputation, and against each other."""

import numpy as np
import pytest

from prunegap.model.errors import BadInputError
from prunegap.trained.solve import UnitPart, UnitProblem, solve_units, unit_solvers
from prunegap.trained.solve.neuron import surgeon_order
from prunegap.trained.solve.neuron_local import exchange
from prunegap.trained.solve.tableau import Tableau
from trained.solve.problems import best_of_all_units, quadratic, unit_problem

SHAPES = [((3, 1),), ((4, 3),), ((3, 1), (2, 2))]


def scores_for(solver, units):
    return np.arange(units, dtype=float) if solver.startswith("taylor") else None


@pytest.mark.parametrize("solver", unit_solvers())
@pytest.mark.parametrize("kinds", SHAPES, ids=str)
@pytest.mark.parametrize("keep", [0, 1, 4, 7])
def test_counts_zeros_and_objective(solver, kinds, keep):
    problem = unit_problem(1, 7, kinds)
    solution = solve_units(problem, keep, solver, scores_for(solver, 7))
    assert solution.kept.sum() == keep
    total = 0.0
    for part, weights in zip(problem.parts, solution.weights, strict=True):
        assert not weights[:, part.columns[~solution.kept].ravel()].any()
        gap = weights - part.quadratic.target
        total += part.weight * (part.quadratic.floor + np.trace(gap @ part.quadratic.second_moment @ gap.T))
    assert solution.objective == pytest.approx(total, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kinds", SHAPES, ids=str)
def test_local_is_between_brute_force_and_the_surgeon(kinds):
    found = []
    for seed in range(10):
        problem = unit_problem(seed, 8, kinds)
        best = best_of_all_units(problem, 3)
        local, surgeon = (solve_units(problem, 3, name).objective for name in ("local", "obs"))
        assert best * (1 - 1e-9) <= local <= surgeon * (1 + 1e-12)
        found.append(local <= best * (1 + 1e-9))
    assert np.mean(found) >= 0.7


@pytest.mark.parametrize("kinds", SHAPES, ids=str)
def test_no_single_exchange_improves_the_local_optimum(kinds):
    problem = unit_problem(4, 8, kinds)
    kept = solve_units(problem, 4, "local").kept
    objective = problem.objective(problem.repair(kept))
    for out in np.flatnonzero(kept):
        for back in np.flatnonzero(~kept):
            other = kept.copy()
            other[[out, back]] = False, True
            assert problem.objective(problem.repair(other)) >= objective * (1 - 2e-6)


@pytest.mark.parametrize("kinds", SHAPES, ids=str)
def test_the_surgeon_pays_what_it_says(kinds):
    problem = unit_problem(2, 6, kinds)
    order, rises = surgeon_order(problem, 0)
    assert sorted(order) == list(range(6))
    kept = np.ones(6, dtype=np.bool_)
    before = problem.objective(problem.repair(kept))
    for unit, rise in zip(order, rises, strict=True):
        trials = []
        for other in np.flatnonzero(kept):
            trial = kept.copy()
            trial[other] = False
            trials.append(problem.objective(problem.repair(trial)) - before)
        assert rise == pytest.approx(min(trials), rel=1e-6, abs=1e-9)
        kept[unit] = False
        before = problem.objective(problem.repair(kept))


def test_the_table_prices_every_flip_and_exchange_after_many_flips():
    problem = unit_problem(5, 7, ((3, 2),))
    part = problem.parts[0]
    kept = np.array([True, False, True, True, False, True, False])
    table = Tableau(part, kept)
    for unit in (1, 0, 4, 1, 6):
        table.flip(unit, bool(kept[unit]))
        kept[unit] = ~kept[unit]
    now = problem.objective(problem.repair(kept))
    for unit in range(7):
        flipped = kept.copy()
        flipped[unit] = ~flipped[unit]
        change = abs(problem.objective(problem.repair(flipped)) - now)
        assert table.changes(np.array([unit]))[0] == pytest.approx(change, rel=1e-6)
    out, outside = int(np.flatnonzero(kept)[0]), np.flatnonzero(~kept)
    without = kept.copy()
    without[out] = False
    base = problem.objective(problem.repair(without))
    for unit, gain in zip(outside, table.gains_without(out, outside), strict=True):
        both = without.copy()
        both[unit] = True
        assert gain == pytest.approx(base - problem.objective(problem.repair(both)), rel=1e-6)


def test_many_units_at_once_stay_near_one_by_one(monkeypatch):
    problem = unit_problem(3, 200, ((20, 1),))
    one = solve_units(problem, 60, "obs").objective
    monkeypatch.setattr("prunegap.trained.solve.neuron.ONE_BY_ONE", 16)
    assert solve_units(problem, 60, "obs").objective <= 1.1 * one


def test_a_bad_start_is_mended():
    problem = unit_problem(6, 12, ((6, 1),))
    worst = np.zeros(12, dtype=np.bool_)
    worst[surgeon_order(problem, 0)[0][:5]] = True
    mended = exchange(problem, worst)
    assert mended.sum() == 5
    assert problem.objective(problem.repair(mended)) < problem.objective(problem.repair(worst))


def test_dead_and_duplicated_units_go_first():
    generator = np.random.default_rng(0)
    from prunegap.trained.solve import Moments

    inputs = np.maximum(generator.standard_normal((80, 6)), 0.0)
    inputs[:, 4], inputs[:, 5] = inputs[:, 0], 0.0
    weights = generator.standard_normal((4, 6))
    sums = Moments.zeros(6, 4)
    sums.add(inputs, inputs @ weights.T)
    part = UnitPart(sums.quadratic(weights, bias=True, ridge=1e-6), np.arange(6)[:, None])
    solution = solve_units(UnitProblem((part,)), 4, "obs")
    assert not solution.kept[5]
    assert solution.kept[0] != solution.kept[4]
    assert sums.relative_error(solution.weights[0], bias=True) < 1e-4


def test_bad_input_is_named():
    problem = unit_problem(0, 4, ((2, 1),))
    for arguments, word in [((5,), "0..4"), ((2, "nothing"), "one of"), ((2, "taylor"), "one score a unit")]:
        with pytest.raises(BadInputError, match=word):
            solve_units(problem, *arguments)
    part = quadratic(0, 2, 4)
    with pytest.raises(BadInputError, match="own columns"):
        UnitPart(part, np.array([[0], [0]]))
    with pytest.raises(BadInputError, match="same units"):
        UnitProblem((UnitPart(part, np.array([[0]])), UnitPart(part, np.array([[0], [1]]))))
