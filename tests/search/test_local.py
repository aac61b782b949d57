"""Local search and the composite for neurons beyond the plane: sound on everything, right where brute force is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.kernels.anneal import anneal, in_steps
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.local import LocalSearch
from prunegap.search.registry import NEURONS, choose


def degenerate(kind: str, dimension: int, readout: Readout) -> Problem:
    """Return a problem of width 7 or less in which rows coincide, vanish or line up."""
    width = {"none": 0, "one": 1}.get(kind, 7)
    problem = Problem.from_draw(Draw(dimension, 4), width, 0.5, Neuron(), readout)
    weights, outputs = problem.network.weights.copy(), problem.network.outputs.copy()
    match kind:
        case "parallel kinks":
            weights[1], weights[2] = 2.0 * weights[0], -0.5 * weights[0]
        case "duplicates":
            weights[1:4], outputs[1:4] = weights[0], outputs[0]
        case "zero rows":
            weights[[0, 3]] = 0.0
        case "along the target":
            weights[0], weights[1], outputs[:2] = 0.5 * problem.target, -problem.target, (1.0, 0.3)
        case "no outputs":
            outputs[[0, 2, 6]] = 0.0
        case "nothing at all":
            outputs[:] = 0.0
    return replace(problem, network=Network(weights, outputs))


KINDS = [
    "none",
    "one",
    "parallel kinks",
    "duplicates",
    "zero rows",
    "along the target",
    "no outputs",
    "nothing at all",
]


@pytest.mark.parametrize("readout", list(Readout))
@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_networks_are_decided_like_brute_force(kind: str, dimension: int, readout: Readout) -> None:
    problem = degenerate(kind, dimension, readout)
    least = least_error(problem)
    below, above = replace(problem, epsilon=0.98 * least.lower), replace(problem, epsilon=1.1 * least.upper)
    for chosen in (choose, lambda _: NEURONS):
        assert chosen(above).search(above).status is Status.FOUND
        assert chosen(below).search(below).status is Status.IMPOSSIBLE
    assert LocalSearch(restarts=30).search(above, Budget(20.0)).status is Status.FOUND
    assert LocalSearch(restarts=1).search(below, Budget(20.0)).status is Status.UNDECIDED


@pytest.mark.parametrize("dimension", [1, 2, 3, 6])
@pytest.mark.parametrize("width", [0, 1, 5])
def test_above_one_the_empty_ticket_is_enough(dimension: int, width: int) -> None:
    problem = Problem.from_draw(Draw(dimension, 0), width, 1.5, Neuron())
    for search in (LocalSearch(), NEURONS):
        outcome = search.search(problem)
        assert outcome.mask is not None
        assert outcome.mask.least_width == 0


@pytest.mark.parametrize(("dimension", "epsilon", "width"), [(2, 0.2, 40), (3, 0.2, 60), (4, 0.4, 60)])
@pytest.mark.parametrize("readout", list(Readout))
def test_tickets_turn_up_where_there_is_room(dimension: int, epsilon: float, width: int, readout: Readout) -> None:
    wide = 2 * width if readout is Readout.LINEAR else width
    problem = Problem.from_draw(Draw(dimension, 1), wide, epsilon, Neuron(), readout)
    outcome = LocalSearch().search(problem, Budget(120.0))
    assert outcome.certificate is not None
    assert outcome.certificate.proves(epsilon)


def test_it_repeats_by_seed() -> None:
    problem = Problem.from_draw(Draw(3, 2), 60, 0.2, Neuron())
    first, second = (LocalSearch().search(problem, Budget(120.0)).mask for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.kept_weights == second.kept_weights).all()


def test_it_refuses_supports_too_many_to_tabulate() -> None:
    assert LocalSearch().refusal(Problem.from_draw(Draw(20, 0), 4, 0.1, Weight()))
    assert LocalSearch().refusal(Problem.from_draw(Draw(8, 0), 4096, 0.1, Weight()))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("inputs", [1, 15, 16, 40])
def test_annealing_returns_the_energy_of_what_it_keeps(inputs: int, shared: bool) -> None:
    """Also where columns share owners: then at most one of them is kept."""
    random = np.random.default_rng(inputs)
    owners = np.arange(9) // (3 if shared else 1)
    changed = 0
    for seed in range(30):
        table = np.ascontiguousarray(random.normal(size=(9, inputs)))
        low, high = np.full(inputs, -1.0), np.full(inputs, 1.5)
        low[:4] = -np.inf
        high[inputs // 2] = -0.5
        kept = np.zeros(9, dtype=np.bool_)
        kept[np.unique(owners, return_index=True)[1][: seed % 4]] = True
        before = kept.copy()
        partners = random.integers(0, 9, (9, 3))
        energy = anneal(table, low, high, kept, owners, partners, 2.0, 0.1, 300, seed)
        sums = kept.astype(np.float64) @ table
        assert np.isclose(energy, (np.maximum(0.0, np.maximum(low - sums, sums - high)) ** 2).sum(), rtol=1e-4)
        assert np.bincount(owners[kept], minlength=1).max() <= (1 if shared else 9)
        changed += bool((kept != before).any())
    assert changed > 10


def test_sums_in_steps_meet_their_bounds_where_the_given_ones_do() -> None:
    """But for half a step a column: for all choices of seven columns, near the bounds of each."""
    random = np.random.default_rng(7)
    table = np.ascontiguousarray(random.normal(size=(7, 12)))
    choices = ((np.arange(128)[:, None] >> np.arange(7)) & 1).astype(np.float64)
    sums = choices @ table
    met = 0
    for low, high in ((sums[k] - 1e-6, sums[k] + 1e-6) for k in range(128)):
        rows, least, most, step = in_steps(table, low, high)
        assert (np.abs(rows[:7, :12] * step - table) <= 0.5001 * step).all()
        np.testing.assert_array_equal(rows[7:14], -rows[:7])
        found = choices.astype(np.int64) @ rows[:7].astype(np.int64)
        meets = ((found >= least) & (found <= most)).all(axis=1)
        assert not (meets & ~((sums >= low - 4 * step) & (sums <= high + 4 * step)).all(axis=1)).any()
        met += int(meets.sum())
    assert met >= 128


@pytest.mark.parametrize("seed", range(4))
def test_annealing_meets_conditions_that_can_be_met(seed: int) -> None:
    random = np.random.default_rng([seed, 1])
    table = np.ascontiguousarray(random.normal(size=(10, 12)))
    secret = random.random(10) < 0.5
    goal = secret.astype(np.float64) @ table
    kept = np.zeros(10, dtype=np.bool_)
    partners = np.tile(np.arange(10), (10, 1))
    owners = np.arange(10)
    assert anneal(table, goal - 0.05, goal + 0.05, kept, owners, partners, 5.0, 0.05, 200_000, seed) == 0.0
    assert (kept == secret).all()
