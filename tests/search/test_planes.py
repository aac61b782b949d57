"""Tickets of block:2 made plane by plane: errors, beams and masks against plain computations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from oracles import errors_at, sphere
from prunegap.kernels.plane_beam import swept_states
from prunegap.model.draw import Draw
from prunegap.model.granularity import Block, parse_granularity
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.search.planes import PlaneTickets, _Plane, linear_error
from prunegap.search.registry import SWEEP, choose
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, minimal_width


def planar_draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    network = Draw(2, seed).network(rows)
    return network.weights, network.outputs


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("rows", [0, 1, 5, 30])
def test_the_linear_error_is_that_of_a_fine_fan(dimension: int, rows: int) -> None:
    network, target = Draw(dimension, rows).network(rows), Draw(dimension, 1).target()
    angles = np.linspace(0.0, 2.0 * math.pi, 100_001)
    inputs = np.stack([np.cos(angles), np.sin(angles)], axis=1) if dimension == 2 else np.array([[1.0], [-1.0]])
    sampled = float(np.abs(network.preactivation(inputs) - inputs @ target).max())
    error = linear_error(network.weights, network.outputs, target)
    assert sampled - 1e-12 <= error <= sampled + 1e-6


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tube", [0.3, 0.8])
def test_a_beam_with_room_holds_exactly_the_masks_that_stay_in_the_tube(seed: int, tube: float) -> None:
    weights, outputs = planar_draw(9, seed)
    kinks = (np.arctan2(weights[:, 1], weights[:, 0]) + 0.5 * math.pi) % math.pi
    order = np.argsort(kinks)
    weights, outputs, kinks = weights[order], outputs[order], kinks[order]
    kicks = outputs * np.linalg.norm(weights, axis=1)
    linear = 0.5 * outputs[:, None] * weights
    random = np.random.default_rng(0)
    states, kept = swept_states(kinks, kicks, linear, math.pi, tube, 1024, random)
    angles = np.unique(np.concatenate([np.linspace(0.0, math.pi, 4001), kinks]))
    met = {}
    for mask in itertools.product((False, True), repeat=9):
        chosen = np.array(mask)
        # E'' + E = sum of kicks, at rest at angle 0, in closed form.
        even = (np.sin(np.maximum(angles[:, None] - kinks, 0.0)) * kicks)[:, chosen].sum(axis=1)
        slope = (np.cos(math.pi - kinks) * kicks)[chosen].sum()
        if np.abs(even).max() <= tube:
            met[chosen.tobytes()] = (even[-1], slope, *linear[chosen].sum(axis=0))
    found = {
        np.array([bool(word >> i & 1) for i in range(9)]).tobytes(): s
        for word, s in zip(kept[:, 0].tolist(), states, strict=True)
    }
    # Masks within the resolution of the fan of the tube may fall on either side.
    assert len(set(met) ^ set(found)) <= 1
    for key in set(met) & set(found):
        assert found[key] == pytest.approx(met[key], abs=1e-12)


def test_a_full_beam_samples_without_repeats() -> None:
    weights, outputs = planar_draw(60, 1)
    kinks = np.sort((np.arctan2(weights[:, 1], weights[:, 0]) + 0.5 * math.pi) % math.pi)
    random = np.random.default_rng(3)
    states, kept = swept_states(kinks, outputs, 0.5 * weights, math.pi, 0.3, 500, random)
    assert 0 < len(states) <= 1000
    assert len(np.unique(kept, axis=0)) == len(kept)
    again = swept_states(kinks, outputs, 0.5 * weights, math.pi, 0.3, 500, np.random.default_rng(3))
    assert (again[1] == kept).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_plane_is_met_on_its_whole_circle(seed: int) -> None:
    weights, outputs = planar_draw(200, seed)
    target = 0.7 * Draw(2, seed).target()
    found = _Plane(weights, outputs, target).met(0.02, 4096, np.random.default_rng(seed))
    assert found.error == linear_error(weights[found.kept], outputs[found.kept], target) <= 0.02
    assert len(set(found.kept.tolist())) == found.kept.size
    # p is linear on the whole circle, hence a neuron ticket of the plane, which the exact sweep must allow.
    network = Network(weights[found.kept], outputs[found.kept])
    inputs = sphere(2000, 2)
    assert np.abs(network.preactivation(inputs) - inputs @ target).max() <= 0.02
    assert (
        SWEEP.search(Problem(Network(weights, outputs), target, 0.02, parse_granularity("neuron"))).mask is not None
    )


@pytest.mark.parametrize(
    ("dimension", "width", "epsilon"),
    [(3, 150, 0.05), (4, 150, 0.05), (4, 400, 0.01), (5, 250, 0.05), (6, 300, 0.05), (8, 500, 0.05)],
)
def test_tickets_hold(dimension: int, width: int, epsilon: float) -> None:
    problem = Problem.from_draw(Draw(dimension, 2), width, epsilon, Block(2))
    outcome = PlaneTickets().search(problem)
    assert outcome.status is Status.FOUND
    assert outcome.mask is not None
    assert outcome.certificate is not None
    assert outcome.certificate.error_upper <= epsilon
    blocks = np.add.reduceat(outcome.mask.kept_weights, np.arange(0, dimension, 2), axis=1) > 0
    assert (blocks.sum(axis=1) <= 1).all()
    sampled = errors_at(problem.network, problem.target, outcome.mask, problem.readout, sphere(20_000, dimension))
    assert sampled.max() <= epsilon


def test_same_seed_same_bits() -> None:
    problem = Problem.from_draw(Draw(4, 0), 150, 0.05, Block(2))
    one, other = (PlaneTickets(3).search(problem, Budget(seed=5)).mask for _ in range(2))
    assert one is not None
    assert other is not None
    assert (one.kept_weights == other.kept_weights).all()


@pytest.mark.parametrize("width", [0, 1, 2, 7])
def test_too_narrow_is_not_an_error(width: int) -> None:
    for dimension in (3, 4):
        problem = Problem.from_draw(Draw(dimension, 0), width, 0.1, Block(2))
        assert PlaneTickets(3).search(problem).status is Status.UNDECIDED


def test_a_target_within_epsilon_needs_nothing() -> None:
    network = Draw(4, 0).network(3)
    outcome = PlaneTickets(1).search(Problem(network, np.full(4, 0.01), 0.1, Block(2)))
    assert outcome.mask is not None
    assert outcome.mask.kept_neurons == 0


@pytest.mark.parametrize(
    ("name", "dimension", "readout"),
    [("block:3", 6, "relu"), ("weight", 4, "relu"), ("block:2", 2, "relu"), ("block:2", 4, "linear")],
)
def test_what_does_not_fall_into_planes_is_refused(name: str, dimension: int, readout: str) -> None:
    problem = Problem.from_draw(Draw(dimension, 0), 5, 0.1, parse_granularity(name), Readout(readout))
    assert PlaneTickets().refusal(problem.plain)


def test_a_cell_of_blocks_has_both_ends() -> None:
    cell = Cell(4, 0.02, Block(2), 0)
    assert choose(cell.problem(100)).scout is not None
    interval = minimal_width(cell, Effort(12.0, 1024))
    assert interval.upper is not None
    assert interval.certificate is not None
    assert interval.certificate.proves(0.02)
    assert 0 < interval.lower < interval.upper
