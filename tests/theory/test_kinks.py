"""Kinks and mass: the lemmas by simulation, and the bounds against brute force over every mask."""

import math

import numpy as np
import pytest

from prunegap.model.draw import Draw, Initialisation
from prunegap.theory.kinks import crossing_chance, kink_terms, kink_width, linear_readout_width
from prunegap.theory.mass import mass_width, neuron_mass, weight_mass

INITS = list(Initialisation)
MEASURED = [(2, 0.2, 25.5), (2, 0.02, 58.0), (2, 0.001, 469.5), (3, 0.4, 31.5), (3, 0.1, 64.5)]
"""Median widths of neuron pruning, docs/studies/neuron-width.md."""


def drawn(init: Initialisation, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform(-1.0, 1.0, shape) if init is Initialisation.UNIFORM else random.standard_normal(shape)


def arc(row: np.ndarray, target: np.ndarray, half: float) -> np.ndarray:
    """Return x_-, x, x_+ of docs/theory.md K."""
    u = row / np.linalg.norm(row)
    x = target - (target @ u) * u
    x /= np.linalg.norm(x)
    return np.array([math.cos(half) * x - math.sin(half) * u, x, math.cos(half) * x + math.sin(half) * u])


@pytest.mark.parametrize("dimension", [2, 3, 7])
def test_the_second_difference_sees_the_strength_of_a_lone_kink(dimension: int) -> None:
    lone = 0
    for seed in range(60):
        network, target = Draw(dimension, seed).network(4), Draw(dimension, seed).target()
        half = 0.05 + 0.1 * (seed % 3)
        points = arc(network.weights[0], target, half)
        assert np.linalg.norm(points, axis=1) == pytest.approx(1.0)
        signs = np.sign(points @ network.weights[1:].T)
        if (signs == signs[0]).all():
            lone += 1
            p = np.maximum(points @ network.weights.T, 0.0) @ network.outputs
            strength = network.outputs[0] * np.linalg.norm(network.weights[0])
            assert p[0] + p[2] - 2 * math.cos(half) * p[1] == pytest.approx(strength * math.sin(half), abs=1e-12)
    assert lone > 10


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dimension", [2, 3, 8])
def test_arcs_are_crossed_no_more_often_than_said(init: Initialisation, dimension: int) -> None:
    rows = drawn(init, (200_000, dimension), 1)
    for half in (0.02, 0.2, 0.5):
        points = arc(drawn(init, (dimension,), 2), Draw(dimension, 3).target(), half)
        share = float((np.sign(rows @ points[0]) != np.sign(rows @ points[2])).mean())
        said = crossing_chance(dimension, half, init)
        assert share <= said + 0.003
        if init is Initialisation.NORMAL:
            assert share == pytest.approx(said, abs=0.005)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dimension", [2, 3, 6])
@pytest.mark.parametrize("epsilon", [0.05, 0.005])
def test_the_mass_that_may_be_kept_is_at_most_what_is_said(
    init: Initialisation, dimension: int, epsilon: float
) -> None:
    width, draws, total = 20, 150, 0.0
    for seed in range(draws):
        rows = drawn(init, (width, dimension + 1), 100 + seed)
        w, v, target = rows[:, :dimension], rows[:, dimension], Draw(dimension, seed).target()
        strengths = np.abs(v) * np.linalg.norm(w, axis=1)
        for i in range(width):
            kept = strengths[i] < 8.0 * epsilon
            if not kept:
                half = math.asin(4.0 * epsilon / strengths[i])
                sine = abs(float(w[i] @ target)) / float(np.linalg.norm(w[i]))
                near = math.acos(min(sine, 1.0)) <= half + math.asin(epsilon)
                ends = np.delete(w, i, axis=0) @ arc(w[i], target, half)[[0, 2]].T
                kept = near or bool((np.sign(ends[:, 0]) != np.sign(ends[:, 1])).any())
            total += strengths[i] * kept
    a, b = kink_terms(dimension, init)
    assert 0.0 < total / draws <= width * epsilon * (a * (width - 1) + b)


@pytest.mark.parametrize("init", INITS)
def test_the_kink_width_is_the_least_that_solves_its_inequality(init: Initialisation) -> None:
    for d in (2, 5, 30):
        a, b = kink_terms(d, init)
        for e in (0.5, 0.01, 1e-4, 1e-8):
            n = kink_width(d, e, init)
            chance = [m * e * (a * (m - 1) + b) / (1 - e) for m in (n - 1, n)]
            assert chance[1] >= 0.5 * (1 - 1e-9)
            assert n == 1 or chance[0] < 0.5
    assert kink_width(2, 1e-8, init) / kink_width(2, 1e-6, init) == pytest.approx(10.0, rel=0.05)
    assert linear_readout_width(3, 1e-6, init) / linear_readout_width(3, 1e-4, init) == pytest.approx(100.0, rel=0.05)
    assert kink_width(2, 1.0, init) == linear_readout_width(2, 0.25, init) == 0


def test_no_bound_contradicts_a_measured_median() -> None:
    for d, e, median in MEASURED:
        assert kink_width(d, e, Initialisation.UNIFORM) <= median
        assert mass_width(e, neuron_mass(Initialisation.UNIFORM)) <= median
    # Linear readout, medians at eps = 0.2, 0.05, 0.02.
    for e, median in ((0.2, 32.0), (0.05, 51.0), (0.02, 83.0)):
        assert linear_readout_width(2, e, Initialisation.UNIFORM) <= median


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_the_mass_of_a_neuron_is_at_most_what_is_said(init: Initialisation, dimension: int) -> None:
    rows, target = drawn(init, (400_000, dimension + 1), 9), Draw(dimension, 4).target()
    v = np.maximum(rows[:, dimension], 0.0)
    whole = float((v * np.maximum(rows[:, :dimension] @ target, 0.0)).mean())
    entries = float((v[:, None] * np.maximum(rows[:, :dimension] * target, 0.0)).sum(axis=1).mean())
    assert whole <= neuron_mass(init) * 1.01
    assert entries <= weight_mass(dimension, init) * 1.01
    assert entries == pytest.approx(weight_mass(dimension, init) * np.abs(target).sum() / dimension**0.5, rel=0.02)


@pytest.mark.parametrize("init", INITS)
def test_below_the_mass_width_at_most_half_of_the_draws_reach_the_target(init: Initialisation) -> None:
    epsilon, dimension = 0.1, 2
    width = mass_width(epsilon, weight_mass(dimension, init)) - 1
    reached = 0
    for seed in range(400):
        rows, target = drawn(init, (width, dimension + 1), seed), Draw(dimension, seed).target()
        most = (np.maximum(rows[:, 2:], 0.0) * np.maximum(rows[:, :2] * target, 0.0)).sum()
        reached += most >= 1.0 - epsilon
    assert reached <= 200
