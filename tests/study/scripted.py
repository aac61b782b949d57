"""A search that answers from a script, so that the laws of bracketing can be told from the luck of an algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix
from prunegap.model.outcome import Certificate, Finding, Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Deadline, Search


@dataclass
class Scripted(Search):
    """Knows that the minimal width is `least`; it finds from `finds_from` on and proves up to `proves_to`."""

    least: int
    finds_from: int = 0
    proves_to: int = 10**9
    asked: list[int] = field(default_factory=list)
    offered: list[float | None] = field(default_factory=list)
    given: list[Matrix | None] = field(default_factory=list)
    name: ClassVar[str] = "scripted"

    def refusal(self, problem: Problem) -> str | None:
        return None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        raise NotImplementedError

    def search(self, problem: Problem, budget: Budget | None = None, inputs: Matrix | None = None) -> Outcome:
        width = problem.width
        self.asked.append(width)
        self.offered.append(None if budget is None else budget.seconds)
        self.given.append(inputs)
        mask = certificate = None
        impossible = -1
        if width >= max(self.least, self.finds_from):
            mask = Mask.of_neurons([self.least - 1], width, problem.dimension)
            certificate = Certificate(0.0, problem.epsilon, "scripted", (1.0,) * problem.dimension)
        elif width < self.least and width <= self.proves_to:
            impossible = width
        learnt = np.full((1, problem.dimension), float(width))
        return Outcome(width, mask, certificate, impossible, f"asked {width}", self.name, 0.0, 1, learnt)

    def __call__(self, problem: Problem) -> Search:
        return self
