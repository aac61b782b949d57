"""Short rows for the 0-1 program: second differences across the kinks (F4 in any dimension).

A kept neuron i bends p by kappa_i = v_i ||w_i|| along its whole hyperplane, and the target is straight wherever
<w*, x> > 0. So at every point x of the hyperplane the second difference p(x + u) - 2 p(x) + p(x - u) along
u = h (w_i / ||w_i|| + s tau) has to stay within epsilon (||x + u|| + 2 ||x|| + ||x - u||) of the target's, and only
neurons whose kinks pass between x - u and x + u contribute to it: they alone can mend the bend, which is h |kappa_i|
for every direction tau in the hyperplane and slope s. Who can mend it depends on both, so many directions say far
more than the normal alone. Such a row follows from the rows of its three inputs, but it holds a third of the
columns, which is what lets a solver propagate and learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.bends import hardest_bends
from prunegap.model.network import Matrix, Readout, Vector
from prunegap.model.problem import Problem

WEIGHTS = np.array([1.0, -2.0, 1.0])
"""Weights of the inputs x - u, x and x + u."""

REACHES = (1.05, 1.3, 1.6, 2.0, 2.6)
"""Lengths h in units of 4 epsilon / |kappa_i|, the shortest at which the row says anything about neuron i."""

LONGEST = 1.2


@dataclass(frozen=True)
class Density:
    """Up to `places` rows for one neuron and one length, `apart` from each other, out of `tries` at random."""

    tries: int
    places: int
    apart: float


FEW = Density(320, 8, 0.15)
MANY = Density(4000, 96, 0.08)
STEEPEST = 75.0
"""Greatest tilt of a segment against the kink's normal, in degrees."""
MOST_ENTRIES = 8_000_000
"""Rows times columns: wider networks get fewer places."""


def stencils(
    problem: Problem, weights: Matrix, outputs: Vector, seed: int, density: Density = FEW
) -> NDArray[np.float64]:
    """Return inputs (k, 3, d), each a second difference across the kink of one of the rows `weights` (c, d).

    At all three inputs the error is bounded on both sides: under the relu readout they lie where g > epsilon ||x||.
    Of the random points and directions tried those are kept whose bend the fewest neighbours could mend. There are
    none at d = 1.
    """
    dimension, count = problem.dimension, len(weights)
    norms = np.linalg.norm(weights, axis=1)
    random = np.random.default_rng([seed, 2])
    places = int(min(density.places, MOST_ENTRIES // max(1, count * count * len(REACHES))))
    found = [np.zeros((0, 3, dimension))]
    if dimension > 1 and places:
        tube = problem.epsilon if problem.readout is Readout.RELU else 0.0
        for i in np.flatnonzero(norms > 0.0):
            points, tilts = random.standard_normal((2, density.tries, dimension))
            slopes = np.tan(np.radians(random.uniform(0.0, STEEPEST, density.tries)))
            for reach in REACHES:
                step = reach * 4.0 * problem.epsilon / max(abs(outputs[i]) * norms[i], 1e-300)
                if step <= LONGEST:
                    centres, across = hardest_bends(
                        points, tilts, slopes, weights[i] / norms[i], step, LONGEST, problem.target, tube, weights,
                        outputs, outputs[i], places, density.apart,
                    ).swapaxes(0, 1)  # fmt: skip
                    found.append(np.stack((centres - across, centres, centres + across), axis=1))
    return np.concatenate(found)
