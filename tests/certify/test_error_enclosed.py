"""certify() against brute force: the enclosure holds the error, is tight, and its worst input reaches it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from certify_cases import READOUTS, error_at, fitted_claim, masked_draw

from oracles import sup_error, sup_error_plane
from prunegap.certify import certify
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import certify_plane
from prunegap.model.draw import Initialisation
from prunegap.model.granularity import Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem

CASES = [
    (dimension, width, seed, init, readout)
    for dimension, width in [(1, 1), (1, 9), (2, 1), (2, 3), (2, 14), (2, 40), (3, 2), (3, 7), (3, 20)]
    for seed in range(2)
    for init in Initialisation
    for readout in READOUTS
]


@pytest.mark.parametrize(("dimension", "width", "seed", "init", "readout"), CASES)
def test_enclosure_holds_the_sampled_error_and_is_tight(dimension, width, seed, init, readout):
    problem, mask = masked_draw(dimension, width, seed, readout, init)
    certificate = certify(problem, mask)
    sampled = sup_error(problem.network, problem.target, mask, readout, points=2000, seed=seed)
    assert sampled <= certificate.error_upper * (1 + 1e-14)
    assert certificate.error_upper - sampled <= 2e-2 * certificate.error_upper
    assert 0.0 <= certificate.error_upper - certificate.error_lower <= 1e-12
    assert error_at(Claim.of(problem, mask), certificate.worst_input) == pytest.approx(
        certificate.error_lower, abs=1e-12
    )


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("seed", range(25))
def test_plane_enclosure_is_exact(dimension, seed, readout):
    problem, mask = masked_draw(dimension, seed, seed, readout)
    certificate = certify(problem, mask)
    assert certificate.error_upper == pytest.approx(
        sup_error_plane(problem.network, problem.target, mask, readout), rel=1e-12
    )
    assert certificate.error_upper <= math.nextafter(certificate.error_lower, math.inf)
    assert certificate.method == "exact-rational"


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("dimension", "width"), [(4, 6), (4, 20), (5, 8)])
def test_enclosure_by_branch_and_bound_holds_the_sampled_error(dimension, width, readout):
    problem, mask = masked_draw(dimension, width, 3, readout)
    certificate = certify(problem, mask)
    sampled = sup_error(problem.network, problem.target, mask, readout, points=5000)
    assert certificate.method == "branch-and-bound"
    assert sampled <= certificate.error_upper
    assert certificate.error_upper <= 1.05 * sampled or certificate.refutes(problem.epsilon)
    assert error_at(Claim.of(problem, mask), certificate.worst_input) == pytest.approx(
        certificate.error_lower, abs=1e-12
    )


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dimension", [2, 3])
def test_certificate_tells_masks_apart(dimension, readout):
    """Removing any one living row moves the certificate as it moves the error: no certificate fits its neighbour."""
    claim = fitted_claim(dimension, 6, 5, readout)
    problem = Problem(Network(claim.weights, claim.outputs), claim.target, 0.1, Weight(), readout)
    full = np.ones((6, dimension), dtype=np.bool_)
    certified, sampled = [], []
    for removed in range(6):
        rows = full.copy()
        rows[removed] = False
        mask = Mask.from_rows(rows)
        certified.append(certify(problem, mask).error_upper)
        sampled.append(sup_error(problem.network, problem.target, mask, readout, points=3000))
    assert len({round(value, 4) for value in sampled}) >= 5
    assert certified == pytest.approx(sampled, rel=5e-3)


@pytest.mark.parametrize("dimension", [1, 2, 3, 6, 300])
@pytest.mark.parametrize("readout", READOUTS)
def test_the_empty_mask_errs_by_the_norm_of_the_target(dimension, readout):
    problem, _ = masked_draw(dimension, 4, 0, readout)
    certificate = certify(problem, Mask.from_rows(np.zeros((4, dimension), dtype=np.bool_)))
    assert certificate.error_lower <= np.linalg.norm(problem.target) * (1 + 1e-15)
    assert certificate.error_upper == pytest.approx(np.linalg.norm(problem.target), rel=1e-14)
    assert certificate.error_upper <= math.nextafter(certificate.error_lower, math.inf)


def test_the_identity_is_certified_as_perfect():
    """relu(x) - relu(-x) is x: with a relu readout the error is exactly 0, with a linear one it is ||w*||."""
    target = masked_draw(2, 1, 0, Readout.RELU)[0].target
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    outputs = np.array([target[0], -target[0], target[1], -target[1]])
    assert certify_plane(Claim(rows, outputs, target, Readout.RELU)).error_upper == 0.0
    linear = certify_plane(Claim(rows, outputs, target, Readout.LINEAR))
    assert linear.error_lower == pytest.approx(np.linalg.norm(target))
