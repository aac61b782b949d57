"""A narrower question inside one too wide to sweep: the kinks near the target's, and weak ones elsewhere (F1).

With a linear readout a width may be impossible for one reason only: too few kinks bend where the target does. Where
the next neuron mends that, all others leave far more choices than a sweep could list, and more than a ticket needs.
A few of them do: those near the target's kink, and of the rest the weak ones, whose sums lie closer together.
A ticket of the few is one of the whole; that they hold none says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from prunegap.model.network import Network
from prunegap.model.problem import Problem
from prunegap.search.plane import Circle

NEAR = 12.0
"""Kinks within so many tubes of the target's stay, in the first attempt."""

LEAST = 4
"""Neurons that always stay."""

SPREAD = 0.5
"""Standard deviation of the logarithm by which chance moves a strength in the order of the rest."""


def thinned(problem: Problem, kept: int, near: float, attempt: int, fits: Callable[[Problem], bool]) -> Problem:
    """Return the problem with most outputs set to 0: as many neurons stay as `fits` allows, four at least.

    `kept` stays first, then the kinks within `near` tubes of the target's; `attempt` chooses the others.
    """
    flat = Circle.of(problem)
    away = np.pi / 2 - np.abs(flat.angles)
    chance = np.random.default_rng([problem.width, attempt]).standard_normal(flat.angles.size)
    places = np.abs(flat.strengths) * np.exp(SPREAD * chance)
    places = np.where(away < near * flat.tube, away - np.pi, places)
    places[flat.neurons == kept] = -np.pi
    order = flat.neurons[np.argsort(places, kind="stable")]

    def first(count: int) -> Problem:
        outputs = np.zeros(problem.width)
        outputs[order[:count]] = problem.network.outputs[order[:count]]
        return replace(problem, network=Network(problem.network.weights, outputs))

    low, high = min(LEAST, order.size), order.size + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(first(middle)) else (low, middle)
    return first(low)
