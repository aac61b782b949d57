"""What is proven close to data: every input within a radius of one of the inputs given, entry by entry.

Over a whole box of images the worst input is noise, and its error is far from that of any image. Near an image most
neurons are certainly on or certainly off in both networks, so their difference is almost linear and its bound sharp.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from prunegap.model.errors import BadInputError
from prunegap.nn.certificate import MOST_WEIGHTS, around, followed, in_digits
from prunegap.nn.difference import TooLargeError
from prunegap.nn.measure import checked_inputs
from prunegap.nn.target import Target
from prunegap.nn.ticket import NetworkTicket

Progress = Callable[[str, int, int], None]
COUNT = 20
"""Inputs taken unless said otherwise: each costs as much as thousands of runs of the network."""


@dataclass(frozen=True)
class NearCertificate:
    """Proven for all x of the input set with |x - x_k| <= radius, entry by entry, for one of the first `count` x_k.

    No output is off by more than `output_error`; `mean_error` is the mean of the bounds of the x_k. `inputs` is the
    SHA-256 of the x_k as little-endian float64.
    """

    radius: float
    count: int
    inputs: str
    output_error: float
    mean_error: float

    def as_object(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


def certify_near(
    ticket: NetworkTicket,
    target: Target,
    inputs: ArrayLike,
    radius: float,
    count: int = COUNT,
    progress: Progress | None = None,
) -> NearCertificate:
    """Return what is proven near the first `count` of `inputs` (n, *input_shape).

    Raises BadInputError for a radius below 0, a count below 1, inputs that do not fit, and networks that are too
    large: more than 2 million weights, or layers of more than 2^24 entries for each entry of the input.
    """
    check_near(target, radius, count)
    points = checked_inputs(inputs, ticket.graph, ticket.inputs)[:count].double()
    low, high = ticket.inputs.ends(ticket.graph.input_shape)
    bounds = []
    try:
        difference = followed(ticket, target, spectral=False)
        for place, point in enumerate(points):
            below, above = _box(point[None], radius)
            bounds.append(difference.bound(*around(torch.maximum(below, low), torch.minimum(above, high)))[0])
            if progress is not None:
                progress("inputs, proofs near them", place + 1, len(points))
    except TooLargeError:
        raise BadInputError("--near", "needs a network whose layers have fewer entries", "leave it out") from None
    mean = sum(bounds) / len(bounds)
    return NearCertificate(radius, len(points), digest_of(points), in_digits(max(bounds)), in_digits(mean))


def check_near(target: Target, radius: float, count: int) -> None:
    """Raise BadInputError for what `certify_near` refuses whatever the ticket is."""
    if not 0.0 <= radius < math.inf or count < 1:
        raise BadInputError(
            f"radius {radius} near {count} inputs", "needs 0 or more, and an input", "use --near 0.01"
        )
    if target.weight_count > MOST_WEIGHTS:
        weights = f"a target of {target.weight_count} weights"
        raise BadInputError(weights, f"allows no proof near data, {MOST_WEIGHTS} do", "leave out --near")


def with_near(ticket: NetworkTicket, near: NearCertificate) -> NetworkTicket:
    """Return the ticket with what is proven near data in its claim."""
    return replace(ticket, claim={**ticket.claim, "near": near.as_object()})


def verify_near(
    ticket: NetworkTicket, target: Target, inputs: ArrayLike, progress: Progress | None = None
) -> NearCertificate:
    """Return what the ticket claims near data, proven anew.

    Raises BadInputError where these are other inputs, or where the ticket claims more than can be proven.
    """
    claimed = ticket.claim.get("near")
    try:
        claim = NearCertificate(**dict(claimed or ()))
        radius, count, worst, mean = (
            float(claim.radius),
            int(claim.count),
            float(claim.output_error),
            claim.mean_error,
        )
    except (TypeError, ValueError):
        raise BadInputError("the ticket", "holds no claim near data", "make it with --near") from None
    points = checked_inputs(inputs, ticket.graph, ticket.inputs)[:count]
    if digest_of(points) != claim.inputs:
        raise BadInputError("the data", "are not those near which the ticket claims something", "give those")
    proven = certify_near(ticket, target, points.numpy(), radius, count, progress)
    if proven.count != count or worst < proven.output_error or float(mean) < proven.mean_error:
        raise BadInputError("the ticket", "claims more near the data than can be proven", "make it anew")
    return proven


def digest_of(points: Tensor) -> str:
    """Return the SHA-256 of inputs as little-endian float64."""
    return hashlib.sha256(points.double().contiguous().numpy().astype("<f8").tobytes()).hexdigest()


def _box(point: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    if radius == 0.0:
        return point, point
    down, up = (torch.tensor(side, dtype=torch.float64) for side in (-math.inf, math.inf))
    return (point - radius).nextafter(down), (point + radius).nextafter(up)
