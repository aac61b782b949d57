"""Four proofs of one number: wherever two methods apply, their enclosures meet."""

from __future__ import annotations

import numpy as np
import pytest
from certify_cases import (
    READOUTS,
    agree,
    degenerate_claim,
    embedded,
    error_at,
    fitted_claim,
    network_of,
    rounding_of,
    separable_claim,
    width_of,
)

from oracles import sup_error, sup_error_plane
from prunegap.certify.arrangement import _order, certify_arrangement
from prunegap.certify.branch_and_bound import Goal, certify_branch_and_bound
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import certify_plane
from prunegap.certify.separable import certify_separable, is_separable
from prunegap.model.network import Readout


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("seed", range(40))
def test_a_plane_claim_keeps_its_error_in_three_dimensions(seed, readout):
    claim = degenerate_claim(2, seed, readout) if seed % 2 else fitted_claim(2, 5 + seed, seed, readout)
    in_plane, in_space = certify_plane(claim), certify_arrangement(embedded(claim, seed))
    assert agree(in_plane, in_space)
    assert width_of(in_space) <= rounding_of(claim)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("seed", range(40))
def test_degenerate_claims_match_brute_force(seed, readout):
    plane, space = degenerate_claim(2, seed, readout), degenerate_claim(3, seed, readout)
    network, mask = network_of(plane)
    assert certify_plane(plane).error_upper == pytest.approx(
        sup_error_plane(network, plane.target, mask, readout), abs=1e-12
    )
    network, mask = network_of(space)
    certificate = certify_arrangement(space)
    sampled = sup_error(network, space.target, mask, readout, points=4000)
    assert sampled - 1e-13 <= certificate.error_upper <= 1.02 * sampled + 1e-12
    assert width_of(certificate) <= 1e-12


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("rows", [6, 15, 40])
@pytest.mark.parametrize("seed", range(3))
def test_arrangement_and_branch_and_bound_meet(seed, rows, readout):
    claim = fitted_claim(3, rows, seed, readout)
    exact, bounded = certify_arrangement(claim), certify_branch_and_bound(claim)
    assert agree(exact, bounded)
    assert width_of(exact) <= rounding_of(claim)
    assert width_of(bounded) <= 1e-3 * bounded.error_upper
    network, mask = network_of(claim)
    sampled = sup_error(network, claim.target, mask, readout, points=5000)
    assert sampled <= exact.error_upper
    assert exact.error_lower <= 1.02 * sampled


CORNERS = [
    ([[-3, -3, -1], [1, 3, 1], [1, -3, 0], [-1, 0, -2]], [0.25, 0.5, 0.5, -0.5], [2, -2, -2], 3.120757990422015),
    ([[3, 2, 3], [-2, 1, 2], [3, 2, -2]], [-0.25, 0.25, 0.5], [1, 1, -1], 0.7844645405527605),
    ([[0, 3, 0], [-3, -1, 0], [2, -1, 3]], [-0.75, 0.5, 0.25], [0, -1, 2], 1.647859173707974),
]


@pytest.mark.parametrize(("weights", "outputs", "target", "error"), CORNERS)
def test_the_error_may_peak_where_the_curve_without_output_bends(weights, outputs, target, error):
    """The rare peak on an edge where p changes its sign; the values are those of branch and bound and of sampling."""
    claim = Claim(np.array(weights, float), np.array(outputs), np.array(target, float), Readout.RELU)
    certificate = certify_arrangement(claim)
    network, mask = network_of(claim)
    assert certificate.error_upper == pytest.approx(error, rel=1e-12)
    assert (
        error * 0.999 <= sup_error(network, claim.target, mask, Readout.RELU, points=5000) <= certificate.error_upper
    )
    assert agree(certificate, certify_branch_and_bound(claim))


def test_corners_too_close_for_floats_are_ordered_exactly():
    places = np.random.default_rng(0).permutation(20)
    normals = np.array([(10**25, 10**25 + int(place), 0) for place in places], dtype=object)
    ends = np.array([(-(10**25) - int(place), 10**25, 0) for place in places], dtype=object)
    order = _order(ends, normals, np.array([0, 0, 1], dtype=object))
    assert places[order].tolist() == list(range(20))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dimension", [1, 2])
def test_branch_and_bound_meets_the_exact_plane(dimension, readout):
    for seed in range(5):
        claim = fitted_claim(dimension, 8, seed, readout)
        assert agree(certify_plane(claim), certify_branch_and_bound(claim))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_separable_claims_are_as_tight_as_the_exact_methods(dimension, seed, readout):
    claim = separable_claim(dimension, 2 * dimension + seed % 9, seed, readout)
    exact = certify_arrangement(claim) if dimension == 3 else certify_plane(claim)
    closed = certify_separable(claim)
    assert agree(exact, closed)
    assert width_of(closed) <= 1e-11
    assert error_at(claim, closed.worst_input) >= closed.error_lower


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("dimension", "rows"), [(4, 12), (5, 25), (40, 200), (500, 3000)])
def test_separable_claims_in_many_dimensions(dimension, rows, readout):
    claim = separable_claim(dimension, rows, 1, readout)
    certificate = certify_separable(claim)
    assert width_of(certificate) <= 1e-9
    assert error_at(claim, certificate.worst_input) == pytest.approx(certificate.error_lower, abs=1e-9)
    if dimension <= 5:
        assert agree(certificate, certify_branch_and_bound(claim, Goal(relative=1e-2)))


def test_separable_rows_are_told_from_others():
    claim = separable_claim(3, 5, 0, READOUTS[0])
    assert is_separable(claim)
    claim.weights[2] = 1.0
    assert not is_separable(claim)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("dimension", "rows"), [(6, 12), (13, 20), (60, 100)])
def test_branch_and_bound_within_little_work_is_wide_but_true(dimension, rows, readout):
    claim = fitted_claim(dimension, rows, 2, readout)
    certificate = certify_branch_and_bound(claim, Goal(work=1e6))
    network, mask = network_of(claim)
    assert np.isfinite(certificate.error_upper)
    assert sup_error(network, claim.target, mask, readout, points=5000) <= certificate.error_upper
    assert error_at(claim, certificate.worst_input) == pytest.approx(certificate.error_lower, abs=1e-12)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_threshold_only_stops_branch_and_bound_early(readout):
    claim = fitted_claim(4, 15, 4, readout)
    exact = certify_branch_and_bound(claim)
    for factor in (0.7, 0.99, 1.01, 1.3):
        threshold = factor * (exact.error_upper + exact.error_lower) / 2
        hurried = certify_branch_and_bound(claim, Goal(threshold=threshold))
        assert agree(exact, hurried)
        assert hurried.proves(threshold) == (factor > 1)
        assert hurried.refutes(threshold) == (factor < 1)
