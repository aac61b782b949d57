"""Searches that misbehave as native code does: they ignore their deadline, die, or merely take their time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from brute import BruteForce

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Certificate, Finding, Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Deadline, Search

ROOM = "PRUNEGAP_TEST_ROOM"
"""Environment variable: a directory in which searches leave notes."""
PAUSE = "PRUNEGAP_TEST_PAUSE"
"""Environment variable: seconds that a question takes."""


class Slow(Search):
    """Knows that the first row whose v is above 0.5 is the ticket; every question takes PAUSE seconds."""

    name: ClassVar[str] = "slow"
    finds_least: ClassVar[bool] = True

    def refusal(self, problem: Problem) -> str | None:
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        raise NotImplementedError

    def search(self, problem: Problem, budget: Budget | None = None, inputs: Matrix | None = None) -> Outcome:
        time.sleep(float(os.environ.get(PAUSE, "0")))
        return self.answer(problem, budget or Budget())

    def answer(self, problem: Problem, budget: Budget) -> Outcome:
        """Return that nothing up to width 3 is a ticket, as a proof would."""
        return Outcome(problem.width, None, None, problem.width, "slow proof", self.name, 0.0)


class Deaf(Slow):
    """Proves that width 5 is impossible and then ignores its deadline, deaf to every signal that can be ignored."""

    name: ClassVar[str] = "deaf"
    finds_least: ClassVar[bool] = False

    def answer(self, problem: Problem, budget: Budget) -> Outcome:
        if problem.width <= 4 * problem.dimension:
            return super().answer(problem, budget)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60.0)


class Dying(Slow):
    """Kills its own process, as the kernel does when memory runs out: once for each cell, or always for seed 13."""

    name: ClassVar[str] = "dying"

    def answer(self, problem: Problem, budget: Budget) -> Outcome:
        note = Path(os.environ[ROOM]) / f"died-{problem.epsilon}-{problem.target.tobytes().hex()}"
        if problem.epsilon > 0.7 or not note.exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().answer(problem, budget)


class Threaded(Slow):
    """Tells with how many threads it was asked, and takes three seconds over three questions."""

    name: ClassVar[str] = "threaded"
    finds_least: ClassVar[bool] = False

    def answer(self, problem: Problem, budget: Budget) -> Outcome:
        with (Path(os.environ[ROOM]) / f"threads-{problem.epsilon}").open("a") as file:
            file.write(f"{budget.workers}\n")
        if problem.width >= 40:
            mask = Mask.of_neurons([39], problem.width, problem.dimension)
            proof = Certificate(0.0, problem.epsilon, "scripted", tuple(np.ones(problem.dimension)))
            return Outcome(problem.width, mask, proof, 39, "", self.name, 0.0)
        return super().answer(problem, budget)


class Paused(BruteForce):
    """Brute force with a pause before every question."""

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        time.sleep(float(os.environ.get(PAUSE, "0")))
        return super()._search(problem, deadline, inputs)


def paused(problem: Problem) -> Search:
    return Paused()


def slow(problem: Problem) -> Search:
    return Slow()


def deaf(problem: Problem) -> Search:
    return Deaf()


def dying(problem: Problem) -> Search:
    return Dying()


def threaded(problem: Problem) -> Search:
    return Threaded()


class Noted(Slow):
    """Leaves a line for every question, with the process that was asked."""

    name: ClassVar[str] = "noted"

    def answer(self, problem: Problem, budget: Budget) -> Outcome:
        with (Path(os.environ[ROOM]) / "asked").open("a") as file:
            file.write(f"{os.getpid()} {problem.epsilon} {hash(problem.network.weights.tobytes())}\n")
        return super().answer(problem, budget)


def noted(problem: Problem) -> Search:
    return Noted()
