"""Times of calls that are measured in turns, so that whatever slows the machine down slows all of them.

A median of n independent times lies between two of their order statistics with a chance that holds for every
distribution: the ranks are the 2.5 % and 97.5 % quantiles of Binomial(n, 1/2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LEAST_SECONDS = 2e-4
"""One timed turn lasts at least this long: shorter calls are repeated inside it."""


@dataclass(frozen=True)
class Span:
    """A median with its distribution-free 95 % interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Span:
        """Return median and interval of at least one value; with fewer than six the interval is the whole range."""
        ordered = sorted(values)
        rank = _low_rank(len(ordered))
        return cls(median(ordered), ordered[rank], ordered[len(ordered) - 1 - rank])

    def under(self, whole: float) -> Span:
        """Return `whole` divided by what this spans: seconds from speed-ups."""
        return Span(whole / self.median, whole / self.high, whole / self.low)


def _low_rank(count: int) -> int:
    """Return the greatest k with P(Binomial(count, 1/2) < k) <= 0.025, as an index from 0."""
    from scipy.stats import binom

    return max(0, int(binom.ppf(0.025, count, 0.5)) - 1)


def calls_per_turn(call: Callable[[], object], warm_up: float, least: float = LEAST_SECONDS) -> int:
    """Return how many calls make a turn of `least` seconds, once `warm_up` seconds (at least 3 calls) are over."""
    took: list[float] = []
    end = time.perf_counter() + warm_up
    while len(took) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return max(1, round(least / max(min(took), 1e-9)))


def timed_turn(call: Callable[[], object], calls: int) -> float:
    """Return the seconds of one call, averaged over one turn."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def timed_in_turns(
    calls: Mapping[str, Callable[[], object]], turns: int = 15, warm_up: float = 0.01
) -> dict[str, list[float]]:
    """Return the seconds of every call, one number a turn; all calls take their turns one after the other.

    Each turn begins with a call that is not timed: what the call before left in the caches is not its fault.
    """
    counts = {name: calls_per_turn(call, warm_up) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            call()
            seconds[name].append(timed_turn(call, counts[name]))
    return seconds
