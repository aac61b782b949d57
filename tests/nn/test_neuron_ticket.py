"""Neuron pruning layer by layer: the fit that is claimed, exact where small, never worse for more neurons at hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from nn.small import dense_target
from prunegap.nn import SourceLayer, Target, dense, select_neurons, trace

X = torch.rand((150, 6), generator=torch.Generator().manual_seed(5))


def sources(target: Target, width: int, seed: int = 3) -> dict[str, SourceLayer]:
    """Return sources at scale 1."""
    return {step.name: SourceLayer(step.shape, seed, k, width, 0) for k, step in enumerate(target.graph.layers)}


@pytest.mark.parametrize("width", [2, 8, 24])
@pytest.mark.parametrize("target", [dense_target(), dense_target(1, bias=False)])
def test_the_claimed_fit_is_that_of_the_masked_source(target: Target, width: int) -> None:
    found = select_neurons(target, sources(target, width), X)
    assert found.rival is not None
    mine, wanted = found.rival.module().activations(X), dense(target, torch.float32).activations(X)
    for fit in found.fits:
        error = float((mine[fit.layer] - wanted[fit.layer]).norm() / wanted[fit.layer].norm())
        assert error == pytest.approx(fit.error, rel=1e-3)
        assert fit.bound <= fit.error + 1e-6


def test_few_neurons_are_chosen_as_by_brute_force_over_masks_and_scales() -> None:
    torch.manual_seed(4)
    target = trace(nn.Sequential(nn.Linear(4, 3)), (4,))
    x = X[:, :4]
    source = sources(target, 2)["0"]
    found = select_neurons(target, {"0": source}, x)
    wanted = dense(target)(x.double()).numpy()
    inputs = np.hstack([x.double().numpy(), np.ones((150, 1))])
    hidden = np.maximum(inputs @ source.first_dense().astype(np.float64).T, 0.0)
    second = np.hstack([source.second_dense(), source.constant_dense()]).astype(np.float64)
    assert source.hidden == 10
    errors = [
        np.linalg.norm(2.0**-k * (hidden * np.array(mask)) @ second.T - wanted)
        for mask in product((0, 1), repeat=10)
        for k in range(-2, 13)
    ]
    assert found.fits[0].error == pytest.approx(min(errors) / np.linalg.norm(wanted), rel=1e-4)


def test_blocks_are_searched_against_what_the_others_leave() -> None:
    target = dense_target()
    whole = select_neurons(target, sources(target, 20), X).fits
    parts = select_neurons(target, sources(target, 20), X, block=30).fits
    first = select_neurons(target, sources(target, 4), X).fits
    # Block by block is no worse than its first part alone (width 4: the neurons are others, the number is the same).
    assert parts[0].error < first[0].error
    assert parts[0].error < 1.3 * whole[0].error
    assert parts[0].bound == 0.0 < whole[0].bound


def test_the_same_arguments_give_the_same_bits() -> None:
    target = dense_target()
    one, two = (select_neurons(target, sources(target, 12), X).rival for _ in range(2))
    assert one is not None
    assert two is not None
    for name, layer in one.layers.items():
        assert layer.source == two.layers[name].source
        assert (layer.masks[0] == two.layers[name].masks[0]).all()


def test_out_of_time_is_no_ticket() -> None:
    target = dense_target()
    found = select_neurons(target, sources(target, 12), X, seconds=0.0)
    assert found.rival is None
