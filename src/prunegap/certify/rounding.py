"""Outward rounding: the neighbouring floats around an exact square root."""

from __future__ import annotations

import math


def root_enclosure(numerator: int, denominator: int) -> tuple[float, float]:
    """Return floats lower <= sqrt(numerator / denominator) <= upper.

    Needs numerator >= 0 and denominator > 0. Guarantees that the two are equal or neighbours: equal exactly when the
    root is a float. Beyond the largest float, upper is infinite.
    """
    if numerator == 0:
        return 0.0, 0.0

    def squared_against(value: float) -> int:
        """Return a number with the sign of value^2 - numerator / denominator."""
        top, bottom = value.as_integer_ratio()
        return top * top * denominator - numerator * bottom * bottom

    shift = 64 - (numerator.bit_length() - denominator.bit_length()) // 2
    scaled = (numerator << 2 * shift) // denominator if shift >= 0 else numerator // (denominator << -2 * shift)
    root = math.isqrt(scaled)
    try:
        lower = math.ldexp(root, -shift)
    except OverflowError:
        lower = math.inf
    while lower == math.inf or squared_against(lower) > 0:
        lower = math.nextafter(lower, 0.0)
    while (above := math.nextafter(lower, math.inf)) != math.inf and squared_against(above) <= 0:
        lower = above
    return lower, lower if squared_against(lower) == 0 else above
