"""Certificates of claims that fall into planes: against the other proofs, sampled errors and sums met by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from certify_cases import READOUTS, agree, network_of, separable_claim

from oracles import errors_at, sphere, sup_error
from prunegap.certify import certify
from prunegap.certify.branch_and_bound import Goal, certify_branch_and_bound
from prunegap.certify.claim import Claim
from prunegap.certify.planes import certify_planes, falls_into_planes, groups_of
from prunegap.certify.separable import certify_separable
from prunegap.model.granularity import Block
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem

GROUPS = {3: [[0, 2], [1]], 4: [[0, 1], [2, 3]], 5: [[0, 4], [1, 2], [3]], 6: [[0, 1], [2, 3], [4, 5]]}


def planar_claim(dimension: int, rows: int, seed: int, readout: Readout, error: float = 0.3) -> Claim:
    """Return a claim whose rows read one group each: pairs of opposite rows give the target, others disturb it."""
    random = np.random.default_rng([seed, 29])
    target = random.standard_normal(dimension)
    target /= np.linalg.norm(target)
    weights, outputs = [], []
    for group in GROUPS[dimension]:
        for sign in (1.0, -1.0):
            weights.append(np.where(np.isin(np.arange(dimension), group), sign * target, 0.0))
            outputs.append(sign)
        for _ in range(rows):
            weights.append(np.where(np.isin(np.arange(dimension), group), random.uniform(-1, 1, dimension), 0.0))
            outputs.append(error * random.uniform(-1, 1))
    return Claim(np.array(weights), np.array(outputs), target, readout)


@pytest.mark.parametrize("dimension", GROUPS)
def test_groups_are_what_rows_read(dimension: int) -> None:
    claim = planar_claim(dimension, 3, 0, Readout.RELU)
    assert sorted(groups_of(claim)) == sorted(GROUPS[dimension])
    assert falls_into_planes(claim)
    bridge = np.zeros((1, dimension))
    bridge[0, [GROUPS[dimension][0][0], GROUPS[dimension][1][0]]] = 1.0
    joined = replace(claim, weights=np.concatenate([claim.weights, bridge]), outputs=np.append(claim.outputs, 1.0))
    assert not falls_into_planes(joined)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dimension", GROUPS)
@pytest.mark.parametrize("seed", range(4))
def test_it_encloses_the_sampled_error_and_bounds_the_linear_one(dimension: int, readout: Readout, seed: int) -> None:
    claim = planar_claim(dimension, 1 + 3 * seed, seed, readout)
    certificate = certify_planes(claim)
    network, mask = network_of(claim)
    sampled = sup_error(network, claim.target, mask, readout, points=4000)
    assert sampled <= certificate.error_upper + 1e-12
    assert certificate.error_lower <= 1.02 * sampled + 1e-12
    # The upper end is a sup of p - <w*, x>, so many inputs have to come near it.
    inputs = np.concatenate([sphere(60_000, dimension), -sphere(60_000, dimension)])
    linear = network.preactivation(inputs) - inputs @ claim.target
    reached = max(float(np.abs(linear).max()), float((-network.preactivation(inputs)).max()) * (readout == "linear"))
    assert 0.8 * certificate.error_upper <= reached <= certificate.error_upper + 1e-12


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("seed", range(3))
def test_it_meets_branch_and_bound(readout: Readout, seed: int) -> None:
    claim = planar_claim(4, 3, seed, readout)
    bounded = certify_branch_and_bound(claim, Goal(work=3e7))
    certificate = certify_planes(claim)
    assert certificate.error_lower <= bounded.error_upper
    assert certificate.error_upper >= bounded.error_lower
    where = np.array([certificate.worst_input])
    network, mask = network_of(claim)
    reached = errors_at(network, claim.target, mask, readout, where / np.linalg.norm(where))[0]
    assert reached == pytest.approx(certificate.error_lower, abs=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("seed", range(6))
def test_single_weights_agree_with_their_closed_form(readout: Readout, seed: int) -> None:
    claim = separable_claim(5, 12, seed, readout)
    separable, planes = certify_separable(claim), certify_planes(claim)
    assert planes.error_upper >= separable.error_lower
    assert planes.error_lower <= separable.error_upper
    if planes.error_lower >= planes.error_upper * (1.0 - 1e-12):
        assert agree(separable, planes)


def test_a_sum_known_by_hand() -> None:
    """p = <w*, x> + 0.3 |x_1| + 0.4 |x_3|: the linear error is 0.5, reached where h and p are positive."""
    target = np.array([0.5, 0.5, 0.5, 0.5])
    rows = [[0.5, 0.5, 0, 0], [-0.5, -0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, -0.5, -0.5]]
    rows += [[1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, -1, 0]]
    claim = Claim(np.array(rows), np.array([1, -1, 1, -1, 0.3, 0.3, 0.4, 0.4]), target, Readout.RELU)
    certificate = certify_planes(claim)
    assert certificate.error_upper == pytest.approx(0.5, abs=1e-15)
    assert certificate.error_lower == pytest.approx(0.5, abs=1e-13)
    assert np.abs(certificate.worst_input) == pytest.approx([0.6, 0.0, 0.8, 0.0], abs=1e-12)


@pytest.mark.parametrize("power", [-600, 500])
def test_the_error_scales(power: int) -> None:
    claim, factor = planar_claim(4, 5, 1, Readout.RELU), 2.0**power
    one = certify_planes(claim)
    other = certify_planes(replace(claim, outputs=claim.outputs * factor, target=claim.target * factor))
    assert other.error_upper == one.error_upper * factor
    assert other.error_lower == one.error_lower * factor


def test_the_checker_takes_it_where_it_settles_epsilon() -> None:
    claim = planar_claim(4, 6, 2, Readout.RELU)
    certificate = certify_planes(claim)
    for epsilon, proven in [(certificate.error_upper, True), (0.99 * certificate.error_lower, False)]:
        problem = Problem(Network(claim.weights, claim.outputs), claim.target, epsilon, Block(2), claim.readout)
        answer = certify(problem, Mask.from_rows(claim.weights != 0.0))
        assert answer.method == "planes"
        assert (answer.proves(epsilon), answer.refutes(epsilon)) == (proven, not proven)
