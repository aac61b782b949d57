"""Counting: few masks cannot imitate many targets, whatever the network.

Let N be the number of functions that the masks of a network of width n leave, and let the target direction w* be
uniform on the sphere, independent of the network. If one function f is within epsilon of both g_w and g_w', then
||g_w - g_w'|| <= 2 epsilon. At x = (w - w') / ||w - w'|| or at -x, relu(<w, x>) and relu(<w', x>) differ by at least
||w - w'|| / 2, so ||w - w'|| <= 4 epsilon: each f serves targets within one cap of chord 4 epsilon only. So the
chance that any mask is a ticket is at most N times the share of that cap,

    P(ticket) <= N sigma(4 epsilon), sigma(r) = I_{s^2}((d - 1) / 2, 1 / 2) / 2, s = sin(2 arcsin(r / 2)).

It holds for either readout and for every network. This is a statement about most targets, not about one draw: it is
drawn beside the measurements, never used as the proven end of an interval.
"""

from __future__ import annotations

import math


def separable_choices(dimension: int) -> float:
    """Return log(d + 1): a neuron keeps one of its weights or none."""
    return math.log(dimension + 1.0)


def weight_choices(dimension: int) -> float:
    """Return d log 2: a neuron keeps any of its weights."""
    return dimension * math.log(2.0)


def log_cap(dimension: int, chord: float) -> float:
    """Return the logarithm of the share of the unit sphere in R^d within distance `chord` of one of its points.

    1/2 at d = 1 below the diameter, and 1 from a quarter turn on, which is an upper bound.
    """
    from scipy.special import betainc, betaln

    if chord >= math.sqrt(2.0):
        return 0.0
    if dimension == 1:
        return -math.log(2.0)
    square = chord**2 * (1.0 - chord**2 / 4.0)
    a = (dimension - 1) / 2.0
    share = float(betainc(a, 0.5, square))
    if share > 1e-280:
        return math.log(share / 2.0)
    # I_x(a, 1/2) <= x^a / (a B(a, 1/2) sqrt(1 - x)), for shares below the smallest double.
    log_square = 2.0 * math.log(chord) + math.log1p(-(chord**2) / 4.0)
    return float(a * log_square - math.log(a) - betaln(a, 0.5) - 0.5 * math.log1p(-square)) - math.log(2.0)


def counting_width(dimension: int, epsilon: float, choices: float, doubt: float = 0.5) -> int:
    """Return the width below which at most `doubt` of all targets have a ticket, in any network.

    `choices` is the logarithm of the number of ways to keep a neuron (`separable_choices`, `weight_choices`):
    n = ceil((log(doubt) - log sigma(4 epsilon)) / choices), at least 0. Grows as d log(1 / epsilon) / choices.
    """
    return max(0, math.ceil((math.log(doubt) - log_cap(dimension, 4.0 * epsilon)) / choices))


def estimated_separable_width(dimension: int, epsilon: float) -> float:
    """Return 2 d log(1 / epsilon) / log(d + 1): as many assignments as cells of size epsilon for 2d sums.

    An estimate, not a bound: it leaves out constants and the mass that the sums need.
    """
    return 2.0 * dimension * math.log(1.0 / epsilon) / math.log(dimension + 1.0)
