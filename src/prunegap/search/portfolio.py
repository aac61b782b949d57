"""Several searches one after the other: cheap finders first, the exact one last, and everything proven is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from prunegap.certify import certify
from prunegap.model.network import Matrix
from prunegap.model.outcome import Finding
from prunegap.model.problem import Problem
from prunegap.search.base import Deadline, Search


@final
class Portfolio(Search):
    """Runs `members` in order, but for those that refuse the problem, until one settles the width.

    Exact where a member is. Each member may use all the time left, so all but the last should bound themselves.
    """

    def __init__(self, name: str, members: Sequence[Search]) -> None:
        self.name = name  # type: ignore[misc]
        self.members = tuple(members)

    def refusal(self, problem: Problem) -> str | None:
        """Return the last member's reason where every member refuses."""
        reasons = [member.refusal(problem) for member in self.members]
        return reasons[-1] if all(reasons) else None

    def _search(self, problem: Problem, deadline: Deadline, inputs: Matrix | None) -> Finding:
        width, nodes, reason = -1, 0, ""
        for member in self.members:
            if member.refusal(problem) is not None:
                continue
            finding = member._search(problem, deadline, inputs)
            nodes += finding.nodes
            inputs = inputs if finding.inputs is None else finding.inputs
            width, reason = max(width, finding.impossible_width), finding.reason
            if finding.mask is not None and certify(problem, finding.mask).proves(problem.epsilon):
                return Finding(finding.mask, width, finding.reason, nodes, inputs)
            if width >= problem.width:
                break
        return Finding(None, width, reason, nodes, inputs)
