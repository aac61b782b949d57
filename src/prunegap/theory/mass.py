"""Mass: a narrow network cannot even reach the height of the target.

A ticket has p(w*) >= 1 - epsilon at the target's own direction, and whatever is kept, p(w*) is at most the sum of
relu(v_i) relu(<w_i, w*>) over whole neurons, or of relu(v_i) sum_j relu(W_ij w*_j) over weights. By Markov's
inequality

    P(ticket at width n) <= n E[mass of one neuron] / (1 - epsilon).

`search/mass.py` asks the same of one given network, where it is a proof for that draw. Proof: docs/theory.md, M.
"""

from __future__ import annotations

import math

from prunegap.model.draw import Initialisation


def weight_mass(dimension: int, initialisation: Initialisation) -> float:
    """Return sqrt(d) E[relu(v)] E[relu(W)], at least what a neuron can add at w* when any of its weights may go."""
    one = 0.25 if initialisation is Initialisation.UNIFORM else 1.0 / math.sqrt(2.0 * math.pi)
    return math.sqrt(dimension) * one**2


def neuron_mass(initialisation: Initialisation) -> float:
    """Return at least E[relu(v)] E[relu(<w, w*>)]: what a whole neuron can add at w*, in any dimension."""
    if initialisation is Initialisation.UNIFORM:
        # E|<w, w*>| <= sqrt(E <w, w*>^2) = 1 / sqrt 3.
        return 0.25 * 0.5 / math.sqrt(3.0)
    return 1.0 / (2.0 * math.pi)


def mass_width(epsilon: float, mass: float, doubt: float = 0.5) -> int:
    """Return the least width at which more than `doubt` of all draws can have a ticket, doubt (1 - eps) / mass."""
    return max(0, math.ceil(doubt * (1.0 - epsilon) / mass))
