"""How far a ticket's outputs can be from its target's, by following the difference itself through the network.

For every step two forms are kept (affine.py): the target's values y and the difference d = y - y' to the ticket's y'.
They share the input's symbols, so errors that cancel over all paths do cancel. Exactly, for a layer with weights W, P
on the positive and N on the negative side,

    d' = (W + N) y - N d - (P + N) relu(y - d),     which is (W - P) y + P d where the layer is one-sided (N = -P).

ReLU: d' = s d with s in [0, 1], s = 1 where both networks are certainly active and 0 where both are not. Elsewhere
d' = d / 2 + t with |t| <= |d| / 2, so ||t||_2 <= ||d||_2 / 2: the l2 norm says that not all neurons can be at their
worst at once. y itself takes the line through both ends of its interval, or y / 2 + |y| / 2, whichever is less. Max
pooling: d' is a convex combination of the entries that can win. ReluDiff (Paulsen, Wang, Wang 2020) and DiffRNN
bound differences entry by entry; the l2 balls are what is added here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prunegap.nn.affine import UP, Form, Linear, Symbols, fresh
from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.modules import fixed, linear_map, padded
from prunegap.nn.target import LayerWeights
from prunegap.nn.ticket import Collapsed

MOST_ENTRIES = 1 << 24
"""Entries of a form's maps that are held, 128 MB: beyond them a form forgets how it depends on the input."""


class TooLargeError(Exception):
    """A form would need more memory than is allowed."""


@dataclass(frozen=True)
class _Pair:
    """The target's values and their difference to the ticket's (None: none)."""

    value: Form
    gap: Form | None

    def bounds(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the least and the greatest value of the target, then of the ticket."""
        low, high = self.value.low, self.value.high
        if self.gap is None:
            return low, high, low, high
        ticket = self.value.plus(self.gap, -1.0)
        return low, high, ticket.low, ticket.high


class Difference:
    """Bounds for one target and its ticket over sets given by a centre and the reach of every entry around it.

    `spectral` spends seconds on norms of whole matrices, which pays for large sets and not for small ones.
    """

    def __init__(
        self, graph: Graph, target: Mapping[str, LayerWeights], ticket: Mapping[str, Collapsed], *, spectral: bool
    ) -> None:
        self.steps, self.spectral = _pools_first(graph), spectral
        self.target, self.ticket = target, ticket
        size = math.prod(graph.input_shape)
        if size * size > MOST_ENTRIES:
            raise TooLargeError
        self.identity = torch.eye(size, dtype=torch.float64).reshape(size, *graph.input_shape)
        self.images: dict[tuple[str, int], Tensor] = {}

    def bound(self, centre: Tensor, reach: Tensor, length: float = math.inf) -> tuple[float, float]:
        """Return upper bounds on every |output - ticket's| and on the l2 norm of all of them.

        The set: all x with |x - centre| <= reach entry by entry, both (1, *input_shape), and ||x - centre||_2 <=
        length.
        Raises TooLargeError where not even one step fits into memory.
        """
        symbols = Symbols.within(reach.flatten(), length)
        parts = {symbols: self.identity} if bool(reach.any()) else {}
        pairs = {INPUT: _Pair(Form(centre, parts, torch.zeros_like(centre)), None)}
        for step in self.steps:
            before = [pairs[name] for name in step.inputs]
            pairs[step.name] = self._after(step, before)
        gap = pairs[self.steps[-1].name].gap
        if gap is None:
            return 0.0, 0.0
        everywhere = torch.ones_like(gap.centre, dtype=torch.bool)
        entry = gap.greatest() if self.spectral else float(torch.maximum(gap.high, -gap.low).max())
        return entry, gap.spread(everywhere, self.spectral)

    def _after(self, step: Step, before: list[_Pair]) -> _Pair:
        pair = before[0]
        if step.is_layer:
            return self._layer(step, pair)
        if step.kind == "relu":
            return self._relu(pair)
        if step.kind == "maxpool":
            return self._pool(step, pair)
        if step.kind == "shift":
            by = torch.tensor(step.options["by"], dtype=torch.float64).reshape(
                1, -1, *[1] * (pair.value.centre.ndim - 2)
            )
            wide = pair.value.through(lambda x: padded(step, x), lambda x: padded(step, x), 1)
            return _Pair(wide.moved(by), None)
        if step.kind == "add":
            gaps = [one.gap for one in before if one.gap is not None]
            both = gaps[0].plus(gaps[1]) if len(gaps) == 2 else (gaps[0] if gaps else None)
            return _Pair(pair.value.plus(before[1].value), both)
        window = math.prod(pair.value.centre.shape[2:]) if step.kind == "adaptiveavgpool" else 64

        def linear(x: Tensor) -> Tensor:
            return fixed(step, [x])

        gap = None if pair.gap is None else pair.gap.through(linear, linear, window)
        return _Pair(pair.value.through(linear, linear, window), gap)

    def _layer(self, step: Step, pair: _Pair) -> _Pair:
        weights, paths = self.target[step.name], self.ticket[step.name]
        value, gap = self._room(step, pair.value), None if pair.gap is None else self._room(step, pair.gap)
        missed = weights.weight - paths.positive if paths.negative is None else weights.weight + paths.negative
        passed = paths.positive if paths.negative is None else -paths.negative
        ours = self._map(step, 1, missed, value)
        if gap is not None:
            ours = ours.plus(self._map(step, 2, passed, gap))
        if paths.negative is not None:
            ticket = value if gap is None else value.plus(gap, -1.0)
            folded = self._map(step, 3, paths.positive + paths.negative, self._relu_value(ticket))
            ours = ours.plus(folded, -1.0)
        theirs = self._map(step, 0, weights.weight, value)
        if weights.bias is not None and paths.bias is not None:
            across = (1, -1, 1, 1) if step.kind == "conv2d" else (1, -1)
            theirs = theirs.moved(torch.from_numpy(weights.bias).reshape(across))
            ours = ours.moved(torch.from_numpy(weights.bias - paths.bias).reshape(across))
            if weights.bias_error is not None:
                lost = torch.from_numpy(weights.bias_error).reshape(across)
                theirs, ours = (Form(one.centre, one.parts, one.slop + lost * UP) for one in (theirs, ours))
        return _Pair(theirs, ours)

    def _map(self, step: Step, which: int, weight: np.ndarray, form: Form) -> Form:
        """Return the form behind a linear map; the input's symbols are mapped once for all sets."""
        array = torch.from_numpy(np.ascontiguousarray(weight))
        size = array.abs()

        def linear(x: Tensor) -> Tensor:
            if x is not self.identity:
                return linear_map(step, x, array)
            key = (step.name, which)
            if key not in self.images:
                self.images[key] = linear_map(step, x, array)
            return self.images[key]

        return form.through(linear, lambda x: linear_map(step, x, size), _terms(step))

    def _room(self, step: Step, form: Form) -> Form:
        """Return the form, or one that forgets its symbols where the layer's outputs would take too much memory."""
        per_symbol = _outputs(step, form.centre)
        if sum(part.shape[0] for part in form.parts.values()) * per_symbol <= MOST_ENTRIES:
            return form
        count = form.centre.numel()
        if count * max(count, per_symbol) > MOST_ENTRIES:
            raise TooLargeError
        everywhere = torch.ones_like(form.centre, dtype=torch.bool)
        still = Form(torch.zeros_like(form.centre), form.parts, form.slop)
        symbols, part = fresh(form.radius, everywhere, still.spread(everywhere, self.spectral))
        return Form(form.centre, {symbols: part}, torch.zeros_like(form.slop))

    def _relu(self, pair: _Pair) -> _Pair:
        low, high, ticket_low, ticket_high = pair.bounds()
        value = self._relu_value(pair.value)
        if pair.gap is None:
            return _Pair(value, None)
        active, dead = (low >= 0) & (ticket_low >= 0), (high <= 0) & (ticket_high <= 0)
        unsure = ~(active | dead)
        factor = torch.where(active, 1.0, torch.where(dead, 0.0, 0.5)).double()
        reach = torch.maximum(pair.gap.high, -pair.gap.low) / 2.0
        length = pair.gap.spread(unsure, self.spectral) / 2.0
        return _Pair(value, _with(pair.gap.times(factor), reach, unsure, length, pair.gap))

    def _relu_value(self, form: Form) -> Form:
        """Return relu(v): on an interval [l, u] around 0 by its chord, or as v / 2 + |v| / 2."""
        low, high = form.low, form.high
        unsure = (low < 0) & (high > 0)
        slope = torch.where(low >= 0, 1.0, 0.0).double()
        if not bool(unsure.any()):
            return form.times(slope)
        half = torch.maximum(-low, high) / 2.0 * UP
        length = form.spread(unsure, self.spectral) / 2.0
        chord = torch.where(unsure, high / (high - low), slope).clamp(0.0, 1.0)
        # relu(v) - chord v is 0 at v = 0 and largest at an end.
        most = torch.maximum(-chord * low, (1.0 - chord) * high) / 2.0 * UP
        if float(most[unsure].norm()) <= min(length, float(half[unsure].norm())):
            shift = torch.where(unsure, most, 0.0)
            return _with(form.times(chord).moved(shift), most, unsure)
        return _with(form.times(torch.where(unsure, 0.5, slope)), half, unsure, length, form)

    def _pool(self, step: Step, pair: _Pair) -> _Pair:
        low, high, ticket_low, ticket_high = pair.bounds()
        winners = _winners(step, low, high)
        value = _mixed(step, pair.value, winners)
        if pair.gap is None:
            return _Pair(value, None)
        either = [a | b for a, b in zip(winners, _winners(step, ticket_low, ticket_high), strict=True)]
        if not self.spectral:
            return _Pair(value, _mixed(step, pair.gap, either, convex=True))
        # On large sets nothing is gained by a mean: new symbols with a norm of at most that of the entries read.
        unsure = torch.stack(either).sum(0) > 1
        size = torch.maximum(pair.gap.high, -pair.gap.low)
        reach = [torch.where(one, tap, 0.0) for one, tap in zip(either, taps(step, size, 0.0), strict=True)]
        length = pair.gap.spread(torch.ones_like(size, dtype=torch.bool), True) * _reads(step) * UP
        decided = _mixed(step, pair.gap, either, convex=None).times(torch.where(unsure, 0.0, 1.0).double())
        return _Pair(value, _with(decided, torch.stack(reach).amax(0), unsure, length))


def _with(form: Form, reach: Tensor, where: Tensor, length: float = math.inf, origin: Form | None = None) -> Form:
    """Return the form plus new symbols for the entries `where`."""
    if not bool(where.any()):
        return form
    if int(where.sum()) * where.numel() > MOST_ENTRIES:
        raise TooLargeError
    symbols, part = fresh(reach, where, length, origin)
    return Form(form.centre, {**form.parts, symbols: part}, form.slop)


def _winners(step: Step, low: Tensor, high: Tensor) -> list[Tensor]:
    """Return for every place of the window which outputs it may decide."""
    lows, highs = taps(step, low, -math.inf), taps(step, high, -math.inf)
    best = torch.stack(lows).amax(0)
    return [(one >= best) & (one > -math.inf) for one in highs]


def _mixed(step: Step, form: Form, winners: list[Tensor], convex: bool | None = False) -> Form:
    """Return the form of the pooled entries: the mean of the candidates and new symbols for what it misses.

    With `convex` any convex combination of the candidates is covered, else their maximum; with None only the mean.
    """
    count = torch.stack(winners).sum(0).double()
    shares = [one.double() / count for one in winners]

    def mean(x: Tensor) -> Tensor:
        return sum((share * tap for share, tap in zip(shares, taps(step, x, 0.0), strict=True)), torch.zeros(()))

    middle = form.through(mean, mean, 4 * len(winners))
    unsure = count > 1
    if convex is None or not bool(unsure.any()):
        return middle
    # Only for the outputs that are not decided: how far each candidate can be from the mean.
    entries = torch.arange(form.centre.numel()).reshape(form.centre.shape).double()
    read = torch.stack([tap[unsure] for tap in taps(step, entries, 0.0)]).long()
    possible = torch.stack([one[unsure] for one in winners])[None]

    def chosen(x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1)[:, read]

    def averaged(x: Tensor) -> Tensor:
        return x[:, unsure[0]][:, None].expand(-1, len(winners), -1)

    apart = Form(chosen(form.centre), _each(form, chosen), chosen(form.slop)).plus(
        Form(averaged(middle.centre), _each(middle, averaged), averaged(middle.slop)), -1.0
    )
    lows = torch.where(possible, apart.low, math.inf if convex else -math.inf)[0]
    highs = torch.where(possible, apart.high, -math.inf)[0]
    low, high = torch.zeros_like(count), torch.zeros_like(count)
    low[unsure], high[unsure] = lows.amin(0) if convex else lows.amax(0), highs.amax(0)
    shift = (low + high) / 2.0
    reach = torch.maximum(high - shift, shift - low) * UP
    return _with(middle.moved(shift), reach, unsure)


def _each(form: Form, taken: Linear) -> dict[Symbols, Tensor]:
    return {symbols: taken(part) for symbols, part in form.parts.items()}


def taps(step: Step, x: Tensor, fill: float) -> list[Tensor]:
    """Return for every place of a pooling's window what each output finds there; `fill` beyond the border."""
    (kh, kw), (sh, sw), (ph, pw) = (step.options[name] for name in ("size", "stride", "padding"))
    wide = functional.pad(x, (pw, pw, ph, ph), value=fill)
    rows, columns = (wide.shape[2] - kh) // sh + 1, (wide.shape[3] - kw) // sw + 1
    return [
        wide[:, :, a : a + (rows - 1) * sh + 1 : sh, b : b + (columns - 1) * sw + 1 : sw]
        for a in range(kh)
        for b in range(kw)
    ]


def _reads(step: Step) -> float:
    """Return the square root of how many windows read one entry, at most."""
    return math.sqrt(math.prod(-(-k // s) for k, s in zip(step.options["size"], step.options["stride"], strict=True)))


def _outputs(step: Step, centre: Tensor) -> int:
    weight = torch.empty(
        step.shape.outputs, step.shape.inputs // step.shape.groups, *step.shape.kernel, device="meta"
    )
    return linear_map(step, torch.empty(centre.shape, device="meta"), weight).numel()


def _terms(step: Step) -> int:
    return step.shape.inputs // step.shape.groups * step.shape.taps + 8


def _pools_first(graph: Graph) -> tuple[Step, ...]:
    """Return the steps with max pooling before a ReLU that only it reads: they commute, and fewer entries remain."""
    steps = list(graph.steps)
    for place in range(len(steps) - 1):
        one, two = steps[place], steps[place + 1]
        alone = sum(step.inputs.count(one.name) for step in steps) == 1
        if one.kind == "relu" and two.kind == "maxpool" and two.inputs == (one.name,) and alone:
            steps[place] = Step(one.name, "maxpool", one.inputs, two.options)
            steps[place + 1] = Step(two.name, "relu", (one.name,), {})
    return tuple(steps)
