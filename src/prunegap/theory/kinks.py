"""Kinks: a whole neuron bends p along its hyperplane, and only another kink nearby can mend that.

Let neuron i be kept, kappa_i = v_i ||w_i||, u = w_i / ||w_i||, and x a unit vector on its hyperplane. If no other
kept kink crosses the arc of half-length h through x along u, then p(x_+) + p(x_-) - 2 cos h p(x) = kappa_i sin h at
the ends x_+, x_- of the arc. Where the target is linear on the arc and the error bounded on both sides, the left
side is at most 4 epsilon; so sin h = 4 epsilon / |kappa_i| leads to a contradiction. With x the point of the
hyperplane nearest w*, the mass of the neurons that may be kept has the expectation at most

    n epsilon (A (n - 1) + B),   A, B by initialisation and dimension,

and a ticket needs mass 1 - epsilon: N >= c / sqrt(epsilon) with a known c, for every d >= 2 and either readout.
Weaker than the published order 1/epsilon, since neurons of strength near 0 are excluded late, but every constant is
proven.

With a linear readout the target's own kink must be met: N >= c / epsilon, with a known c. Proofs: docs/theory.md, K
and L.
"""

from __future__ import annotations

import math

from prunegap.model.draw import Initialisation


def crossing_chance(dimension: int, half_length: float, initialisation: Initialisation) -> float:
    """Return at least the chance that the hyperplane of a random neuron crosses a given arc of length 2 h, h < pi /
    2.

    normal: 2 h / pi, exactly, by invariance under rotation. uniform: sqrt(2 d) tan h, since |<w, x>| <= tan h |<w,
    u>| there and the density of <w, x> is at most 1 / sqrt 2 (K. Ball, Cube slicing in R^n, 1986).
    """
    if initialisation is Initialisation.NORMAL:
        return min(1.0, 2.0 * half_length / math.pi)
    return min(1.0, math.sqrt(2.0 * dimension) * math.tan(half_length))


def kink_terms(dimension: int, initialisation: Initialisation) -> tuple[float, float]:
    """Return A and B of the bound n epsilon (A (n - 1) + B) on the expected mass of the neurons that may be kept."""
    root = math.sqrt(dimension)
    if initialisation is Initialisation.NORMAL:
        return 8.0 / 3.0, 8.0 + 8.0 / 3.0 + math.sqrt(2.0 / math.pi) * root
    side = math.sqrt(2.0) * root
    return side * 8.0 / math.sqrt(3.0), 8.0 + side * (4.0 + root / 2.0)


def kink_width(dimension: int, epsilon: float, initialisation: Initialisation, doubt: float = 0.5) -> int:
    """Return the least width at which more than `doubt` of all draws can have a neuron ticket, d >= 2, any readout.

    The least n with n epsilon (A (n - 1) + B) >= doubt (1 - epsilon). Grows as epsilon^-1/2.
    """
    if epsilon >= 1.0:
        return 0
    a, b = kink_terms(dimension, initialisation)
    needed = doubt * (1.0 - epsilon) / epsilon
    # a n^2 + (b - a) n = needed
    half = (b - a) / (2.0 * a)
    return max(1, math.ceil(math.sqrt(half**2 + needed / a) - half))


def linear_readout_width(dimension: int, epsilon: float, initialisation: Initialisation, doubt: float = 0.5) -> int:
    """Return the least width at which more than `doubt` of all draws can have a ticket under a linear readout, d >=
    2.

    Some kept whole row must cross an arc of half-length arcsin(4 epsilon) through any one point of the target's own
    kink: n >= doubt / P(crossing). Grows as 1 / epsilon; 0 from epsilon = 1/4 on.
    """
    if epsilon >= 0.25:
        return 0
    return math.ceil(doubt / crossing_chance(dimension, math.asin(4.0 * epsilon), initialisation))
