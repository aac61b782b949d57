"""What a search may say, and what the checker signs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prunegap.model.mask import Mask
from prunegap.model.network import Matrix


class Status(StrEnum):
    """found: a verified ticket; impossible: a proof that there is none; undecided: neither within the budget."""

    FOUND = "found"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Certificate:
    """A proven enclosure of the error: error_lower <= ||f_mask - g|| <= error_upper.

    Both are floats rounded outward, in units of the target's output; `method` names the proof: exact-rational,
    arrangement, separable, planes or branch-and-bound. `worst_input` is a direction (not normalised, shape
    (dimension,)) at which error_lower is attained up to rounding.
    """

    error_lower: float
    error_upper: float
    method: str
    worst_input: tuple[float, ...]

    def proves(self, epsilon: float) -> bool:
        """Return whether the error is proven to be at most epsilon."""
        return self.error_upper <= epsilon

    def refutes(self, epsilon: float) -> bool:
        """Return whether the error is proven to be above epsilon."""
        return self.error_lower > epsilon


@dataclass(frozen=True)
class Finding:
    """What an algorithm hands back before it is checked.

    `mask` is a claimed ticket or None. `impossible_width` is the greatest prefix width that the algorithm has proven
    to hold no ticket, -1 where it has proven nothing; a proof at width n holds for every prefix of it, since the
    draw is nested. `reason` says in words how. `inputs`, shape (k, dimension), are the directions that the proof or
    the last candidate rests on, if it rests on a finite set (F5): they warm-start the next width.
    """

    mask: Mask | None = None
    impossible_width: int = -1
    reason: str = ""
    nodes: int = 0
    inputs: Matrix | None = None


@dataclass(frozen=True)
class Outcome:
    """The checked answer of a search about a network of the given width.

    The minimal width lies in (impossible_width, ticket_width]; `ticket_width` is None where no ticket was found.
    A mask is present exactly when its certificate proves error <= epsilon.
    """

    width: int
    mask: Mask | None
    certificate: Certificate | None
    impossible_width: int
    reason: str
    search: str
    seconds: float
    nodes: int = 0
    inputs: Matrix | None = None

    @property
    def ticket_width(self) -> int | None:
        """The narrowest prefix that holds the ticket found, or None."""
        return None if self.mask is None else self.mask.least_width

    @property
    def status(self) -> Status:
        """found, impossible (at this width) or undecided."""
        if self.mask is not None:
            return Status.FOUND
        return Status.IMPOSSIBLE if self.impossible_width >= self.width else Status.UNDECIDED
