"""Which searches there are, and which one answers a problem.

Names exist for the command line and for stored rows only; the library passes the objects around.
"""

from __future__ import annotations

import numpy as np

from prunegap.model.granularity import Neuron
from prunegap.model.network import Readout
from prunegap.model.problem import Problem
from prunegap.search.base import Search
from prunegap.search.climb import NeuronClimb
from prunegap.search.climb_ball import NeuronClimbBall
from prunegap.search.fractional import FractionalBound
from prunegap.search.hunt import TicketHunt
from prunegap.search.line import LineSums
from prunegap.search.local import LocalSearch
from prunegap.search.planes import PlaneTickets
from prunegap.search.portfolio import Portfolio
from prunegap.search.program import ZeroOneProgram
from prunegap.search.separable import SeparableSearch
from prunegap.search.signs import SignClasses
from prunegap.search.slices import InputSlices, slices_of
from prunegap.search.sweep import PlaneSweep
from prunegap.search.target_kink import TargetKink

WIDE_TUBE = 0.04
"""Part of the target's norm: above it planes say little about blocks."""

CLIMBED_TUBE = {Readout.RELU: 0.015, Readout.LINEAR: 0.025}
"""The same: above it the tube hardly prunes the half circles of the sweep, while branching takes few nodes."""

FINE_TUBE = 0.004
"""The same for weights: below it few rows of several weights can be in a ticket, and lists of single ones decide."""

LINE = LineSums()
PROGRAM = ZeroOneProgram()
LOCAL = LocalSearch()
SWEEP = PlaneSweep(scout=LOCAL)
CLIMB = NeuronClimb(scout=LOCAL)
BALL = NeuronClimbBall()
HUNT = TicketHunt()
SEPARABLE = SeparableSearch()
SIGNS = SignClasses()
TARGET_KINK = TargetKink()
# A few attempts cost milliseconds and settle the widths with room to spare, which are the hard ones for the program.
PORTFOLIO = Portfolio("portfolio", (TARGET_KINK, SeparableSearch(attempts=2), PROGRAM))
# At small epsilon lists settle all widths up to the narrowest ticket sooner than an attempt in vain takes.
FINE_PLANE = Portfolio("fine-plane", (SIGNS, SeparableSearch(attempts=2), PROGRAM), (0.6, 0.5, 1.0))
FRACTIONAL = FractionalBound()


def _is_fine(problem: Problem) -> bool:
    return problem.epsilon <= FINE_TUBE * float(np.linalg.norm(problem.target))


def exact(problem: Problem) -> Search:
    """Return the exact search for a problem: sign classes, climb or sweep of a plane, else the 0-1 program."""
    if _is_fine(problem) and SIGNS.refusal(problem) is None:
        return SIGNS
    is_wide = problem.epsilon > CLIMBED_TUBE[problem.readout] * float(np.linalg.norm(problem.target))
    plane = CLIMB if is_wide else SWEEP
    return plane if plane.refusal(problem) is None else PROGRAM


def _is_swept(problem: Problem) -> bool:
    narrow = problem.epsilon <= WIDE_TUBE * float(np.linalg.norm(problem.target))
    return narrow and exact(problem) in (SWEEP, CLIMB)


SLICES = InputSlices(exact)
# The program decides most widths at once; where it does not, tickets with room to spare are easier met by chance.
# Small steps, since proofs take twice the time for every few neurons more; wide ones once there is no proof in time.
NEURONS = Portfolio(
    "neurons", (PROGRAM, LocalSearch(restarts=7), PROGRAM, LOCAL), (0.15, 0.3, 0.7, 1.0), growth=1.12, scout=LOCAL
)
# Slices prove in a second what costs the program minutes; single weights make tickets at small epsilon, rows with
# several weights at wide ones. An attempt in vain costs less than the program would.
MIXED = Portfolio(
    "mixed",
    (SLICES, SeparableSearch(attempts=2), LocalSearch(restarts=4), PROGRAM, SEPARABLE, LOCAL),
    (0.2, 0.3, 0.3, 0.7, 0.5, 1.0),
    scout=SEPARABLE,
)
# At small epsilon single weights decide: proofs and, at d = 3 and 4, the narrowest ticket itself.
TRIPLES = InputSlices(exact, 3)
FINE = Portfolio(
    "fine",
    (SeparableSearch(attempts=2), SLICES, SIGNS, TRIPLES, SEPARABLE),
    (0.4, 0.25, 0.4, 0.5, 1.0),
    scout=SEPARABLE,
)
# Two planes, each met on its whole circle, make tickets of blocks at any epsilon; at wide ones local search is ahead.
PLANES = PlaneTickets()
BLOCK_SCOUT = Portfolio("block-scout", (PlaneTickets(attempts=6), LOCAL))
# The same where single weights are not enough: blocks, and the kink that a linear readout keeps.
SLICED = Portfolio(
    "sliced",
    (TARGET_KINK, SLICES, PROGRAM, PlaneTickets(attempts=3), LocalSearch(restarts=7), PROGRAM, LOCAL),
    (1.0, 0.3, 0.15, 0.3, 0.3, 0.7, 1.0),
    growth=1.12,
    scout=BLOCK_SCOUT,
)
# Where the sweep answers the slices of a block, it proves more than any program, and wider networks at no more cost;
# tickets are too narrow there for local search, but for a linear readout, which planes refuse.
SWEPT = Portfolio(
    "swept",
    (SLICES, PlaneTickets(attempts=6), PROGRAM, PLANES, LOCAL),
    (0.7, 0.5, 0.2, 0.7, 1.0),
    growth=1.5,
    scout=BLOCK_SCOUT,
)

SEARCHES: dict[str, Search] = {
    LINE.name: LINE,
    PROGRAM.name: PROGRAM,
    SWEEP.name: SWEEP,
    CLIMB.name: CLIMB,
    BALL.name: BALL,
    SEPARABLE.name: SEPARABLE,
    PORTFOLIO.name: PORTFOLIO,
    FRACTIONAL.name: FRACTIONAL,
    LOCAL.name: LOCAL,
    HUNT.name: HUNT,
    NEURONS.name: NEURONS,
    SLICES.name: SLICES,
    PLANES.name: PLANES,
    BLOCK_SCOUT.name: BLOCK_SCOUT,
    MIXED.name: MIXED,
    SIGNS.name: SIGNS,
    TARGET_KINK.name: TARGET_KINK,
    FINE.name: FINE,
    FINE_PLANE.name: FINE_PLANE,
    SLICED.name: SLICED,
    SWEPT.name: SWEPT,
}

MOST_MIXED = 6
"""Dimension up to which proofs go further than the mass, which is all that the separable search looks at."""


def choose(problem: Problem) -> Search:
    """Return the search that is best at this problem: an exact one where it is within reach."""
    problem = problem.plain
    if problem.dimension == 1:
        # Every granularity is the same question here and gets the same search (F8).
        return LINE
    if isinstance(problem.granularity, Neuron):
        return exact(problem) if problem.dimension == 2 else BALL
    if problem.dimension == 2:
        return FINE_PLANE if exact(problem) is SIGNS else PORTFOLIO
    if SEPARABLE.refusal(problem) is not None:
        return SWEPT if any(_is_swept(part) for part in slices_of(problem)) else SLICED
    if problem.dimension > MOST_MIXED:
        return SEPARABLE
    return FINE if _is_fine(problem) else MIXED
