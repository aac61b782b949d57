"""What is proven close to data: every input within a radius of one of the inputs given, entry by entry.

Over a whole box of images the worst input is noise, and its error is far from that of any image. Near an image most
neurons are certainly on or certainly off in both networks, so their difference is almost linear and its bound sharp.
At the input itself it is what is measured, with its roundings.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from prunegap.model.errors import BadInputError
from prunegap.nn.at_inputs import errors_at
from prunegap.nn.certificate import around, followed, in_digits
from prunegap.nn.difference import Difference, TooLargeError
from prunegap.nn.graph import INPUT
from prunegap.nn.linearised import Linearised
from prunegap.nn.measure import checked_inputs
from prunegap.nn.modules import fixed, linear_map
from prunegap.nn.target import Target
from prunegap.nn.ticket import NetworkTicket

Progress = Callable[[str, int, int], None]
COUNT = 20
"""Inputs taken unless said otherwise: each costs as much as thousands of runs of the network."""
MOST_PRODUCTS = 2e12
"""Of a weight and a value, for one input: about an hour."""


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

    For a radius of 0 it is the error there with its roundings, for any network. Else each input costs as much as
    running both networks once for each of its entries. Raises BadInputError for a radius below 0, a count below 1,
    inputs that do not fit, and, with a radius above 0, networks for which that would take hours.
    """
    check_near(target, radius, count)
    points = checked_inputs(inputs, ticket.graph, ticket.inputs)[:count].double()
    bounds: list[float] = []
    if radius == 0.0:
        for batch in errors_at(ticket, target, points):
            bounds += batch
            if progress is not None:
                progress("inputs, errors at them", len(bounds), len(points))
    else:
        nets, (low, high) = _Networks(ticket, target), ticket.inputs.ends(ticket.graph.input_shape)
        for place, point in enumerate(points):
            below, above = _box(point[None], radius)
            box = around(torch.maximum(below, low), torch.minimum(above, high))
            bounds.append(nets.bound(*box, partial(_report, progress, place + 1, len(points))))
    mean = sum(bounds) / len(bounds)
    return NearCertificate(radius, len(points), digest_of(points), in_digits(max(bounds)), in_digits(mean))


class _Networks:
    """Both ways to bound the error in a box: affine forms, where they fit into memory, and linear maps."""

    def __init__(self, ticket: NetworkTicket, target: Target) -> None:
        self.linearised = Linearised(ticket, target)
        self.forms: Difference | None = None
        with suppress(TooLargeError):
            self.forms = followed(ticket, target, spectral=False)

    def bound(self, centre: Tensor, reach: Tensor, progress: Callable[[int, int], None]) -> float:
        """Return the lesser bound."""
        best = self.linearised.bound(centre, reach, progress)
        if self.forms is not None:
            with suppress(TooLargeError):
                best = min(best, self.forms.bound(centre, reach)[0])
        return best


def _report(progress: Progress | None, place: int, of: int, done: int, total: int) -> None:
    if progress is not None:
        progress(f"symbols followed near input {place} of {of}", done, total)


def check_near(target: Target, radius: float, count: int) -> None:
    """Raise BadInputError for what `certify_near` refuses whatever the ticket is."""
    if not 0.0 <= radius < math.inf or count < 1:
        raise BadInputError(
            f"radius {radius} near {count} inputs", "needs 0 or more, and an input", "use --near 0.01"
        )
    work = math.prod(target.graph.input_shape) * products(target)
    if radius > 0.0 and work > MOST_PRODUCTS:
        raise BadInputError(
            f"--near {radius:g} for {target.weight_count} weights and inputs of {list(target.graph.input_shape)}",
            f"takes {work:.1e} products an input, at most {MOST_PRODUCTS:.0e} are allowed",
            "use --near 0, which proves the error at the inputs themselves",
        )


def products(target: Target) -> int:
    """Return how many products of a weight and a value one run of the target takes."""
    values = {INPUT: torch.empty((1, *target.graph.input_shape), device="meta")}
    total = 0
    for step in target.graph.steps:
        before = [values[name] for name in step.inputs]
        if step.is_layer:
            size = (step.shape.outputs, step.shape.inputs // step.shape.groups, *step.shape.kernel)
            values[step.name] = linear_map(step, before[0], torch.empty(size, device="meta"))
            total += values[step.name].numel() * math.prod(size[1:])
        else:
            values[step.name] = fixed(step, before)
    return total


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
