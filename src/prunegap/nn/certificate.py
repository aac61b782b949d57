"""How far a ticket can be from its target: per weight, per layer, and for the whole network over a set of inputs.

Between layers four bounds are kept for every value x of the target: low <= x <= high, ||x||_2 <= length, and for the
ticket's value x': |x - x'| <= gap (entry by entry) and ||x - x'||_2 <= drift. A layer with weights W, whose paths
miss them by at most E on either sign of the input, obeys W x - ticket(x') = W (x - x') + residual(x'), so

    gap' <= |W| gap + |E| (max(|low|, |high|) + gap),   drift' <= ||W|| drift + ||E|| (length + drift),

and each of the pairs bounds the other. ReLU and pooling are 1-Lipschitz. All of it is computed in float64 and
rounded up past its own error, so the claim is about the exact functions of real numbers; a run in float32 adds its
roundings. Where the input has one sign, the residual is linear and its part at the middle of [low, high] is exact:
errors that cancel there count for little.

The whole network is also followed as one (difference.py), and the tighter bound is claimed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prunegap.model.errors import BadInputError
from prunegap.nn.difference import Difference, TooLargeError
from prunegap.nn.graph import INPUT, Step
from prunegap.nn.input_set import InputSet
from prunegap.nn.layer_norm import layer_norm_upper, reads
from prunegap.nn.measure import Measurement
from prunegap.nn.modules import fixed, linear_map, padded
from prunegap.nn.norms import gamma, upward
from prunegap.nn.target import LayerWeights, Target
from prunegap.nn.ticket import Collapsed, NetworkTicket

Floats = NDArray[np.float64]

MOST_WEIGHTS = 2_000_000
"""Larger networks are only bounded layer by layer, so that memory stays that of a layer."""


@dataclass(frozen=True)
class LayerCertificate:
    """Proven for one layer: the greatest error of a weight, and the operator norms of residual and target.

    `residual_norm` bounds ||W x - ticket(x)||_2 / ||x||_2 over all x; `weight_norm` bounds ||W||_2.
    """

    name: str
    weight_error: float
    residual_norm: float
    weight_norm: float


@dataclass(frozen=True)
class NetworkCertificate:
    """Proven for the whole network over its input set: no output is off by more than `output_error`.

    `output_error` bounds every single output, `output_drift` the l2 norm of all. Both hold in real arithmetic.
    """

    inputs: InputSet
    layers: tuple[LayerCertificate, ...]
    output_error: float
    output_drift: float

    @property
    def weight_error(self) -> float:
        """The greatest error of any weight."""
        return max(layer.weight_error for layer in self.layers)

    def as_object(self) -> dict[str, Any]:
        """Return plain numbers."""
        layers = {layer.name: [layer.weight_error, layer.residual_norm, layer.weight_norm] for layer in self.layers}
        return {
            "inputs": str(self.inputs),
            "weight_error": self.weight_error,
            "output_error": self.output_error,
            "output_drift": self.output_drift,
            "layers": layers,
        }


@dataclass(frozen=True)
class _Bounds:
    low: Tensor
    high: Tensor
    gap: Tensor
    length: float
    drift: float

    @property
    def size(self) -> Tensor:
        return torch.maximum(self.low.abs(), self.high.abs())


def certify_network(ticket: NetworkTicket, target: Target) -> NetworkCertificate:
    """Return what is proven about a ticket and its target.

    Raises BadInputError if the target is not the one that the ticket was made for.
    """
    if target.digest() != ticket.target_digest or target.graph != ticket.graph:
        raise BadInputError("the target", "is not the network that this ticket was made for", "give that network")
    layers: list[LayerCertificate] = []
    bounds = {INPUT: _first_bounds(ticket.inputs, ticket.graph.input_shape)}
    for step in ticket.graph.steps:
        before = [bounds[name] for name in step.inputs]
        if step.is_layer:
            weights = target.weights[step.name]
            residual = _Residual(weights, ticket.layers[step.name].collapsed())
            weight_norm = layer_norm_upper(step, weights.weight)
            residual_norm = residual.norm(step)
            layers.append(LayerCertificate(step.name, residual.greatest, residual_norm, weight_norm))
            bounds[step.name] = _through_layer(step, before[0], weights, residual, layers[-1])
        else:
            bounds[step.name] = _tightened(_through_fixed(step, before))
    last = bounds[ticket.graph.steps[-1].name]
    entry, drift = _followed(ticket, target)
    entry, drift = min(float(last.gap.max()), entry), min(last.drift, drift)
    return NetworkCertificate(ticket.inputs, tuple(layers), in_digits(entry), in_digits(drift))


def in_digits(bound: float) -> float:
    """Return a bound rounded up to five digits: another machine's last bits prove the same number again."""
    digits = float(f"{bound:.4e}")
    return digits if digits >= bound else float(f"{bound * (1.0 + 5e-5):.4e}")


def followed(ticket: NetworkTicket, target: Target, *, spectral: bool) -> Difference:
    """Return the difference of both networks, to be bounded over sets; raises TooLargeError for a large network."""
    if target.weight_count > MOST_WEIGHTS:
        raise TooLargeError
    paths = {name: layer.collapsed() for name, layer in ticket.layers.items()}
    return Difference(ticket.graph, {name: target.weights[name] for name in paths}, paths, spectral=spectral)


def _followed(ticket: NetworkTicket, target: Target) -> tuple[float, float]:
    """Return bounds on every output's error and on the norm of all, infinite where the network is too large."""
    low, high = ticket.inputs.ends(ticket.graph.input_shape)
    length = ticket.inputs.radius if ticket.inputs.kind == "ball" else math.inf
    try:
        return followed(ticket, target, spectral=True).bound(*around(low, high), length)
    except TooLargeError:
        return math.inf, math.inf


def around(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return a centre, and a reach around it that covers low to high in spite of rounding."""
    centre = low / 2.0 + high / 2.0
    reach = torch.maximum(high - centre, centre - low)
    return centre, torch.where(reach > 0.0, reach.nextafter(torch.tensor(math.inf, dtype=torch.float64)), 0.0)


def with_claim(ticket: NetworkTicket, target: Target, measurement: Measurement | None = None) -> NetworkTicket:
    """Return the ticket with its certificate, and what was measured, as its claim."""
    claim: dict[str, Any] = {"certificate": certify_network(ticket, target).as_object()}
    if measurement is not None:
        claim["measured"] = measurement.as_object()
    return replace(ticket, claim=claim)


def verify_claim(ticket: NetworkTicket, target: Target) -> NetworkCertificate:
    """Return the certificate, proven anew; raises BadInputError where the ticket claims more than can be proven.

    What is claimed near data is left to `verify_near`, which needs the data.
    """
    proven = certify_network(ticket, target)
    claimed, found = ticket.claim.get("certificate"), proven.as_object()
    try:
        if claimed is None:
            raise BadInputError("the ticket", "claims nothing", "make it with prunegap ticket make")
        pairs = [(float(claimed[name]), found[name]) for name in ("weight_error", "output_error", "output_drift")]
        for name, bounds in found["layers"].items():
            pairs += list(zip(map(float, claimed["layers"][name]), bounds, strict=True))
    except (KeyError, TypeError, ValueError):
        raise BadInputError("the ticket", "holds a malformed claim", "make it anew") from None
    if claimed["inputs"] != str(ticket.inputs) or any(claim < bound * (1.0 - 1e-9) for claim, bound in pairs):
        raise BadInputError("the ticket", "claims more than can be proven", "make it anew")
    return proven


def _first_bounds(inputs: InputSet, shape: tuple[int, ...]) -> _Bounds:
    low, high = inputs.ends(shape)
    size = torch.maximum(low.abs(), high.abs())
    length = inputs.radius if inputs.kind == "ball" else upward(float(size.square().sum().sqrt()), size.numel() + 4)
    return _Bounds(low, high, torch.zeros_like(low), length, 0.0)


class _Residual:
    """|w - paths| for every weight, rounded up: on the positive and, where there is one, the negative side."""

    def __init__(self, weights: LayerWeights, paths: Collapsed) -> None:
        self.positive = _distance(weights.weight, paths.positive)
        # On the side of relu(-x) the paths have to sum to -w.
        negative = paths.negative
        self.negative = None if negative is None else _distance(weights.weight, -negative)
        self.bias = None if weights.bias is None or paths.bias is None else _distance(weights.bias, paths.bias)
        if self.bias is not None and weights.bias_error is not None:
            self.bias = (self.bias + weights.bias_error) * (1.0 + 2.0**-50)
        self.signed = [weights.weight - paths.positive]
        if negative is not None:
            self.signed.append(negative + weights.weight)

    @property
    def either(self) -> Floats:
        """The greater of both sides, entry by entry."""
        return self.positive if self.negative is None else np.maximum(self.positive, self.negative)

    @property
    def greatest(self) -> float:
        """The greatest error of any weight, biases included."""
        return max(float(part.max()) for part in (self.either, self.bias) if part is not None)

    def norm(self, step: Step) -> float:
        """Return an upper bound on the residual's norm, as a map of relu(x) and relu(-x), the bias left out."""
        # The signed differences are rounded by at most half a unit of the greatest, entry by entry.
        total = 0.0
        for part in self.signed:
            slack = float(np.abs(part).max()) * 2.0**-52 * math.sqrt(part.size * step.shape.taps)
            total = math.hypot(total, layer_norm_upper(step, part) + slack)
        return upward(total, 4)


def _distance(one: Floats, other: Floats) -> Floats:
    apart = np.abs(one - other)
    return np.where(apart == 0.0, 0.0, np.nextafter(apart, np.inf))


def _through_layer(
    step: Step, before: _Bounds, weights: LayerWeights, residual: _Residual, layer: LayerCertificate
) -> _Bounds:
    """Return the bounds behind a layer; every tensor below that is a bound is a sum of non-negative terms."""
    weight = torch.from_numpy(weights.weight)
    size, either = weight.abs(), torch.from_numpy(residual.either)
    slack = gamma(step.shape.inputs // step.shape.groups * step.shape.taps + 4)
    middle, radius = (before.low + before.high) / 2, (before.high - before.low) / 2 * (1.0 + 2.0**-50)
    reached = linear_map(step, before.size, size)
    spread = linear_map(step, radius, size) * (1.0 + slack) + reached * slack
    centre = linear_map(step, middle, weight)
    missed = linear_map(step, before.size, either)
    if residual.negative is None:
        at_middle = linear_map(step, middle, torch.from_numpy(residual.signed[0])).abs()
        missed = torch.minimum(missed, at_middle + linear_map(step, radius, either) + 2.0 * slack * missed)
    gap = linear_map(step, before.gap, size + either) + missed
    length = upward(layer.weight_norm * before.length, 2)
    drift = upward(layer.weight_norm * before.drift + layer.residual_norm * (before.length + before.drift), 4)
    if weights.bias is not None and residual.bias is not None:
        bias, error = torch.from_numpy(weights.bias), torch.from_numpy(residual.bias)
        across = [-1, 1, 1] if step.kind == "conv2d" else [-1]
        centre, gap = centre + bias.reshape(across), gap + error.reshape(across)
        spread = spread + bias.abs().reshape(across) * 2.0**-51
        places = centre[0].numel() / step.shape.outputs
        length = upward(length + math.sqrt(places) * float(np.linalg.norm(weights.bias)), 2 * bias.numel() + 8)
        drift = upward(drift + math.sqrt(places) * float(np.linalg.norm(residual.bias)), 2 * bias.numel() + 8)
    spread = spread * (1.0 + 2.0**-50) + centre.abs() * 2.0**-51
    return _tightened(_Bounds(centre - spread, centre + spread, gap * (1.0 + slack), length, drift))


def _through_fixed(step: Step, before: list[_Bounds]) -> _Bounds:
    """Return the bounds behind a step without weights, all of which are monotone and 1-Lipschitz, or sums."""
    one = before[0]
    if step.kind == "shift":
        low, high = fixed(step, [one.low]), fixed(step, [one.high])
        rounded = (low.abs() + high.abs() + one.size.max()) * 2.0**-51
        return _Bounds(low - rounded, high + rounded, padded(step, one.gap), math.inf, one.drift)
    low, high = (
        fixed(step, [getattr(bounds, side) for bounds in before]).nextafter(torch.tensor(towards))
        for side, towards in (("low", -math.inf), ("high", math.inf))
    )
    if step.kind == "relu":
        return _Bounds(torch.relu(one.low), torch.relu(one.high), one.gap, one.length, one.drift)
    gap = fixed(step, [bounds.gap for bounds in before])
    if step.kind == "flatten":
        return _Bounds(fixed(step, [one.low]), fixed(step, [one.high]), gap, one.length, one.drift)
    if step.kind == "add":
        length, drift = (upward(sum(getattr(b, part) for b in before), 4) for part in ("length", "drift"))
        return _Bounds(low, high, gap * (1.0 + 2.0**-50), length, drift)
    spread = reads(step, one.low.shape)
    slack = gamma(math.prod(one.low.shape[2:]))
    low, high = low - low.abs() * slack, high + high.abs() * slack
    length, drift = upward(one.length * spread, 4), upward(one.drift * spread, 4)
    return _Bounds(low, high, gap * (1.0 + slack), length, drift)


def _tightened(bounds: _Bounds) -> _Bounds:
    """Let each bound profit from the other: entries are below the length, the length below that of all entries."""
    count = bounds.low.numel()
    gap = bounds.gap.clamp(max=bounds.drift)
    low, high = bounds.low.clamp(min=-bounds.length), bounds.high.clamp(max=bounds.length)
    entries = upward(float(torch.maximum(low.abs(), high.abs()).square().sum().sqrt()), count + 4)
    gaps = upward(float(gap.square().sum().sqrt()), count + 4)
    return _Bounds(low, high, gap, min(bounds.length, entries), min(bounds.drift, gaps))
