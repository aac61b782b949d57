"""Which searches there are, and which one answers a problem.

Names exist for the command line and for stored rows only; the library passes the objects around.
"""

from __future__ import annotations

import numpy as np

from prunegap.model.granularity import Neuron
from prunegap.model.problem import Problem
from prunegap.search.base import Search
from prunegap.search.fractional import FractionalBound
from prunegap.search.local import LocalSearch
from prunegap.search.portfolio import Portfolio
from prunegap.search.program import ZeroOneProgram
from prunegap.search.separable import SeparableSearch
from prunegap.search.sweep import PlaneSweep

PROGRAM = ZeroOneProgram()
SWEEP = PlaneSweep()
SEPARABLE = SeparableSearch()
# A few attempts cost milliseconds and settle the widths with room to spare, which are the hard ones for the program.
PORTFOLIO = Portfolio("portfolio", (SeparableSearch(attempts=2), PROGRAM))
# Beyond the program's reach tickets come from the separable form and proofs from fractions of neurons.
FRACTIONAL = FractionalBound()
BOUNDED = Portfolio("bounded", (SeparableSearch(attempts=2), FRACTIONAL))
LOCAL = LocalSearch()
# The program decides most widths at once; where it does not, tickets with room to spare are easier met by chance.
# Small steps, since proofs take twice the time for every few neurons more; wide ones once there is no proof in time.
NEURONS = Portfolio(
    "neurons", (PROGRAM, LocalSearch(restarts=7), PROGRAM, LOCAL), (0.15, 0.3, 0.7, 1.0), growth=1.12, scout=LOCAL
)

SEARCHES: dict[str, Search] = {
    PROGRAM.name: PROGRAM,
    SWEEP.name: SWEEP,
    SEPARABLE.name: SEPARABLE,
    PORTFOLIO.name: PORTFOLIO,
    FRACTIONAL.name: FRACTIONAL,
    BOUNDED.name: BOUNDED,
    LOCAL.name: LOCAL,
    NEURONS.name: NEURONS,
}

MOST_SUPPORTS = 7
"""Supports a row up to which the exact program is the choice: every subset of three weights."""

MOST_BOUNDED = 6
"""Dimension up to which the linear program over all supports costs less than it proves."""

WIDE_TUBE = 0.04
"""Part of the target's norm: above it the tube hardly prunes the sweep, and the 0-1 program is quick."""


def choose(problem: Problem) -> Search:
    """Return the search that is best at this problem: an exact one where it is within reach."""
    if isinstance(problem.granularity, Neuron) and SWEEP.refusal(problem) is None:
        wide = problem.epsilon > WIDE_TUBE * float(np.linalg.norm(problem.target))
        return PROGRAM if wide else SWEEP
    if isinstance(problem.granularity, Neuron) and problem.dimension > 2:
        return NEURONS
    # At d = 1 every granularity is the same question and gets the same search (F8).
    if problem.dimension == 1 or SEPARABLE.refusal(problem) is not None:
        return PROGRAM
    if 2**problem.dimension - 1 <= MOST_SUPPORTS:
        return PORTFOLIO
    return BOUNDED if problem.dimension <= MOST_BOUNDED else SEPARABLE
