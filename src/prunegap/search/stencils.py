"""Short rows for the 0-1 program: second differences across the kinks (F4 in any dimension).

A kept neuron i bends p by kappa_i = v_i ||w_i|| along its whole hyperplane, and the target is straight wherever
<w*, x> > 0. So at every point x of the hyperplane the second difference p(x + hu) - 2 p(x) + p(x - hu) along
u = w_i / ||w_i|| has to stay within epsilon (||x + hu|| + 2 ||x|| + ||x - hu||) of the target's, and only neurons
whose kinks pass between x - hu and x + hu contribute to it: they alone can mend the bend. Such a row follows from
the rows of its three inputs, but it holds a third of the columns, which is what lets a solver propagate and learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.apart import first_apart
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.problem import Problem
from prunegap.search.ascent import unit

WEIGHTS = np.array([1.0, -2.0, 1.0])
"""Weights of the inputs x - hu, x and x + hu."""

REACHES = (1.05, 1.3, 1.6, 2.0, 2.6)
"""Lengths h in units of 4 epsilon / |kappa_i|, the shortest at which the row says anything about neuron i."""

LONGEST = 1.2


@dataclass(frozen=True)
class Density:
    """Up to `places` rows for one neuron and one length, `apart` from each other, out of `tries` random points."""

    tries: int
    places: int
    apart: float


FEW = Density(320, 8, 0.15)
MANY = Density(1000, 32, 0.08)
MARGIN = 1e-6
MOST_ENTRIES = 4_000_000
"""Rows times columns: wider networks get fewer places."""


def stencils(
    problem: Problem, weights: Matrix, outputs: Vector, seed: int, density: Density = FEW
) -> NDArray[np.float64]:
    """Return inputs (k, 3, d), each a second difference across the kink of one of the rows `weights` (c, d).

    At all three inputs the error is bounded on both sides: under the relu readout they lie where g > epsilon ||x||.
    Of the random points tried those are kept whose bend the fewest neighbours could mend. There are none at d = 1.
    """
    dimension, count = problem.dimension, len(weights)
    norms = np.linalg.norm(weights, axis=1)
    random = np.random.default_rng([seed, 2])
    places = int(min(density.places, MOST_ENTRIES // max(1, count * count * len(REACHES))))
    found = [np.zeros((0, 3, dimension))]
    if dimension > 1 and places:
        for i in np.flatnonzero(norms > 0.0):
            points = random.standard_normal((density.tries, dimension))
            for reach in REACHES:
                step = reach * 4.0 * problem.epsilon / max(abs(outputs[i]) * norms[i], 1e-300)
                if step <= LONGEST:
                    across = step * weights[i] / norms[i]
                    centres = _on_kink(problem, points, across)
                    order = _hardest_first(centres, across, i, weights, outputs)
                    centres = centres[first_apart(centres, order, places, density.apart)]
                    found.append(np.stack((centres - across, centres, centres + across), axis=1))
    return np.concatenate(found)


def _on_kink(problem: Problem, points: Matrix, across: Vector) -> Matrix:
    """Return the points projected on the hyperplane, norm 1, where the whole stencil lies on the target's side."""
    points = unit(points - np.outer(points @ across, across) / (across @ across))
    heights = points @ problem.target
    points = points * np.where(heights < 0.0, -1.0, 1.0)[:, None]
    lengths = np.hypot(1.0, np.linalg.norm(across))
    lowest = np.abs(heights) - abs(float(across @ problem.target))
    least = problem.epsilon * lengths if problem.readout is Readout.RELU else 0.0
    return np.asarray(points[lowest > least + MARGIN * np.linalg.norm(problem.target)])


def _hardest_first(
    points: Matrix, across: Vector, index: np.intp, weights: Matrix, outputs: Vector
) -> NDArray[np.int64]:
    """Return the order of the points in which the bend across the kink of row `index` gets easier to mend."""
    bends = outputs * np.maximum(np.abs(weights @ across) - np.abs(points @ weights.T), 0.0)
    menders = np.maximum(-np.sign(outputs[index]) * bends, 0.0).sum(axis=1)
    return np.argsort(menders, kind="stable")
