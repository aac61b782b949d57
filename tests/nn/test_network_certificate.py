"""What is proven holds on every input tried, and bounds are bounds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from nn.small import SHAPE, dense_target, made, residual_target, samples
from prunegap.model.errors import BadInputError
from prunegap.nn import Target, certify_network, collapsed_module, dense, measure_ticket, verify_claim, with_claim
from prunegap.nn.graph import Step
from prunegap.nn.layer_norm import frequency_norm_upper, layer_norm_upper, stack_norm_upper
from prunegap.nn.modules import linear_map
from prunegap.nn.norms import spectral_upper

SETS = ["box:0:1", "box:-1:1", "box:0.25:0.75", "ball:1", "ball:0.01"]


@pytest.mark.parametrize("inputs", SETS)
@pytest.mark.parametrize("target", [dense_target(), dense_target(2, bias=False), residual_target()])
def test_no_input_tried_is_off_by_more_than_is_proven(target: Target, inputs: str) -> None:
    ticket = made(target, 0.03, inputs).ticket
    certificate = certify_network(ticket, target)
    x = samples(inputs, 400, target.graph.input_shape)
    apart = (collapsed_module(ticket, torch.float64)(x) - dense(target)(x)).abs()
    assert 0.0 < float(apart.max()) <= certificate.output_error + 1e-12
    assert float(apart.norm(dim=1).max()) <= certificate.output_drift + 1e-12
    assert certificate.weight_error <= 0.03
    # A bound that is no more than a bound on the weights would be far above this.
    assert certificate.output_error < 12.0


@pytest.mark.parametrize("inputs", ["box:0:1", "box:-1:1"])
def test_layer_errors_are_exact_and_residual_norms_bound_the_residual(inputs: str) -> None:
    target = residual_target()
    ticket = made(target, 0.03, inputs).ticket
    certificate = certify_network(ticket, target)
    for step, layer in zip(target.graph.layers, certificate.layers, strict=True):
        weights, paths = target.weights[step.name], ticket.layers[step.name].collapsed()
        pairs = [(weights.weight, paths.positive)]
        pairs += [] if weights.bias is None else [(weights.bias, paths.bias)]
        pairs += [] if paths.negative is None else [(-weights.weight, paths.negative)]
        exact = max(
            abs(Fraction(float(a)) - Fraction(float(b)))
            for one, other in pairs
            for a, b in zip(one.flat, other.flat, strict=True)
        )
        assert exact <= Fraction(layer.weight_error) <= exact + Fraction(1, 10**15)
        size = (step.shape.inputs, 9, 10) if step.kind == "conv2d" else (step.shape.inputs,)
        for x in torch.randn((50, 1, *size), dtype=torch.float64, generator=torch.Generator().manual_seed(0)):
            x = x if paths.negative is not None else x.abs()
            wanted = linear_map(step, x, torch.from_numpy(weights.weight))
            got = linear_map(step, torch.relu(x), torch.from_numpy(paths.positive))
            if paths.negative is not None:
                got = got + linear_map(step, torch.relu(-x), torch.from_numpy(paths.negative))
            assert float((wanted - got).norm()) <= layer.residual_norm * float(x.norm())
            assert float(wanted.norm()) <= layer.weight_norm * float(x.norm())


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 25), (200, 150)])
def test_spectral_bounds_are_above_and_close(shape: tuple[int, int]) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for matrix in (rng.normal(size=shape), rng.normal(size=shape) * 1e-150, np.ones(shape), np.zeros(shape)):
            norm = float(np.linalg.norm(matrix, 2)) if matrix.max() > 1e-100 else 0.0
            if matrix.any() and norm == 0.0:
                norm = float(np.linalg.norm(matrix * 2.0**500, 2)) * 2.0**-500
            assert norm * (1 - 1e-12) <= spectral_upper(matrix) <= norm * 1.012


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "groups"),
    [(3, 1, 1, 1), (3, 2, 1, 2), (2, 3, 1, 1), (3, 2, 2, 1), (5, 1, 1, 1), (1, 2, 1, 1), (2, 2, 3, 2)],
)
def test_norms_of_convolutions_bound_their_matrices(kernel: int, stride: int, dilation: int, groups: int) -> None:
    options = {
        "outputs": 4, "inputs": 2, "kernel": [kernel] * 2, "stride": [stride] * 2, "padding": [1, 1],
        "dilation": [dilation] * 2, "groups": groups, "bias": False,
    }  # fmt: skip
    step = Step("conv", "conv2d", ("input",), options)
    weight = np.random.default_rng(kernel).normal(size=(4, 2 // groups, kernel, kernel))
    units = torch.eye(2 * 196, dtype=torch.float64).reshape(392, 2, 14, 14)
    matrix = linear_map(step, units, torch.from_numpy(weight)).flatten(1).numpy()
    norm = float(np.linalg.norm(matrix, 2))
    assert norm <= frequency_norm_upper(step, weight) <= 1.13 * norm
    assert norm <= layer_norm_upper(step, weight) <= frequency_norm_upper(step, weight) * (1 + 1e-9)
    assert frequency_norm_upper(step, 0.0 * weight) == 0.0


def test_the_greatest_norm_of_a_stack_is_bounded_and_close() -> None:
    rng = np.random.default_rng(0)
    for shape in [(1, 1, 1), (40, 3, 7), (25, 40, 12)]:
        stack = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        stack[::2] *= 1e-3
        for scale in (1.0, 2.0**400):
            norm = float(np.linalg.norm(stack, 2, axis=(1, 2)).max()) * scale
            assert norm * (1 - 1e-12) <= stack_norm_upper(stack * scale) <= 1.012 * norm


def test_claims_are_proven_again_and_lies_are_refused() -> None:
    target = dense_target()
    ticket = with_claim(made(target).ticket, target)
    assert verify_claim(ticket, target).as_object() == ticket.claim["certificate"]
    for name in ("weight_error", "output_error", "output_drift"):
        lie = {"certificate": {**ticket.claim["certificate"], name: ticket.claim["certificate"][name] * 0.99}}
        with pytest.raises(BadInputError, match="claims more"):
            verify_claim(replace(ticket, claim=lie), target)
    for claim in ({}, {"certificate": {}}, {"certificate": {"weight_error": "x"}}):
        with pytest.raises(BadInputError, match="claim"):
            verify_claim(replace(ticket, claim=claim), target)
    with pytest.raises(BadInputError, match="not the network"):
        certify_network(ticket, dense_target(9))


def test_measured_numbers_are_those_of_the_two_networks() -> None:
    target = residual_target()
    ticket = made(target, 0.1, "box:-1:1").ticket
    x = samples("box:-1:1", 300, SHAPE)
    ours, wanted = collapsed_module(ticket, torch.float64)(x), dense(target)(x)
    labels = wanted.argmax(1).numpy()
    labels[::3] = 2
    measured = measure_ticket(ticket, target, x.numpy(), labels)
    assert measured.greatest_error == pytest.approx(float((ours - wanted).abs().max()), rel=1e-9)
    assert measured.mean_error == pytest.approx(float((ours - wanted).abs().mean()), rel=1e-9)
    assert measured.agreement == float((ours.argmax(1) == wanted.argmax(1)).double().mean())
    assert measured.accuracy == float((ours.argmax(1).numpy() == labels).mean())
    assert measured.target_accuracy == float((wanted.argmax(1).numpy() == labels).mean())
    with pytest.raises(BadInputError, match="outside box"):
        measure_ticket(ticket, target, 2 * x.numpy())
    with pytest.raises(BadInputError, match="shape"):
        measure_ticket(ticket, target, x.numpy()[:, :1])
    with pytest.raises(BadInputError, match="labels"):
        measure_ticket(ticket, target, x.numpy(), labels[1:])
