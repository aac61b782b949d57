"""Several searches one after the other: cheap finders first, the exact one last, and everything proven is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search, certified


@final
class Portfolio(Search):
    """Runs `members` in order, but for those that refuse the problem, until one settles the width.

    Exact where a member is. Each member may use the part of the time left that `shares` gives it (default: all
    of it), so members with share 1 before the last should bound themselves.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Search],
        shares: Sequence[float] | None = None,
        growth: float = Search.growth,
        scout: Search | None = None,
    ) -> None:
        self.name = name  # type: ignore[misc]
        self.members = tuple(members)
        self.shares = tuple(shares or (1.0,) * len(self.members))
        self.growth = growth  # type: ignore[misc]
        self.scout = scout

    def refusal(self, problem: Problem) -> str | None:
        """Return the last member's reason where every member refuses."""
        reasons = [member.refusal(problem) for member in self.members]
        return reasons[-1] if all(reasons) else None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width, nodes, reason = -1, 0, ""
        for member, share in zip(self.members, self.shares, strict=True):
            if member.refusal(problem) is not None:
                continue
            if deadline.expired:
                break
            finding = member._search(problem, deadline.part(share), inputs)
            nodes += finding.nodes
            inputs = inputs if finding.inputs is None else finding.inputs
            width, reason = max(width, finding.impossible_width), finding.reason
            if finding.mask is not None and certified(problem, finding.mask).proves(problem.epsilon):
                return Finding(finding.mask, width, finding.reason, nodes, inputs)
            if width >= problem.width:
                break
        return Finding(None, width, reason, nodes, inputs)
