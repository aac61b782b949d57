"""The contract every search obeys.

The public `search` validates, times and re-checks; an algorithm writes `_search` and declares what it cannot do in
`refusal`. Nothing an algorithm claims is believed: a mask leaves here only with a certificate of its error.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from prunegap.certify import certify
from prunegap.model.errors import BadInputError
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Certificate, Finding, Outcome
from prunegap.model.problem import Problem


@dataclass(frozen=True)
class Budget:
    """What a search may spend: wall-clock `seconds` (None: no limit), `workers` threads, and its random `seed`."""

    seconds: float | None = None
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0.0:
            raise BadInputError(f"time limit {self.seconds}", "must be above 0 seconds", "use --time-limit 60")
        if self.workers < 1:
            raise BadInputError(f"workers {self.workers}", "must be at least 1", "use --workers 2")


class Deadline:
    """A budget that has started to run."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0; infinite without a limit."""
        if self.budget.seconds is None:
            return float("inf")
        return max(0.0, self.budget.seconds - self.elapsed)

    def part(self, share: float) -> Deadline:
        """Return a deadline that starts now and leaves out all but `share` of the time left, 0 < share <= 1."""
        if share >= 1.0 or self.budget.seconds is None:
            return self
        return Deadline(replace(self.budget, seconds=max(1e-3, share * self.remaining)))

    @property
    def expired(self) -> bool:
        """Whether the time is used up."""
        return self.remaining <= 0.0


class _Question:
    """A mask of a problem, equal to another that keeps the same weights."""

    def __init__(self, problem: Problem, mask: Mask) -> None:
        self.problem, self.mask = problem, mask
        self._key = problem, mask.kept_weights.tobytes()

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Question) and self._key == other._key


@lru_cache(maxsize=4)
def _certified(question: _Question) -> Certificate:
    return certify(question.problem, question.mask)


def certified(problem: Problem, mask: Mask) -> Certificate:
    """Return `certify(problem, mask)`; the last few answers are remembered, since a proof may take seconds at d > 3.

    Only for masks that keep v_i wherever they keep a weight, as Mask.from_rows makes them.
    """
    return _certified(_Question(problem, mask))


class Search(ABC):
    """An algorithm that finds a ticket, proves that there is none, or says that it could do neither in time."""

    name: ClassVar[str]
    finds_least: ClassVar[bool] = False
    """Whether `search` narrows the width itself: then one call at the greatest width answers for all."""
    growth: ClassVar[float] = 1.3
    """By which factor bracketing may widen the network after a proof of impossibility."""
    scout: Search | None = None
    """A finder of tickets in wide networks, for the upper end once this search leaves a width undecided."""

    @abstractmethod
    def refusal(self, problem: Problem) -> str | None:
        """Return why this search does not handle the problem (in its plain form), or None if it does."""

    @abstractmethod
    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        """Return what was found by the deadline; it may be called only where `refusal` is None."""

    def search(self, problem: Problem, budget: Budget | None = None, inputs: Matrix | None = None) -> Outcome:
        """Return the checked answer about `problem`.

        Guarantees: the mask, if any, obeys the granularity and carries a certificate of error <= epsilon; a claim of
        impossibility is the algorithm's proof in real arithmetic. `inputs` of shape (k, dimension) are directions
        learnt at another width. A granularity that is another one by this dimension is handled as that one.
        Raises BadInputError where the search refuses the problem.
        """
        problem = problem.plain
        if reason := self.refusal(problem):
            raise BadInputError(f"search {self.name}", reason, "leave the choice of the search to prunegap")
        deadline = Deadline(budget or Budget())
        finding = self._search(problem, deadline, inputs)
        mask, certificate, why = finding.mask, None, finding.reason
        if mask is not None:
            mask = mask if mask.width == problem.width else mask.resized(problem.width)
            if not problem.granularity.admits(mask):
                raise AssertionError(f"search {self.name} returned a mask that is not {problem.granularity}")
            certificate = certified(problem, mask)
            if not certificate.proves(problem.epsilon):
                mask, why = None, f"a candidate with error up to {certificate.error_upper:.6g} failed its certificate"
        return Outcome(
            width=problem.width,
            mask=mask,
            certificate=certificate,
            impossible_width=min(finding.impossible_width, problem.width),
            reason=why,
            search=self.name,
            seconds=deadline.elapsed,
            nodes=finding.nodes,
            inputs=finding.inputs,
        )
