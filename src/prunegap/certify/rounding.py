"""Outward rounding: the neighbouring floats around an exact square root."""

from __future__ import annotations

import math
from fractions import Fraction


def root_enclosure(numerator: int, denominator: int) -> tuple[float, float]:
    """Return floats lower <= sqrt(numerator / denominator) <= upper.

    Needs numerator >= 0 and denominator > 0. Guarantees that the two are equal or neighbours: equal exactly when the
    root is a float. Beyond the largest float, upper is infinite.
    """
    if numerator == 0:
        return 0.0, 0.0
    square = Fraction(numerator, denominator)
    shift = 64 - (numerator.bit_length() - denominator.bit_length()) // 2
    scaled = (numerator << 2 * shift) // denominator if shift >= 0 else numerator // (denominator << -2 * shift)
    root = math.isqrt(scaled)
    try:
        lower = math.ldexp(root, -shift)
    except OverflowError:
        lower = math.inf
    while lower == math.inf or Fraction(lower) ** 2 > square:
        lower = math.nextafter(lower, 0.0)
    while (above := math.nextafter(lower, math.inf)) != math.inf and Fraction(above) ** 2 <= square:
        lower = above
    return lower, lower if Fraction(lower) ** 2 == square else above
