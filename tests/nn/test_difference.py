"""The two networks followed as one: sets of every kind and size, tight enough, and never below what is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nn.small import SHAPE, Residual, dense_target, made, residual_target
from prunegap.model.errors import BadInputError
from prunegap.nn import (
    InputSet,
    Target,
    as_in,
    certify_near,
    certify_network,
    collapsed_module,
    dense,
    shifted,
    trace,
    verify_claim,
    verify_near,
    with_claim,
    with_near,
)
from prunegap.nn.affine import Form, Symbols
from prunegap.nn.certificate import around, followed
from prunegap.nn.norms import ball_to_l1_upper, box_to_l1_upper, box_to_l2_upper


def corners(low: Tensor, high: Tensor, count: int = 300) -> Tensor:
    """Return points of a box, half of them its corners."""
    uniform = torch.rand((count, *low.shape[1:]), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    uniform[::2] = uniform[::2].round()
    return low + uniform * (high - low)


def climbed(target: Target, module: nn.Module, low: Tensor, high: Tensor) -> float:
    """Return the greatest error that sign steps uphill find in a box."""
    x, theirs = corners(low, high, 100), dense(target)
    worst = 0.0
    for _ in range(15):
        x = x.detach().requires_grad_()
        apart = (module(x) - theirs(x)).abs().amax(1)
        worst = max(worst, float(apart.detach().max()))
        apart.sum().backward()
        assert x.grad is not None
        x = torch.where(x.grad > 0, high, torch.where(x.grad < 0, low, x.detach()))
    return worst


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1"])
@pytest.mark.parametrize("target", [dense_target(), residual_target()])
def test_bounds_hold_around_points_and_shrink_with_the_set(target: Target, inputs: str, spectral: bool) -> None:
    ticket = made(target, 0.03, inputs).ticket
    difference, module = followed(ticket, target, spectral=spectral), collapsed_module(ticket, torch.float64)
    low, high = ticket.inputs.ends(target.graph.input_shape)
    point = corners(low, high, 2)[1:2]
    last = 0.0
    for radius in (0.0, 0.01, 0.3, 3.0):
        box = torch.maximum(point - radius, low), torch.minimum(point + radius, high)
        entry, drift = difference.bound(*around(*box))
        found = climbed(target, module, *box)
        assert max(found, last * 0.99) <= entry * (1 + 1e-12)
        assert entry <= drift * (1 + 1e-9)
        if radius <= 0.01:
            assert entry <= 1.5 * found + 1e-9
        last = entry


def test_on_a_large_box_it_is_far_below_the_bound_layer_by_layer() -> None:
    torch.manual_seed(0)
    wide = trace(nn.Sequential(nn.Linear(60, 80), nn.ReLU(), nn.Linear(80, 4)), (60,))
    ticket = made(wide, 0.02).ticket
    proven = certify_network(ticket, wide)
    found = climbed(wide, collapsed_module(ticket, torch.float64), *ticket.inputs.ends((60,)))
    assert found <= proven.output_error <= 5.0 * found


def test_forms_hold_their_sums_and_norms() -> None:
    rng = np.random.default_rng(0)
    first, second = (Symbols.within(torch.tensor(rng.random(k))) for k in (5, 7))
    maps = {group: torch.tensor(rng.normal(size=(group.reach.numel(), 6))) for group in (first, second)}
    form = Form(torch.tensor(rng.normal(size=(1, 6))), maps, torch.zeros(1, 6, dtype=torch.float64))
    everywhere = torch.ones(1, 6, dtype=torch.bool)
    nothing = form.plus(form, -1.0)
    assert float(nothing.radius.max()) < 1e-14
    for _ in range(200):
        value = form.centre.clone()
        for group, part in maps.items():
            value += (torch.tensor(rng.choice([-1.0, 1.0], group.reach.numel())) * group.reach) @ part
        assert bool(((form.low <= value) & (value <= form.high)).all())
        for spectral in (True, False):
            assert float(value.norm()) <= form.spread(everywhere, spectral)


@pytest.mark.parametrize("shape", [(1, 1), (4, 9), (12, 5)])
def test_norms_from_boxes_and_balls(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for matrix in (rng.normal(size=shape), np.ones(shape), np.zeros(shape), np.eye(*shape)):
        reach = rng.random(shape[1])
        signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * shape[1])).reshape(shape[1], -1) * reach[:, None]
        lengths, sums = np.linalg.norm(matrix @ signs, axis=0).max(), np.abs(matrix @ signs).sum(axis=0).max()
        assert lengths * (1 - 1e-12) <= box_to_l2_upper(matrix, reach) <= 1.3 * lengths + 1e-300
        assert sums * (1 - 1e-12) <= box_to_l1_upper(matrix, reach) <= 1.8 * sums + 1e-300
        rows = np.array(np.meshgrid(*[[-1.0, 1.0]] * shape[0])).reshape(shape[0], -1)
        sharp = np.linalg.norm(matrix.T @ rows, axis=0).max()
        assert 2 * sharp * (1 - 1e-12) <= ball_to_l1_upper(matrix, 2.0) <= 2.6 * sharp + 1e-300


def normalised() -> tuple[Target, InputSet]:
    """Return the residual network behind images normalised channel by channel."""
    return trace(Residual(1), SHAPE), InputSet.parse("pixels:0.4,0.5:0.2,0.3")


def test_a_shift_changes_nothing_but_the_sides() -> None:
    target, inputs = normalised()
    moved = shifted(target, inputs)
    low, high = inputs.ends(SHAPE)
    x = corners(low, high, 50)
    assert torch.allclose(dense(moved)(x), dense(target)(x), rtol=0, atol=1e-12)
    ticket = with_claim(made(moved, 0.03, str(inputs)).ticket, moved)
    assert ticket.layers["first"].sides == (1,)
    assert made(target, 0.03, str(inputs)).ticket.layers["first"].sides == (1, -1)
    apart = (collapsed_module(ticket, torch.float64)(x) - dense(target)(x)).abs()
    assert float(apart.max()) <= ticket.claim["certificate"]["output_error"]
    verify_claim(ticket, as_in(ticket, target))
    bias = moved.weights["first"].bias
    assert bias is not None
    spoilt = Target(moved.graph, {**moved.weights, "first": replace(moved.weights["first"], bias=bias + 1e-9)})
    with pytest.raises(BadInputError, match="not the network"):
        verify_claim(ticket, spoilt)


def test_shifts_are_left_out_where_they_do_not_help() -> None:
    target, _ = normalised()
    for inputs in ("box:0:1", "ball:1"):
        assert shifted(target, InputSet.parse(inputs)) is target
    with pytest.raises(BadInputError, match="channels"):
        shifted(target, InputSet.parse("box:-1,-1,-1:1,1,1"))


@pytest.mark.parametrize("text", ["box:0:1", "box:-0.5,0.1:2,3.25", "ball:0.3", "pixels:0.1307:0.3081"])
def test_sets_come_back_from_their_names(text: str) -> None:
    inputs = InputSet.parse(text)
    assert InputSet.parse(str(inputs)) == inputs
    if text.startswith("pixels"):
        assert inputs.lows[0] <= -0.1307 / 0.3081 <= inputs.lows[0] + 1e-5


def test_claims_near_data_are_proven_again() -> None:
    target = residual_target()
    x = torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(2)).numpy()
    ticket = with_claim(made(target, 0.03).ticket, target)
    near = certify_near(ticket, target, x, 0.01, 2)
    assert (near.count, near.radius) == (2, 0.01)
    assert near.output_error < 0.3 * ticket.claim["certificate"]["output_error"]
    claimed = with_near(ticket, near)
    assert verify_near(claimed, target, x) == near
    with pytest.raises(BadInputError, match="are not those"):
        verify_near(claimed, target, x[1:])
    with pytest.raises(BadInputError, match="claims more"):
        verify_near(with_near(ticket, replace(near, output_error=near.output_error * 0.99)), target, x)
    with pytest.raises(BadInputError, match="no claim"):
        verify_near(ticket, target, x)
    for radius, count in ((-1.0, 2), (0.1, 0), (float("nan"), 1)):
        with pytest.raises(BadInputError, match="radius"):
            certify_near(ticket, target, x, radius, count)
