"""Laws of the error: what leaves it alone, what scales it, and what the checker must not look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from certify_cases import READOUTS, agree, fitted_claim, masked_draw, separable_claim

from prunegap.certify import certify
from prunegap.certify.arrangement import certify_arrangement
from prunegap.certify.branch_and_bound import Goal, certify_branch_and_bound
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import certify_plane
from prunegap.certify.separable import certify_separable
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Neuron, Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.problem import Problem

METHODS = [
    pytest.param(lambda claim: certify_plane(claim), lambda r: fitted_claim(1, 5, 1, r), id="line"),
    pytest.param(lambda claim: certify_plane(claim), lambda r: fitted_claim(2, 12, 1, r), id="plane"),
    pytest.param(lambda claim: certify_arrangement(claim), lambda r: fitted_claim(3, 12, 1, r), id="arrangement"),
    pytest.param(lambda claim: certify_separable(claim), lambda r: separable_claim(6, 30, 1, r), id="separable"),
    pytest.param(
        lambda claim: certify_branch_and_bound(claim, Goal(work=3e7)), lambda r: fitted_claim(4, 9, 1, r), id="branch"
    ),
]
pytestmark = [pytest.mark.parametrize("readout", READOUTS)]
every_method = pytest.mark.parametrize(("method", "build"), METHODS)


@every_method
def test_powers_of_two_between_w_and_v_change_nothing(method, build, readout):
    claim = build(readout)
    powers = 2.0 ** np.random.default_rng(0).integers(-30, 31, claim.rows)
    moved = replace(claim, weights=claim.weights * powers[:, None], outputs=claim.outputs / powers)
    assert method(moved) == method(claim)


@every_method
@pytest.mark.parametrize("power", [-600, -40, 1, 500])
def test_the_error_scales_with_network_and_target(method, build, power, readout):
    claim, factor = build(readout), 2.0**power
    scaled = replace(claim, outputs=claim.outputs * factor, target=claim.target * factor)
    if method is METHODS[-1].values[0]:
        one, other = method(claim), method(scaled)
        assert agree(replace(one, error_lower=one.error_lower * factor, error_upper=one.error_upper * factor), other)
    else:
        one, other = method(claim), method(scaled)
        assert (other.error_lower, other.error_upper) == (one.error_lower * factor, one.error_upper * factor)


@every_method
def test_the_order_of_neurons_does_not_matter(method, build, readout):
    claim = build(readout)
    order = np.random.default_rng(1).permutation(claim.rows)
    assert agree(method(claim), method(replace(claim, weights=claim.weights[order], outputs=claim.outputs[order])))


@every_method
def test_a_neuron_may_be_split_and_pairs_may_cancel(method, build, readout):
    claim = build(readout)
    weights = np.concatenate((claim.weights, claim.weights[:1], claim.weights[1:2], claim.weights[1:2]))
    outputs = np.concatenate((claim.outputs, claim.outputs[:1] / 2, [0.75, -0.75]))
    outputs[0] /= 2
    assert agree(method(claim), method(replace(claim, weights=weights, outputs=outputs)))


@every_method
def test_signed_permutations_of_the_inputs_do_not_matter(method, build, readout):
    claim, generator = build(readout), np.random.default_rng(2)
    order, signs = generator.permutation(claim.dimension), generator.choice([-1.0, 1.0], claim.dimension)
    turned = replace(claim, weights=claim.weights[:, order] * signs, target=claim.target[order] * signs)
    one, other = method(claim), method(turned)
    assert agree(one, other)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_dead_rows_are_left_out(dimension, readout):
    problem, mask = masked_draw(dimension, 8, 4, readout)
    network = problem.network
    weights, outputs = network.weights.copy(), network.outputs.copy()
    weights[~mask.kept_weights], outputs[~mask.kept_outputs] = 1e9, -1e9
    poisoned = replace(problem, network=Network(weights, outputs))
    assert certify(poisoned, mask) == certify(problem, mask)
    claim = Claim.of(poisoned, mask)
    assert claim.rows == mask.kept_neurons
    assert np.abs(claim.weights).max(initial=0.0) < 1e9


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_neither_granularity_nor_epsilon_moves_an_exact_certificate(dimension, readout):
    problem, mask = masked_draw(dimension, 8, 6, readout)
    other = replace(problem, epsilon=3.0, granularity=Neuron())
    assert certify(other, mask) == certify(problem, mask)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_epsilon_never_decides_the_truth(factor, readout):
    claim = fitted_claim(4, 6, 1, readout)
    truth = certify_branch_and_bound(claim)
    problem = Problem(
        Network(claim.weights, claim.outputs), claim.target, truth.error_upper * factor, Weight(), readout
    )
    certificate = certify(problem, Mask.from_rows(np.ones((6, 4), dtype=np.bool_)))
    assert agree(certificate, truth)
    assert certificate.proves(problem.epsilon) == (factor > 1)


def test_a_mask_of_another_network_is_refused(readout):
    problem, _ = masked_draw(2, 5, 0, readout)
    with pytest.raises(BadInputError, match="another network"):
        certify(problem, Mask.from_rows(np.ones((4, 2), dtype=np.bool_)))


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_the_readout_matters(dimension, readout):
    """A lone negative neuron does nothing behind a relu, and errs by its whole strength in front of none."""
    axis = np.eye(dimension)[0]
    claim = Claim(-axis[None], np.array([-3.0]), axis, readout)
    expected = 1.0 if readout is Readout.RELU else 3.0
    methods = [certify_branch_and_bound, certify_separable]
    methods += [certify_plane] if dimension <= 2 else [certify_arrangement] if dimension == 3 else []
    for method in methods:
        certificate = method(claim)
        assert certificate.error_lower <= expected <= certificate.error_upper
        assert certificate.error_upper == pytest.approx(expected, rel=2e-3)
