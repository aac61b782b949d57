"""Any doubles whatever: huge, tiny, denormal, cancelling. Nothing overflows, warns, or stops being a proof."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from certify_cases import READOUTS, agree
from hypothesis import given, settings
from hypothesis import strategies as st

from prunegap.certify.arrangement import certify_arrangement
from prunegap.certify.branch_and_bound import Goal, certify_branch_and_bound
from prunegap.certify.claim import Claim
from prunegap.certify.exact_plane import certify_plane
from prunegap.certify.rounding import root_enclosure
from prunegap.certify.separable import certify_separable

ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, -1.0, 5e-324, 2.0**-1022])
PLAIN = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


@st.composite
def claims(draw, dimension, entries, one_weight=False):
    rows = draw(st.integers(0, 5))
    weights = np.array(draw(st.lists(entries, min_size=rows * dimension, max_size=rows * dimension)))
    weights = weights.reshape(rows, dimension)
    if one_weight:
        kept = draw(st.lists(st.integers(0, dimension - 1), min_size=rows, max_size=rows))
        weights = weights * (np.arange(dimension) == np.array(kept, dtype=int)[:, None])
    outputs = np.array(draw(st.lists(entries, min_size=rows, max_size=rows)))
    target = np.array(draw(st.lists(entries, min_size=dimension, max_size=dimension).filter(any)))
    computing = (outputs != 0.0) & weights.any(axis=1)
    return Claim(weights[computing], outputs[computing], target, draw(st.sampled_from(READOUTS)))


@settings(deadline=None)
@given(st.integers(0, 10**40), st.integers(1, 10**40), st.integers(-1200, 1200))
def test_roots_are_enclosed_by_neighbours(numerator, denominator, shift):
    numerator, denominator = numerator << max(shift, 0), denominator << max(-shift, 0)
    lower, upper = root_enclosure(numerator, denominator)
    square = Fraction(numerator, denominator)
    assert Fraction(lower) ** 2 <= square <= Fraction(upper) ** 2
    assert upper in (lower, math.nextafter(lower, math.inf))
    assert (upper == lower) == (Fraction(lower) ** 2 == square)


@pytest.mark.parametrize(("root", "shift"), [(3, 0), (5, 2000), (7, -2000), (1, -2148)])
def test_roots_at_the_ends_of_the_range(root, shift):
    lower, upper = root_enclosure(root * root << max(shift, 0), 1 << max(-shift, 0))
    exact = math.ldexp(root, shift // 2)
    assert lower == upper == exact
    assert root_enclosure(1 << 4000, 1) == (math.nextafter(math.inf, 0.0), math.inf)
    assert root_enclosure(1, 1 << 4000) == (0.0, 5e-324)


@settings(max_examples=150, deadline=None)
@given(claims(3, ANY_FLOAT))
def test_space_methods_agree_on_any_doubles(claim):
    exact = certify_arrangement(claim)
    assert 0.0 <= exact.error_lower <= exact.error_upper
    assert agree(exact, certify_branch_and_bound(claim, Goal(work=1e5)))


@settings(max_examples=150, deadline=None)
@given(claims(2, ANY_FLOAT))
def test_plane_methods_agree_on_any_doubles(claim):
    exact = certify_plane(claim)
    assert exact.error_upper in (exact.error_lower, math.nextafter(exact.error_lower, math.inf))
    assert agree(exact, certify_branch_and_bound(claim, Goal(work=1e5)))
    assert all(math.isfinite(entry) for entry in exact.worst_input)


@settings(max_examples=150, deadline=None)
@given(claims(2, ANY_FLOAT, one_weight=True))
def test_separable_agrees_on_any_doubles(claim):
    assert agree(certify_plane(claim), certify_separable(claim))


@settings(max_examples=200, deadline=None)
@given(claims(3, PLAIN), st.integers(0, 2))
def test_space_agrees_with_the_plane_wherever_kinks_coincide(claim, unread):
    weights, target = claim.weights.copy(), claim.target.copy()
    weights[:, unread] = target[unread] = 0.0
    if not target.any():
        target[(unread + 1) % 3] = 1.0
    kept = weights.any(axis=1)
    read = [axis for axis in range(3) if axis != unread]
    space = Claim(weights[kept], claim.outputs[kept], target, claim.readout)
    plane = Claim(weights[kept][:, read], claim.outputs[kept], target[read], claim.readout)
    exact, lifted = certify_plane(plane), certify_arrangement(space)
    assert agree(exact, lifted)
    assert lifted.error_upper - lifted.error_lower <= 1e-12
