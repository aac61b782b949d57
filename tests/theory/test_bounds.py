"""Published bounds: shapes, hypotheses, and the constant that touches measurements."""

import math

import pytest

from prunegap.model.network import Readout
from prunegap.theory.bounds import NEURON_V1, NEURON_V3, PUBLISHED, WEIGHT_V1, WEIGHT_V3, Bound

MEASURED = [(2, 0.2, 15.0), (2, 0.1, 26.0), (2, 0.05, 41.0), (3, 0.2, 21.0), (3, 0.1, 48.0)]


@pytest.mark.parametrize("bound", PUBLISHED, ids=lambda bound: bound.formula)
def test_the_constant_touches_and_contradicts_nothing(bound: Bound) -> None:
    constant = bound.constant_touching(MEASURED)
    assert constant is not None
    slack = [width / (constant * bound.shape(d, epsilon)) for d, epsilon, width in MEASURED]
    if bound.side == "lower":
        assert min(slack) == pytest.approx(1.0)
    else:
        assert max(slack) == pytest.approx(1.0)


@pytest.mark.parametrize("bound", PUBLISHED, ids=lambda bound: bound.formula)
def test_without_a_measurement_below_epsilon_one_there_is_no_constant(bound: Bound) -> None:
    assert bound.constant_touching([]) is None
    assert bound.constant_touching([(2, 1.0, 5.0), (2, 3.0, 5.0)]) is None


def test_halving_epsilon_doubles_lower_bounds_and_adds_a_constant_to_upper_ones() -> None:
    for bound in (NEURON_V1, NEURON_V3):
        assert bound.shape(3, 0.05) == pytest.approx(2.0 * bound.shape(3, 0.1))
    for bound in (WEIGHT_V1, WEIGHT_V3):
        steps = [bound.shape(3, e / 2.0) - bound.shape(3, e) for e in (0.2, 0.1, 0.05)]
        assert steps == pytest.approx([bound.shape(3, 1.0 / math.e) * math.log(2.0)] * 3)


def test_the_versions_disagree_about_the_factor_d() -> None:
    for first, third in ((NEURON_V1, NEURON_V3), (WEIGHT_V1, WEIGHT_V3)):
        assert first.shape(4, 0.1) == pytest.approx(4.0 * third.shape(4, 0.1))
        assert first.source.removesuffix("v1") == third.source.removesuffix("v3")


def test_hypotheses() -> None:
    assert not NEURON_V3.applies(1, Readout.RELU)
    assert NEURON_V3.applies(2, Readout.LINEAR)
    assert WEIGHT_V3.applies(1, Readout.RELU)
    assert not WEIGHT_V3.applies(2, Readout.LINEAR)
