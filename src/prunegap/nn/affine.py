"""Sets of vectors as affine forms: a centre, linear maps of bounded symbols, and what rounding may have hidden.

A form stands for all v = c + sum over groups of K t + s with |t_j| <= reach_j and ||t||_2 <= length for the symbols t
of a group, and |s| <= slop entry by entry. Knowing a group's l2 norm beside its entries is what makes sums over many
neurons cheap: sum_i a_i t_i <= min(sum |a_i| reach_i, ||a||_2 length). Forms that share symbols cancel in each
other (zonotopes with an l2 ball for each group). Everything is float64; what it rounds goes into the slop, so the
set holds in real arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prunegap.nn.norms import ball_to_l1_upper, box_to_l1_upper, box_to_l2_upper, gamma, spectral_upper, upward

Linear = Callable[[Tensor], Tensor]
UP = 1.0 + 2.0**-48
"""Covers a few roundings of non-negative numbers."""
MOST_ROWS = 1200
"""Matrices with more rows and columns get no spectral norm: its cost grows with the cube."""
MOST_OUTPUTS = 32
"""Forms with more entries are bounded by the reach and the length of their symbols alone."""


@dataclass(frozen=True, eq=False)
class Symbols:
    """A group of symbols: reach (k,) bounds each, length their l2 norm.

    With an `origin`, a form and its entries `where` (1, *shape), symbol j is also at most half its j-th entry there.
    """

    reach: Tensor
    length: float
    origin: tuple[Form, Tensor] | None = None

    @classmethod
    def within(cls, reach: Tensor, length: float = math.inf, origin: tuple[Form, Tensor] | None = None) -> Symbols:
        """Return the group with the lesser of `length` and the norm of `reach`."""
        return cls(reach, min(length, _norm(reach)), origin)


@dataclass(frozen=True, eq=False)
class Form:
    """A centre (1, *shape), for each group its map as (k, *shape), and the slop (1, *shape)."""

    centre: Tensor
    parts: Mapping[Symbols, Tensor]
    slop: Tensor

    @cached_property
    def radius(self) -> Tensor:
        """The greatest |v - centre|, entry by entry, (1, *shape)."""
        total = self.slop
        for symbols, part in self.parts.items():
            total = total + _rows(symbols, part)
        return total * (1.0 + gamma(len(self.parts) + 4))

    @cached_property
    def low(self) -> Tensor:
        """A lower bound, entry by entry."""
        return self._towards(-1.0)

    @cached_property
    def high(self) -> Tensor:
        """An upper bound, entry by entry."""
        return self._towards(1.0)

    def _towards(self, side: float) -> Tensor:
        return (self.centre + side * self.radius).nextafter(torch.tensor(side * math.inf, dtype=torch.float64))

    @cached_property
    def size(self) -> Tensor:
        """|centre| + |maps| reach: what roundings are relative to."""
        total = self.centre.abs()
        for symbols, part in self.parts.items():
            total = total + _weighed(symbols.reach, part.abs())
        return total * UP

    def through(self, linear: Linear, absolute: Linear, terms: int) -> Form:
        """Return the form of `linear` v; `absolute` is the map of absolute weights, `terms` its longest sum."""
        slop = absolute(self.slop + gamma(terms) * self.size) * (1.0 + gamma(terms + 4))
        return Form(linear(self.centre), {key: linear(part) for key, part in self.parts.items()}, slop)

    def times(self, factor: Tensor) -> Form:
        """Return the form of factor v, entry by entry, for |factor| <= 1."""
        slop = (self.slop + 2.0**-52 * self.size) * UP
        return Form(self.centre * factor, {key: part * factor for key, part in self.parts.items()}, slop)

    def plus(self, other: Form, sign: float = 1.0) -> Form:
        """Return the form of v + sign w for a sign of 1 or -1."""
        parts = dict(self.parts)
        for key, part in other.parts.items():
            parts[key] = parts[key] + sign * part if key in parts else sign * part
        slop = (self.slop + other.slop + 2.0**-52 * (self.size + other.size)) * UP
        return Form(self.centre + sign * other.centre, parts, slop)

    def moved(self, by: Tensor) -> Form:
        """Return the form of v + by."""
        slop = (self.slop + 2.0**-52 * (self.centre.abs() + by.abs())) * UP
        return Form(self.centre + by, self.parts, slop + torch.zeros_like(by))

    def spread(self, where: Tensor, spectral: bool) -> float:
        """Return a bound on the l2 norm of the entries `where` (1, *shape) of v, the centre included."""
        total = _norm(self.centre[where]) + _norm(self.slop[where])
        rows = {symbols: part[:, where[0]] for symbols, part in self.parts.items()}
        norms = {symbols: _norm(_rows(symbols, part)) for symbols, part in rows.items()}
        largest = max(norms.values(), default=0.0)
        for symbols, norm in norms.items():
            part = rows[symbols]
            if spectral and norm > 0.02 * largest and min(part.shape) <= MOST_ROWS:
                norm = min(norm, _mapped_norm(symbols, part))
            total += norm
        return upward(total, len(self.parts) + 4)

    def greatest(self) -> float:
        """Return a bound on every |v_i| that also knows where symbols come from: sums of absolute values of forms."""
        rough = (self.centre.abs() + self.radius) * UP
        if rough.numel() > MOST_OUTPUTS:
            return float(rough.max())
        return max(self._entry(place, float(bound)) for place, bound in enumerate(rough.flatten()))

    def _entry(self, place: int, rough: float) -> float:
        """Return the bound on entry `place`, at most `rough`."""
        total = float((self.centre.abs() + self.slop).flatten()[place])
        for symbols, part in self.parts.items():
            row = part.reshape(part.shape[0], -1)[:, place : place + 1]
            plain = float(_rows(symbols, row))
            known = plain > 0.03 * rough and symbols.origin is not None
            total += min(plain, _absolute_sum(symbols, row.abs().flatten())) if known else plain
        return min(rough, upward(total, len(self.parts) + 4))


def _absolute_sum(symbols: Symbols, weights: Tensor) -> float:
    """Return a bound on sum_j weights_j |t_j| for |t_j| at most half an entry of the symbols' origin."""
    assert symbols.origin is not None
    form, where = symbols.origin
    total = float(weights @ (form.centre.abs() + form.slop)[where])
    sums: dict[Symbols, tuple[float, Tensor]] = {}
    for key, part in form.parts.items():
        rows = (part[:, where[0]] * weights).T
        sums[key] = float(rows.abs().sum(0) @ key.reach), rows
    for key, (norm, rows) in sums.items():
        if norm > 0.02 * max(one for one, _ in sums.values()) and min(rows.shape) <= MOST_ROWS:
            by_length = key.length < 0.7 * _norm(key.reach)
            bound = (
                ball_to_l1_upper(rows.numpy(), key.length)
                if by_length
                else box_to_l1_upper(rows.numpy(), key.reach.numpy())
            )
            norm = min(norm, bound)
        total += norm
    return upward(total / 2.0, weights.numel() + sum(key.reach.numel() for key in form.parts) + 16)


def fresh(
    reach: Tensor, where: Tensor, length: float = math.inf, origin: Form | None = None
) -> tuple[Symbols, Tensor]:
    """Return new symbols for the entries `where` (1, *shape) and their map, the identity on these entries."""
    symbols = Symbols.within(reach[where], length, None if origin is None else (origin, where))
    count = symbols.reach.numel()
    part = torch.zeros((count, where.numel()), dtype=torch.float64)
    part[torch.arange(count), torch.nonzero(where.flatten()).flatten()] = 1.0
    return symbols, part.reshape(count, *where.shape[1:])


def _rows(symbols: Symbols, part: Tensor) -> Tensor:
    """Return the greatest |K t|, entry by entry: by the reach of every symbol, or by the length of all."""
    by_reach = _weighed(symbols.reach, part.abs())
    by_length = part.square().sum(0, keepdim=True).sqrt() * symbols.length
    return torch.minimum(by_reach, by_length) * (1.0 + gamma(part.shape[0] + 4))


def _weighed(reach: Tensor, part: Tensor) -> Tensor:
    """Return sum_j reach_j part[j], shape (1, *shape)."""
    return (reach @ part.reshape(part.shape[0], -1)).reshape(1, *part.shape[1:])


def _mapped_norm(symbols: Symbols, rows: Tensor) -> float:
    """Return a bound on ||K t||_2 by the norm of K from the box or from the ball of the symbols."""
    if symbols.length < 0.7 * _norm(symbols.reach):
        return upward(spectral_upper(rows.numpy(), 5) * symbols.length, 2)
    return box_to_l2_upper(rows.numpy().T, symbols.reach.numpy())


def _norm(values: Tensor) -> float:
    size = values.numel()
    return upward(float(values.square().sum().sqrt()), size + 4) if size else 0.0
