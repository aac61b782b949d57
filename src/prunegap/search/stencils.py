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

from prunegap.kernels.bends import hardest_places
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.problem import Problem

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
                    least = problem.epsilon * np.hypot(1.0, step) if problem.readout is Readout.RELU else 0.0
                    least += MARGIN * float(np.linalg.norm(problem.target))
                    centres = hardest_places(points, across, problem.target, least, weights, outputs, outputs[i],
                                             places, density.apart)  # fmt: skip
                    found.append(np.stack((centres - across, centres, centres + across), axis=1))
    return np.concatenate(found)
