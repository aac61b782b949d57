"""The minimal width of a cell, as a proven interval (lower, upper].

The draw is nested, so the least width that holds a ticket is well defined: no ticket at `lower` (proof), a verified
ticket at `upper`. The network is widened until a ticket turns up, then the widest gap left is bisected. Every answer
moves both ends by all that it proves: a ticket is as narrow as its last living row. Running out of time or width
leaves the interval open, never a guess in its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from prunegap.certify import certify
from prunegap.model.errors import BadInputError
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Certificate, Outcome, Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Deadline, Search
from prunegap.study.cell import Cell
from prunegap.study.find import Chooser, registered
from prunegap.study.ticket import Ticket

SCOUT_STEP = 16
SCOUT_FINENESS = 1.1
"""Factors over what is excluded, or was tried, at which a ticket is looked for without a proof: first, last."""

RETRIALS = 3
"""How often widths tried in vain are tried again, where time is left."""
SWEEP_SHARE = 0.85
"""Part of a cell's time for a search that finds the least width itself; the rest is its scout's, if it needs one."""
CLEARLY_LESS = 0.999
"""An epsilon below so much of the target's norm in floats is below the norm."""
LEAST_SHARE = 0.01
"""A cell stops where less than this part of its time is left."""


class WidthStatus(StrEnum):
    """closed: the minimal width is known; open: an interval of several; censored: no ticket was found at all."""

    CLOSED = "closed"
    OPEN = "open"
    CENSORED = "censored"

    @classmethod
    def of(cls, lower: int, upper: int | None) -> WidthStatus:
        """Return the status of the interval (lower, upper]."""
        if upper is None:
            return cls.CENSORED
        return cls.CLOSED if upper - lower == 1 else cls.OPEN


@dataclass(frozen=True)
class Effort:
    """How hard to try one cell: `seconds` of wall clock (None: no limit) and the greatest width.

    Raises BadInputError unless seconds > 0 and max_width >= 1.
    """

    seconds: float | None = 60.0
    max_width: int = 4096

    def __post_init__(self) -> None:
        Budget(self.seconds)
        if self.max_width < 1:
            raise BadInputError(f"max width {self.max_width}", "must be at least 1", "use --max-width 4096")


@dataclass(frozen=True, eq=False)
class WidthInterval:
    """What is proven about a cell: its minimal width lies in (lower, upper].

    `lower` -1 says that nothing is excluded; `upper` None that no ticket was found. `mask` (at width `upper`) and
    `certificate` are present exactly when `upper` is. `reason` says what
    the lower end rests on, and why an open interval stayed open.
    """

    cell: Cell
    lower: int = -1
    upper: int | None = None
    mask: Mask | None = None
    certificate: Certificate | None = None
    seconds: float = 0.0
    searches: tuple[str, ...] = ()
    reason: str = ""

    @property
    def status(self) -> WidthStatus:
        """closed, open or censored."""
        return WidthStatus.of(self.lower, self.upper)

    @property
    def ticket(self) -> Ticket | None:
        """The narrowest ticket found, in the network of width `upper`."""
        if self.upper is None or self.mask is None or self.certificate is None:
            return None
        return Ticket(self.cell.problem(self.upper), self.mask, self.certificate.error_upper, self.cell.draw)


def _one_thread() -> int:
    return 1


def _tell_nobody(_: WidthInterval) -> None:
    pass


@dataclass(frozen=True)
class Overseer:
    """Who looks on while a cell is measured: `threads` says how many threads the next question may use, and
    `narrowed` is told every interval that is narrower than the last."""

    threads: Callable[[], int] = _one_thread
    narrowed: Callable[[WidthInterval], None] = _tell_nobody


ALONE = Overseer()
"""Nobody looks on; one thread."""


class _Bracket:
    """The interval while it shrinks, with the widths inside it that were tried in vain."""

    def __init__(self, known: WidthInterval) -> None:
        self.cell = known.cell
        self.lower, self.upper = known.lower, known.upper
        self.mask, self.certificate = known.mask, known.certificate
        self.searches = list(known.searches)
        self.reason = known.reason
        self._tried: set[int] = set()

    def narrow(self, mask: Mask, certificate: Certificate) -> None:
        """Take in a verified ticket."""
        if self.upper is None or mask.least_width < self.upper:
            self.upper = mask.least_width
            self.mask, self.certificate = mask.resized(self.upper), certificate
        self._check()

    def merge(self, outcome: Outcome) -> None:
        """Take in everything that the outcome proves."""
        self._tried.add(outcome.width)
        if outcome.impossible_width > self.lower or outcome.status is Status.UNDECIDED:
            self.reason = outcome.reason
        self.lower = max(self.lower, outcome.impossible_width)
        if outcome.search not in self.searches:
            self.searches.append(outcome.search)
        if outcome.mask is not None and outcome.certificate is not None:
            self.narrow(outcome.mask, outcome.certificate)
        self._check()

    def _check(self) -> None:
        if self.upper is not None and self.lower >= self.upper:
            found = f"a ticket of width {self.upper} contradicts a proof of none at width {self.lower}"
            raise AssertionError(f"{self.cell}: {found} (searches: {', '.join(self.searches)})")

    def next_width(self, start: int, growth: float, max_width: int, creep: bool = False) -> int | None:
        """Return the width to try next, or None where nothing is left to try.

        Without a ticket the network is widened; where widths were tried in vain, every other step looks for a proof
        below them instead. With a ticket the widest gap is bisected; but where proofs get dear with every neuron
        (`creep`) every other step stays within `growth` of what is excluded.
        """
        tried = sorted(n for n in self._tried if self.lower < n and (self.upper is None or n < self.upper))
        edges = [self.lower, *tried] if self.upper is None else [self.lower, *tried, self.upper]
        below, above = max(pairwise(edges), key=lambda edge: edge[1] - edge[0], default=(0, 0))
        middle = (below + above) // 2 if above - below > 1 else None
        widest = edges[-1]
        if self.upper is None and widest < max_width and (len(tried) % 2 == 1 or not tried or middle is None):
            return min(max_width, max(start, widest + 1, math.ceil(growth * widest)))
        near = min(edges[1], math.ceil(growth * growth * self.lower)) if len(edges) > 1 else self.lower
        if creep and len(tried) % 2 == 0 and near - self.lower > 1:
            return (self.lower + near) // 2
        return middle

    def forget(self) -> None:
        """Forget which widths were tried in vain."""
        self._tried.clear()

    def share(self, remaining: float) -> float:
        """Return how much of the remaining time the next width may take: all of it where it is the last question."""
        last = self.upper is not None and self.upper - self.lower == 2
        return remaining if last else remaining / 2.0

    def interval(self, seconds: float, stopped: str = "") -> WidthInterval:
        """Return the interval as it stands after `seconds`."""
        return WidthInterval(
            self.cell,
            self.lower,
            self.upper,
            self.mask,
            self.certificate,
            seconds,
            tuple(self.searches),
            "; ".join(filter(None, (stopped, self.reason))),
        )


def minimal_width(
    cell: Cell,
    effort: Effort | None = None,
    known: WidthInterval | None = None,
    choose: Chooser = registered,
    overseer: Overseer = ALONE,
) -> WidthInterval:
    """Return the minimal width of a cell as a proven interval (lower, upper].

    Guarantees what WidthInterval says, and that the interval lies within `known`, what an earlier call has proven.
    `choose` gives the search for a problem (default: the registry). Raises BadInputError where no search handles it.
    """
    effort, known = effort or Effort(), known or WidthInterval(cell)
    run = _Run(_Bracket(known), effort, Deadline(Budget(effort.seconds)), choose, overseer, known.seconds)
    if run.bracket.upper is None and run.bracket.lower < 0:
        _try_empty(run.bracket, cell)
    stopped = _shrink(run)
    return run.bracket.interval(run.seconds, stopped)


@dataclass
class _Run:
    """One call of minimal_width: the bracket, what may be spent on it and who looks on."""

    bracket: _Bracket
    effort: Effort
    deadline: Deadline
    choose: Chooser
    overseer: Overseer
    before: float

    @property
    def seconds(self) -> float:
        """Seconds spent on the cell, earlier calls included."""
        return self.before + self.deadline.elapsed

    def ask(self, search: Search, problem: Problem, seconds: float | None, inputs: Matrix | None = None) -> Outcome:
        """Return the search's answer about one width, with the threads that are free now."""
        return search.search(problem, Budget(seconds, self.overseer.threads()), inputs)

    def merge(self, outcome: Outcome) -> None:
        """Take in everything that the outcome proves, and pass it on where it is news."""
        before = self.bracket.lower, self.bracket.upper
        self.bracket.merge(outcome)
        if (self.bracket.lower, self.bracket.upper) != before:
            self.overseer.narrowed(self.bracket.interval(self.seconds))


def _try_empty(bracket: _Bracket, cell: Cell) -> None:
    """Ask about width 0: the empty ticket has error ||w*||."""
    if cell.epsilon < CLEARLY_LESS * np.linalg.norm(cell.draw.target()):
        bracket.lower = 0
        return
    problem, empty = cell.problem(0), Mask.of_neurons([], 0, cell.dimension)
    certificate = certify(problem, empty)
    if certificate.proves(problem.epsilon):
        bracket.reason = "the empty ticket is good enough"
        bracket.narrow(empty, certificate)
    elif certificate.refutes(problem.epsilon):
        bracket.lower = 0


def _shrink(run: _Run) -> str:
    """Narrow the bracket until it is closed or the effort is spent; return why it stayed open, or nothing."""
    bracket, effort, deadline = run.bracket, run.effort, run.deadline
    cell = bracket.cell
    widest = cell.problem(effort.max_width if bracket.upper is None else max(0, bracket.upper - 1))
    if (search := run.choose(widest)).finds_least and widest.width > bracket.lower:
        scout = search.scout if bracket.upper is None else None
        spared = effort.seconds is not None and scout is not None
        run.merge(run.ask(search, widest, deadline.part(SWEEP_SHARE if spared else 1.0).budget.seconds))
        reached = bracket.upper is None and bracket.lower >= effort.max_width
        if spared and scout is not None and bracket.upper is None and not reached:
            _scout(run, scout, deadline)
        return f"greatest width {effort.max_width} reached" if reached else ""
    start, growth, creep, retrials = 4 * cell.dimension, Search.growth, False, RETRIALS
    inputs: Matrix | None = None
    while WidthStatus.of(bracket.lower, bracket.upper) is not WidthStatus.CLOSED:
        width = bracket.next_width(start, growth, effort.max_width, creep)
        if width is None and bracket.upper is not None and effort.seconds is not None and retrials > 0:
            # Every width in between was tried with a part of what is left now: once more, from the middle.
            bracket.forget()
            retrials -= 1
            continue
        if width is None and bracket.upper is None:
            return f"greatest width {effort.max_width} reached"
        if width is None:
            return "every width in between was tried in vain"
        seconds = None
        if effort.seconds is not None:
            if deadline.remaining <= LEAST_SHARE * effort.seconds:
                return f"time limit of {effort.seconds:g} s reached"
            seconds = bracket.share(deadline.remaining)
        problem = cell.problem(width)
        search = run.choose(problem)
        if seconds is not None and search.scout is not None and bracket.upper is None:
            seconds /= 1.5  # leaves the scout as much as this width may take
        outcome = run.ask(search, problem, seconds, inputs)
        growth, creep = search.growth, search.scout is not None
        inputs = inputs if outcome.inputs is None else outcome.inputs
        run.merge(outcome)
        if outcome.status is Status.UNDECIDED:
            if bracket.upper is None:
                growth = max(growth, Search.growth)
            if search.scout is not None and bracket.upper is None and effort.seconds is not None:
                _scout(run, search.scout, deadline.part(0.5))
    return ""


def _scout(run: _Run, scout: Search, deadline: Deadline) -> None:
    """Look for a ticket in a very wide network, then in narrower ones; what is not found says nothing."""
    bracket, max_width = run.bracket, run.effort.max_width
    failed = max(1, bracket.lower)
    width = min(max_width, SCOUT_STEP * max(4 * bracket.cell.dimension, failed))
    while not deadline.expired:
        problem = bracket.cell.problem(width)
        outcome = run.ask(scout, problem, max(1e-3, deadline.remaining / 2.0))
        if outcome.mask is None:
            failed = width
        else:
            run.merge(outcome)
        if bracket.upper is None:
            following = min(max_width, 4 * width)
        else:
            following = math.isqrt(failed * bracket.upper) if bracket.upper > SCOUT_FINENESS * failed else failed
        if following in (failed, width):
            return
        width = following
