"""The most exact ticket that fits a file of a given size: epsilon is halved geometrically until the size is met."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from prunegap.model.errors import BadInputError
from prunegap.nn.construct import Making, make_ticket
from prunegap.nn.target import Target
from prunegap.nn.ticket_file import ticket_bytes

ROUNDS = 7
FINEST = 2.0**-10
"""No epsilon below this part of the greatest weight is tried."""
CLAIM_BYTES, CLAIM_BYTES_PER_LAYER = 600, 100
"""What the claim, which is written later, takes at most."""


def make_to_size(target: Target, bits: float, **options: Any) -> Making:
    """Return the ticket of least epsilon found whose file takes at most `bits` for each weight of the target.

    `options` are those of `make_ticket` without epsilon. Eight sizes are tried, so epsilon is within about 6 % of the
    least. Raises BadInputError where no ticket of nothing but zeros would fit, or for bits that are not above 0.
    """
    if not (math.isfinite(bits) and bits > 0.0):
        raise BadInputError(f"size budget {bits}", "must be a finite number above 0", "use --size-budget 4")
    options = {"patience": math.inf, **options}
    room = bits * target.weight_count / 8.0
    high = float(np.nextafter(max(target.largest, 1e-30), math.inf)) * 8.0
    best = make_ticket(target, high, **options)
    if best.ticket is None or _size(best) > room:
        least = 8.0 * _size(best) / target.weight_count if best.ticket is not None else math.inf
        raise BadInputError(
            f"size budget {bits:g}", f"the empty ticket takes {least:.2f} bits a weight", "allow a larger file"
        )
    low = high / 8.0 * FINEST
    for _ in range(ROUNDS):
        middle = math.sqrt(low * high)
        making = make_ticket(target, middle, **options)
        if making.ticket is not None and _size(making) <= room:
            best, high = making, middle
        else:
            low = middle
    return best


def _size(making: Making) -> int:
    assert making.ticket is not None
    claim = CLAIM_BYTES + CLAIM_BYTES_PER_LAYER * len(making.ticket.layers)
    return len(ticket_bytes(making.ticket)) + claim
