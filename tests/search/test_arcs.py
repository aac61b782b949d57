"""Tickets of four arcs: all there are in small rings, only true ones in wide rings, the same for any workers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oracles import least_error
from prunegap.certify import certify
from prunegap.kernels import arc_join
from prunegap.kernels.arc_join import join_arcs
from prunegap.model.draw import Draw
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search import arcs, sweep
from prunegap.search.arcs import ARCS, Arcs, Quarters
from prunegap.search.base import Budget, Deadline
from prunegap.search.plane import Circle
from prunegap.search.ring import Ring
from prunegap.search.sweep import PlaneSweep


def small(seed: int) -> Problem:
    """Return a ring of eleven kinks, some of them in pairs that nearly cancel."""
    generator = np.random.default_rng([seed, 5])
    weights, outputs = generator.uniform(-1, 1, (11, 2)), generator.uniform(-1, 1, 11)
    weights[:4] = -weights[4:8] + 0.05 * generator.standard_normal((4, 2))
    return Problem(Network(weights, outputs), generator.standard_normal(2), 1.0, Neuron(), Readout.LINEAR)


def made_of(problem: Problem, opened: int, cuts: tuple[int, ...], workers: int = 1) -> list[list[int]]:
    """Return the tickets that four arcs with these cuts make, as sorted neurons."""
    flat = Circle.of(problem)
    made = Arcs(flat, Quarters(Ring.of(flat), opened, cuts, 1e6), Deadline(Budget(workers=workers)))
    return [sorted(int(neuron) for neuron in neurons) for neurons in made.tickets()]


@pytest.mark.parametrize("cuts", [(0, 3, 6, 9, 12), (0, 1, 7, 8, 12), (0, 4, 5, 11, 12)])
def test_finds_a_ticket_where_there_is_one_wherever_the_ring_is_cut(
    cuts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for all linear parts nothing is left to chance."""
    monkeypatch.setattr(arcs, "FIRST_HALF", 1e6)
    monkeypatch.setattr(arcs, "PLACES", 1)
    asked = 0
    for seed in range(12):
        problem = small(seed)
        least = least_error(problem)
        above = replace(problem, epsilon=least.upper * (1 + 1e-4))
        below = replace(problem, epsilon=least.lower * (1 - 1e-4))
        if above.epsilon > 0.8 * float(np.linalg.norm(problem.target)):
            continue
        asked, opened = asked + 1, seed % 12
        (ticket,) = made_of(above, opened, cuts)
        assert certify(above, Mask.of_neurons(np.array(ticket), 11, 2)).proves(above.epsilon), seed
        assert made_of(below, opened, cuts) == [], seed
    assert asked >= 8


def test_joins_exactly_the_neighbours_that_share_a_state_at_the_linear_part_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    first, second = np.zeros((2, 300, 12), dtype=np.float32)
    for leaves in (first, second):
        leaves[:, 4:8] = random.normal(size=(300, 4))
        low, size = random.normal(size=(300, 2)), random.uniform(0.1, 1.0, (300, 2))
        leaves[:, 0], leaves[:, 2] = (low - leaves[:, 4:6]).T
        leaves[:, 1], leaves[:, 3] = (low + size - leaves[:, 4:6]).T
        leaves[:, 8], leaves[:, 10] = (-low - size - leaves[:, 6:8]).T
        leaves[:, 9], leaves[:, 11] = (-low - leaves[:, 6:8]).T
    sorted_second = arcs._Squares.of(arcs._Arc(second, np.zeros((300, 1), dtype=np.uint64), 0), 0.5)
    second = sorted_second.arc.leaves
    centre, half = np.array([0.3, -0.2]), 0.4
    joined, pairs = np.empty((90_000, 12), dtype=np.float32), np.empty((90_000, 2), dtype=np.int32)
    asked = (second, sorted_second.starts, sorted_second.low, sorted_second.counts, 0.5, sorted_second.reach)
    found, reached = join_arcs(first, *asked, centre, half, joined, pairs)

    part = lambda leaves: leaves[:, 4:6] + leaves[:, 6:8]  # noqa: E731
    near = np.abs(part(first)[:, None] + part(second)[None] - centre).max(axis=2) <= half
    state = lambda leaves, column, sums: leaves[:, [column, column + 2]] + leaves[:, sums : sums + 2]  # noqa: E731
    # States behind the first arc, which are those before the second.
    lows = np.maximum(state(first, 0, 6)[:, None], state(second, 0, 4)[None])
    highs = np.minimum(state(first, 1, 6)[:, None], state(second, 1, 4)[None])
    expected = near & (lows <= highs).all(axis=2)
    assert expected.sum() > 100
    assert reached == 300
    assert {tuple(pair) for pair in pairs[:found]} == set(zip(*np.nonzero(expected), strict=True))
    ours, theirs = pairs[:found].T
    assert np.allclose(joined[:found, 4:8], first[ours, 4:8] + second[theirs, 4:8])
    # What the others must add to alpha brings the state before the first arc, and that of the back half too.
    jumps = first[:, 6:8] - first[:, 4:6]
    before = (lows - jumps[:, None])[ours, theirs] - joined[:found, 4:6]
    assert np.allclose(joined[:found][:, [0, 2]], before, atol=1e-5)
    assert np.allclose(
        joined[:found][:, [9, 11]], -(lows - jumps[:, None])[ours, theirs] - joined[:found, 6:8], atol=1e-5
    )

    few, at = join_arcs(first, *asked, centre, half, joined[: found // 2], pairs[: found // 2])
    assert few <= found // 2
    assert at == ours[few]

    monkeypatch.setattr(arc_join, "MOST_SEEN", 500)
    few, at = join_arcs.py_func(first, *asked, centre, half, joined, pairs)  # type: ignore[attr-defined]
    assert 0 < at < 300
    assert few == (ours < at).sum()


def test_four_arcs_go_round_and_take_about_what_is_allowed() -> None:
    problem = Problem.from_draw(Draw(2, 3), 152, 0.02, Neuron(), Readout.LINEAR)
    ring = Ring.of(Circle.of(problem), 151)
    quarters = Quarters.of(ring, 0)
    assert len(quarters.cuts) == ARCS + 1
    assert quarters.cuts[0] == 0
    assert quarters.cuts[-1] == 153
    assert all(np.diff(quarters.cuts) > 0)
    assert Quarters.fit(ring, 1e30, 0)
    assert not Quarters.fit(ring, 10.0, 0)


@pytest.mark.parametrize(("seed", "epsilon", "width"), [(3, 0.02, 152), (9, 0.01, 177)])
def test_a_ring_too_wide_to_sweep_has_the_width_at_which_the_target_kink_is_mended(
    seed: int, epsilon: float, width: int
) -> None:
    problem = Problem.from_draw(Draw(2, seed), 300, epsilon, Neuron(), Readout.LINEAR)
    one, two = (PlaneSweep().search(problem, Budget(workers=workers)) for workers in (1, 2))
    assert (one.impossible_width, one.ticket_width) == (width - 1, width)
    assert (two.impossible_width, two.ticket_width) == (width - 1, width)
    assert one.mask is not None
    assert two.mask is not None
    assert np.array_equal(one.mask.kept_weights, two.mask.kept_weights)


def test_running_out_of_time_keeps_what_was_proven() -> None:
    PlaneSweep().search(Problem.from_draw(Draw(2, 1), 40, 0.02, Neuron(), Readout.LINEAR))  # compiles
    problem = Problem.from_draw(Draw(2, 1), 4096, 0.005, Neuron(), Readout.LINEAR)
    outcome = PlaneSweep().search(problem, Budget(seconds=4.0))
    assert outcome.status is Status.UNDECIDED
    assert 0 < outcome.impossible_width < 4096


def test_an_attempt_that_has_no_time_left_ends_the_search_also_where_a_wider_ticket_is_known() -> None:
    problem = Problem.from_draw(Draw(2, 1), 400, 0.005, Neuron(), Readout.LINEAR)
    ladder = sweep._Ladder(problem, Deadline(Budget(seconds=1e-9)))
    ladder.proven, ladder.best = 220, Mask.of_neurons(np.arange(300), 400, 2)
    with pytest.raises(sweep._OutOfTimeError):
        ladder._guess()
    assert ladder._top == 299
