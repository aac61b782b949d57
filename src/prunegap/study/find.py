"""The one question about one network, answered by whatever search is best at it."""

from __future__ import annotations

from collections.abc import Callable

from prunegap.model.outcome import Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Search

Chooser = Callable[[Problem], Search]


def registered(problem: Problem) -> Search:
    """Return the registry's choice; the engines behind it are imported only now."""
    from prunegap.search.registry import choose

    return choose(problem)


def find_ticket(problem: Problem, budget: Budget | None = None) -> Outcome:
    """Return a certified ticket, a proof that there is none, or neither within the budget.

    Guarantees what Outcome says. Raises BadInputError where no search handles the problem.
    """
    return registered(problem).search(problem, budget)
