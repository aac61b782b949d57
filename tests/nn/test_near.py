"""Proofs at inputs and near them: never below what is found, sharp where nothing bends, for deep networks too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nn.small import SHAPE, Residual, dense_target, made, residual_target
from nn.test_difference import climbed, corners
from prunegap.model.errors import BadInputError
from prunegap.nn import (
    InputSet,
    Target,
    certify_near,
    certify_network,
    check_near,
    collapsed_module,
    dense,
    near,
    shifted,
    trace,
)
from prunegap.nn import linearised as linear
from prunegap.nn.at_inputs import errors_at
from prunegap.nn.certificate import around
from prunegap.nn.linearised import Linearised

TARGETS = [dense_target(), residual_target()]


class Deep(nn.Module):
    """Ten residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolutions = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1) for _ in range(20)])

    def forward(self, x: Tensor) -> Tensor:
        """Return the means of the last channels."""
        for one, other in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            x = torch.relu(x + other(torch.relu(one(x))))
        return torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)


def boxes(target: Target, inputs: str, radius: float) -> tuple[Tensor, Tensor]:
    """Return a small box inside an input set."""
    low, high = InputSet.parse(inputs).ends(target.graph.input_shape)
    point = corners(low, high, 2)[1:2]
    return torch.maximum(point - radius, low), torch.minimum(point + radius, high)


@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1"])
@pytest.mark.parametrize("target", TARGETS)
def test_linear_maps_bound_what_is_found(target: Target, inputs: str) -> None:
    ticket = made(target, 0.03, inputs).ticket
    module, nets = collapsed_module(ticket, torch.float64), Linearised(ticket, target)
    for radius in (1e-4, 1e-3, 0.05, 0.5):
        box = boxes(target, inputs, radius)
        found, bound = climbed(target, module, *box), nets.bound(*around(*box))
        assert found <= bound
        if radius <= 1e-3:
            assert bound <= 1.05 * found


@pytest.mark.parametrize("most", [0, 1])
@pytest.mark.parametrize("target", TARGETS)
def test_neurons_without_a_symbol_are_not_forgotten(
    target: Target, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = made(target, 0.03).ticket
    box = boxes(target, "box:0:1", 0.3)
    bound = Linearised(ticket, target).bound(*around(*box))
    monkeypatch.setattr(linear, "MOST_BENDS", most)
    fewer = Linearised(ticket, target).bound(*around(*box))
    assert climbed(target, collapsed_module(ticket, torch.float64), *box) <= fewer
    assert fewer != bound


def exactly(weights: list[tuple[np.ndarray, np.ndarray]], x: list[Fraction]) -> list[Fraction]:
    """Return what a network of Linear and ReLU computes in exact arithmetic."""
    for depth, (weight, bias) in enumerate(weights):
        x = [max(value, Fraction(0)) for value in x] if depth else x
        x = [
            sum((Fraction(float(w)) * v for w, v in zip(row, x, strict=True)), Fraction(float(b)))
            for row, b in zip(weight, bias, strict=True)
        ]
    return x


def test_errors_at_inputs_hold_in_exact_arithmetic() -> None:
    target = dense_target()
    ticket = made(target, 0.03).ticket
    points = torch.rand((8, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ours = [(layer.weight, layer.bias) for layer in target.weights.values()]
    theirs = [(part.positive, part.bias) for part in (layer.collapsed() for layer in ticket.layers.values())]
    for point, bound in zip(points.tolist(), next(errors_at(ticket, target, points)), strict=True):
        x = [Fraction(value) for value in point]
        apart = max(abs(a - b) for a, b in zip(exactly(ours, x), exactly(theirs, x), strict=True))
        assert apart <= Fraction(bound) <= apart + Fraction(1, 10**12)


@pytest.mark.parametrize("target", [residual_target(), trace(Deep(), (3, 6, 6)), shifted(*(
    trace(Residual(1), SHAPE), InputSet.parse("pixels:0.4,0.5:0.2,0.3")))])  # fmt: skip
def test_at_inputs_it_is_what_is_measured_however_deep(target: Target) -> None:
    inputs = "box:0:1" if target.graph.steps[0].kind != "shift" else "pixels:0.4,0.5:0.2,0.3"
    ticket = made(target, 0.03, inputs).ticket
    low, high = ticket.inputs.ends(target.graph.input_shape)
    x = corners(low, high, 70)
    apart = (collapsed_module(ticket, torch.float64)(x) - dense(target)(x)).abs().amax(1)
    bounds = torch.tensor([bound for batch in errors_at(ticket, target, x) for bound in batch], dtype=torch.float64)
    assert bool((apart <= bounds).all())
    assert float((bounds - apart).max()) < 1e-6
    claim = certify_near(ticket, target, x.numpy(), 0.0, 70)
    assert float(apart.max()) <= claim.output_error < float(apart.max()) * 1.001


def test_deep_networks_are_bounded_near_inputs_where_the_whole_box_says_nothing() -> None:
    target = trace(Deep(), (3, 6, 6))
    ticket = made(target, 0.03).ticket
    x = torch.rand((1, 3, 6, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    bound = Linearised(ticket, target).bound(*around(x - 1e-4, x + 1e-4))
    found = climbed(target, collapsed_module(ticket, torch.float64), x - 1e-4, x + 1e-4)
    assert found <= bound <= 1.2 * found
    assert certify_network(ticket, target).output_error > 3.0 * bound


def test_hours_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    target = residual_target()
    assert near.products(dense_target()) == 6 * 9 + 9 * 4
    monkeypatch.setattr(near, "MOST_PRODUCTS", 1e3)
    check_near(target, 0.0, 1)
    with pytest.raises(BadInputError, match="products an input") as error:
        check_near(target, 0.1, 1)
    assert "--near 0" in str(error.value)
