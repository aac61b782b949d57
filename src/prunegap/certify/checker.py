"""The one door to a proof: pick the strongest method that fits what the mask leaves.

The choice looks at the size and the shape of the claim, never at who found it.
"""

from __future__ import annotations

from prunegap.certify.arrangement import certify_arrangement
from prunegap.certify.branch_and_bound import Goal, certify_branch_and_bound
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import METHOD as EXACT
from prunegap.certify.exact_plane import certify_plane
from prunegap.certify.planes import certify_planes, falls_into_planes
from prunegap.certify.rounding import root_enclosure
from prunegap.certify.separable import certify_separable, is_separable
from prunegap.model.mask import Mask
from prunegap.model.outcome import Certificate
from prunegap.model.problem import Problem

MOST_PLANES = 400
"""Rows up to which the arrangement at d = 3 takes seconds; beyond it, the enclosure gets wider."""


def certify(problem: Problem, mask: Mask) -> Certificate:
    """Return a proven enclosure of the error of the masked network.

    error_lower <= sup over ||x|| <= 1 of |rho(p_mask(x)) - relu(<w*, x>)| <= error_upper, for v, W and w* exactly as
    the doubles given. Guarantees: at d <= 2 and for the empty mask both are equal or neighbouring floats; at d = 3
    (up to 400 living rows) and for separable rows at any d they are about 1e-12 of the network's scale apart (a few
    large separable claims stay wider); rows that fall into planes are settled in closed form where that proves or
    refutes epsilon; else the enclosure is within 0.1 % if the work allows, and may stop as soon
    as epsilon is proven or refuted. Only living rows matter; epsilon and granularity never decide the truth.
    Raises BadInputError if the mask belongs to another network.
    """
    claim = Claim.of(problem, mask)
    if claim.rows == 0:
        return _certify_nothing(claim)
    if claim.dimension <= 2:
        return certify_plane(claim)
    if claim.dimension == 3 and claim.rows <= MOST_PLANES:
        return certify_arrangement(claim)
    if is_separable(claim):
        return certify_separable(claim)
    if falls_into_planes(claim):
        certificate = certify_planes(claim)
        if certificate.proves(problem.epsilon) or certificate.refutes(problem.epsilon):
            return certificate
    return certify_branch_and_bound(claim, Goal(threshold=problem.epsilon))


def _certify_nothing(claim: Claim) -> Certificate:
    """Return the error of the network that computes 0: ||w*||."""
    exact = claim.exact()
    lower, upper = root_enclosure(sum(entry * entry for entry in exact.target), exact.unit**2)
    largest = max(abs(entry) for entry in exact.target)
    return Certificate(lower, upper, EXACT, tuple(entry / largest for entry in exact.target))
