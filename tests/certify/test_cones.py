"""Branch and bound, part by part: no input of a cone errs by more than the cone's bound, and the halves tile it."""

from __future__ import annotations

import numpy as np
import pytest
from certify_cases import READOUTS, degenerate_claim, fitted_claim, separable_claim

from prunegap.certify.branch_and_bound import _bisected, _cone_bounds, _global_bound, climb
from prunegap.certify.claim import Claim


def fitted(dimension, seed, readout):
    """Return a claim whose error is small next to its slopes."""
    return fitted_claim(dimension, 12, seed, readout)


def strong(dimension, seed, readout):
    """Return a claim of few strong rows, so that f is far above and below g on both sides of the kink."""
    claim = separable_claim(dimension, 4, seed, readout)
    return Claim(claim.weights, 5.0 * claim.outputs, claim.target, readout)


CLAIMS = [
    pytest.param(build, dimension, seed, id=f"{build.__name__}-{dimension}-{seed}")
    for build in (degenerate_claim, fitted, strong)
    for dimension in (2, 3, 5)
    for seed in range(4)
]


def cones_of(dimension, depth, seed):
    """Return random orthants, each bisected `depth` times."""
    generator = np.random.default_rng(seed)
    cones = generator.choice([-1.0, 1.0], (20, dimension))[:, :, None] * np.eye(dimension)
    for _ in range(depth):
        halves = _bisected(cones)
        cones = np.where(generator.random(20)[:, None, None] < 0.5, halves[:20], halves[20:])
    return cones


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", [0, 3, 12])
@pytest.mark.parametrize(("build", "dimension", "seed"), CLAIMS)
def test_no_input_of_a_cone_exceeds_its_bound(build, dimension, seed, depth, readout):
    scaled = build(dimension, seed, readout).scaled()
    cones = cones_of(dimension, depth, seed)
    bounds = _cone_bounds(scaled, cones)
    shares = np.random.default_rng(seed).exponential(size=(20, 300, dimension)) ** 3
    inputs = (shares @ cones).reshape(-1, dimension)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    errors = scaled.errors_at(inputs).reshape(20, 300).max(axis=1)
    assert (errors <= bounds).all()
    assert errors.max() <= _global_bound(scaled)
    if depth == 12 and dimension == 2:
        assert (bounds - errors <= 1e-2).all()


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_the_halves_of_a_cone_tile_it(dimension):
    cones = cones_of(dimension, 4, 0)
    halves = _bisected(cones).reshape(2, 20, dimension, dimension)
    inputs = np.random.default_rng(1).exponential(size=(20, 50, dimension)) @ cones
    shares = np.stack([np.linalg.solve(half.transpose(0, 2, 1), inputs.transpose(0, 2, 1)) for half in halves])
    inside = (shares >= -1e-12).all(axis=2)
    assert inside.any(axis=0).all()
    assert np.abs(np.linalg.norm(halves, axis=3) - 1.0).max() <= 1e-15


@pytest.mark.parametrize("readout", READOUTS)
def test_climbing_never_loses_height(readout):
    scaled = fitted_claim(4, 12, 0, readout).scaled()
    inputs = np.random.default_rng(0).standard_normal((30, 4))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    assert (scaled.errors_at(climb(scaled, inputs)) >= scaled.errors_at(inputs)).all()
