"""Which searches there are, and which one answers a problem.

Names exist for the command line and for stored rows only; the library passes the objects around.
"""

from __future__ import annotations

from prunegap.model.problem import Problem
from prunegap.search.base import Search
from prunegap.search.program import ZeroOneProgram

PROGRAM = ZeroOneProgram()

SEARCHES: dict[str, Search] = {
    PROGRAM.name: PROGRAM,
}


def choose(problem: Problem) -> Search:
    """Return the search that is best at this problem."""
    return PROGRAM
