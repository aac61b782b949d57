"""The one door to a proof: pick the strongest method that fits the claim.

The choice looks at the size and the shape of what remains, never at who found it.
"""

from __future__ import annotations

from prunegap.certify.arrangement import certify_arrangement
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import certify_plane
from prunegap.certify.separable import certify_separable, is_separable
from prunegap.model.mask import Mask
from prunegap.model.outcome import Certificate
from prunegap.model.problem import Problem


def certify(problem: Problem, mask: Mask) -> Certificate:
    """Return a proven enclosure of ||f_mask - g||."""
    claim = Claim.of(problem, mask)
    if claim.dimension <= 2:
        return certify_plane(claim)
    if claim.dimension == 3:
        return certify_arrangement(claim)
    if is_separable(claim):
        return certify_separable(claim)
    raise NotImplementedError("only d <= 3 or separable so far")
