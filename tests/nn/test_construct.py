"""Tickets of small networks: within epsilon, from one source, the same function in every form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nn.small import SHAPE, Residual, dense_target, made, residual_target, samples
from prunegap.model.errors import BadInputError
from prunegap.model.outcome import Status
from prunegap.nn import (
    InputSet,
    Share,
    SourceLayer,
    Target,
    collapsed_module,
    dense,
    make_ticket,
    masked_module,
    trace,
)
from prunegap.nn.tolerance import tolerances


@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1", "ball:2"])
@pytest.mark.parametrize("target", [dense_target(), dense_target(1, bias=False), residual_target()])
def test_every_weight_on_either_side_is_within_its_tolerance(target: Target, inputs: str) -> None:
    ticket = made(target, 0.02, inputs).ticket
    assert ticket is not None
    allowed = tolerances(target, 0.02, Share.LAYERS)
    for index, step in enumerate(target.graph.layers):
        weights, paths = target.weights[step.name], ticket.layers[step.name].collapsed()
        within = allowed[step.name][0]
        assert within <= 0.02
        assert np.abs(paths.positive - weights.weight).max() <= within
        assert (paths.negative is None) == (index > 0 or InputSet.parse(inputs).non_negative)
        if paths.negative is not None:
            assert np.abs(paths.negative + weights.weight).max() <= within
        if weights.bias is not None:
            assert np.abs(paths.bias - weights.bias).max() <= within


@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1"])
@pytest.mark.parametrize("target", [dense_target(), residual_target()])
def test_collapsed_masked_and_the_source_itself_compute_one_function(target: Target, inputs: str) -> None:
    ticket = made(target, 0.02, inputs).ticket
    x = samples(inputs, 20, target.graph.input_shape)
    collapsed, masked = (form(ticket, torch.float64) for form in (collapsed_module, masked_module))
    assert torch.allclose(collapsed(x), masked(x), rtol=0, atol=1e-12)
    assert (collapsed(x) - dense(target)(x)).abs().max() < 0.5
    for layer, step in zip(masked.layers, ticket.graph.layers, strict=True):
        source = ticket.layers[step.name].source
        first, second = source.first_dense(), source.second_dense()
        # Every kept entry is the source's own, at its own place, and float32 holds it.
        rows = np.arange(source.hidden)
        kept_first = layer.first.numpy().reshape(-1)
        own = first[rows, rows // source.width][: kept_first.size]
        assert (np.where(kept_first != 0, own, 0) == kept_first).all()
        kept_second = layer.second.numpy()
        assert (np.where(kept_second != 0, second, 0) == kept_second).all()
        if layer.second_constant is not None:
            kept = layer.second_constant.numpy()
            assert (np.where(kept != 0, source.constant_dense(), 0) == kept).all()


def test_kept_counts_are_those_of_the_masked_network() -> None:
    ticket = made(residual_target(), 0.02, "box:-1:1").ticket
    masked = masked_module(ticket)
    ones = sum(int((parameter != 0).sum()) for parameter in masked.parameters())
    assert ticket.kept_weights == ones
    seconds = sum(int((p != 0).sum()) for name, p in masked.named_parameters() if ".second" in name)
    assert ticket.path_weights == 2 * seconds


def test_the_source_is_nested_and_knows_nothing_of_the_target() -> None:
    step = dense_target().graph.layers[0]
    narrow, wide = (SourceLayer(step.shape, 7, 0, width, -1) for width in (4, 9))
    few, many = narrow.second_dense().reshape(9, 6, 4), wide.second_dense().reshape(9, 6, 9)
    assert (few == many[:, :, :4]).all()
    assert (narrow.first_dense().reshape(7, 4, 7) == wide.first_dense().reshape(7, 9, 7)[:, :4]).all()
    assert (replace(narrow, exponent=1).second_dense() == 4 * narrow.second_dense()).all()
    assert (replace(narrow, seed=8).second_dense() != narrow.second_dense()).mean() > 0.99
    draws = SourceLayer(step.shape, 7, 0, 500, 0).second_dense()
    assert abs(draws.mean()) < 0.02
    assert draws.var() == pytest.approx(1 / 3, rel=0.02)


def test_same_seed_same_bits_whatever_the_threads() -> None:
    target = residual_target()
    codes = [
        [layer.code for layer in make_ticket(target, 0.02, 5, workers=workers).ticket.layers.values()]
        for workers in (1, 1, 4)
    ]
    assert codes[0] == codes[1] == codes[2]


def test_errors_of_an_output_cancel() -> None:
    torch.manual_seed(0)
    target = trace(nn.Sequential(nn.Linear(400, 30, bias=False)), (400,))
    paths = {}
    for price in (0.0, 2.0, 1e12):
        ticket = make_ticket(target, 0.02, price=price).ticket
        errors = ticket.layers["0"].collapsed().positive - target.weights["0"].weight
        # Independent errors would make sums of about sqrt(400) of them.
        assert np.abs(errors.sum(axis=1)).mean() < 0.1 * np.sqrt(400 * np.square(errors).mean())
        paths[price] = ticket.path_weights
    assert paths[0.0] > paths[2.0] > paths[1e12]


def test_too_narrow_is_impossible_and_a_wider_source_is_not() -> None:
    target = dense_target()
    narrow = make_ticket(target, 0.001, width=4)
    assert narrow.status is Status.IMPOSSIBLE
    assert narrow.ticket is None
    assert {part.layer for part in narrow.impossible} == {"0", "2"}
    assert make_ticket(target, 0.001, width=64).status is Status.FOUND


def test_large_biases_get_constant_inputs_not_a_larger_scale() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 4))
    network[0].bias.data = torch.tensor([5.0, -3.0, 0.001, 0.7])
    target = trace(network, (6,))
    ticket = made(target, 0.01).ticket
    source = ticket.layers["0"].source
    assert source.scale <= 1.0
    assert source.constants > 1
    assert np.abs(ticket.layers["0"].collapsed().bias - target.weights["0"].bias).max() <= 0.01


def test_a_network_of_zeros_needs_nothing() -> None:
    network = nn.Sequential(nn.Linear(5, 3))
    nn.init.zeros_(network[0].weight)
    nn.init.zeros_(network[0].bias)
    ticket = made(trace(network, (5,))).ticket
    assert ticket.kept_weights == 0
    assert (collapsed_module(ticket)(torch.rand(2, 5)) == 0).all()


@pytest.mark.parametrize(
    ("options", "value"),
    [({"epsilon": 0.0}, "epsilon"), ({"epsilon": float("nan")}, "epsilon"), ({"seed": -1}, "seed"),
     ({"seed": 2**63}, "seed"), ({"width": 0}, "width"), ({"width": 5000}, "width"), ({"price": -1.0}, "price"),
     ({"price": float("nan")}, "price")],
)  # fmt: skip
def test_bad_options_are_named(options: dict[str, float], value: str) -> None:
    with pytest.raises(BadInputError, match=value):
        make_ticket(dense_target(), **options)  # type: ignore[arg-type]


def test_progress_ends_with_every_weight() -> None:
    seen: list[tuple[str, int, int]] = []
    target = residual_target()
    make_ticket(target, 0.05, progress=lambda *said: seen.append(said))
    assert seen[-1] == ("last", target.weight_count, target.weight_count)


def test_traced_networks_compute_what_their_modules_compute() -> None:
    module = Residual().double().eval()
    x = torch.rand((3, *SHAPE), dtype=torch.float64)
    assert torch.allclose(dense(trace(module, SHAPE))(x), module(x), rtol=1e-12, atol=1e-12)
