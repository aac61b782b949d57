"""The oracle as a search: brute force over every mask of a small network, importable by worker processes."""

from __future__ import annotations

import os
import time
from typing import ClassVar

import oracles
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search

GATE = "PRUNEGAP_TEST_GATE"
"""Environment variable: the file that gated searches wait for."""

GATED_FROM = 0.35
"""The epsilon from which gated searches wait."""


class BruteForce(Search):
    """Decides any network that is small enough to try every mask."""

    name: ClassVar[str] = "brute-force"

    def refusal(self, problem: Problem) -> str | None:
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        least = oracles.least_error(problem)
        if least.upper <= problem.epsilon:
            return Finding(mask=least.mask)
        return Finding(
            impossible_width=problem.width if least.lower > problem.epsilon else -1, reason="all masks fail"
        )


class Gated(BruteForce):
    """Waits for a file at every large epsilon, so that a test can kill what is in flight."""

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        while problem.epsilon >= GATED_FROM and not os.path.exists(os.environ[GATE]):
            time.sleep(0.02)
        return super()._search(problem, deadline, inputs)


class Forbidden(BruteForce):
    """Must never be asked."""

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        raise AssertionError(f"asked about epsilon {problem.epsilon} at width {problem.width}")


def choose(problem: Problem) -> Search:
    """Return the brute-force search for any problem."""
    return BruteForce()


def choose_gated(problem: Problem) -> Search:
    """Return the search that waits."""
    return Gated()


def choose_forbidden(problem: Problem) -> Search:
    """Return the search that must not run."""
    return Forbidden()
