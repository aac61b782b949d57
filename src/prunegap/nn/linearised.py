"""Both networks near one input, as the linear maps that they are there, and what bends.

At the centre of a small box every ReLU has a side. With D = 1 where it is on, relu(z) = D z + b, and b is between 0
and (r - |z(centre)|)+ where z stays within r of its value at the centre: zero for all but the few neurons that may
change sides. So each network is its linear map at the centre, applied to the symbols of the input and to one symbol
for each neuron that may bend. Both networks share the symbols: the ticket's b' is b less a second symbol, |b - b'| <=
max(|b|, |b'|), and where both have the same side, <= |z - z'|. How far each value moves is the sum of |map| reach
over all symbols, found by following a few symbols at a time through all layers: memory is that of a batch, time that
of running both networks once for each symbol. Max pooling: D is the choice of the winner at the centre.

What rounding hides, and neurons beyond the first MOST_BENDS of a step, are an l2 ball (at_inputs.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from prunegap.nn.at_inputs import UP, Run, Side, norms, readers, sides, terms, through_fixed, window
from prunegap.nn.difference import taps
from prunegap.nn.graph import INPUT, Step
from prunegap.nn.layer_norm import reads
from prunegap.nn.modules import fixed, linear_map, padded
from prunegap.nn.norms import gamma
from prunegap.nn.target import Target
from prunegap.nn.ticket import NetworkTicket

Progress = Callable[[int, int], None]
Columns = tuple[Tensor, Tensor]
"""What symbols do to a value of the target and of the ticket, each (symbols, *shape)."""

CHUNK = 64
"""Symbols followed at a time."""
MOST_BENDS = 1024
"""Neurons of a step that get a symbol of their own, those that may bend most."""


@dataclass
class _Moves:
    """How far a value may move, entry by entry: the target's, the ticket's, their difference; and what is lost."""

    ours: Tensor
    theirs: Tensor
    apart: Tensor
    lost: list[float]


class Linearised:
    """Bounds for one target and its ticket in small boxes. The layers of both are held."""

    def __init__(self, ticket: NetworkTicket, target: Target) -> None:
        self.graph = ticket.graph
        self.layers = {
            step.name: sides(step, target.weights[step.name], ticket.layers[step.name].collapsed())
            for step in ticket.graph.layers
        }
        self.folds = {name: _fold_norm(theirs) for name, (_, theirs) in self.layers.items()}

    def bound(self, centre: Tensor, reach: Tensor, progress: Progress | None = None) -> float:
        """Return an upper bound on every |output - ticket's| over |x - centre| <= reach, both (1, *input_shape)."""
        return _Box(self, centre, reach, progress).bound()


class _Box:
    def __init__(self, nets: Linearised, centre: Tensor, reach: Tensor, progress: Progress | None) -> None:
        self.nets, self.steps, self.progress = nets, nets.graph.steps, progress
        start = Run(centre, torch.zeros(1, dtype=torch.float64))
        self.runs: dict[str, tuple[Run, Run]] = {INPUT: (start, start)}
        for step in self.steps:
            before = [self.runs[name] for name in step.inputs]
            self.runs[step.name] = self._run(step, before)
        self.moves = {
            name: _Moves(still, still, still, [0.0, 0.0])
            for name, still in ((name, torch.zeros_like(run.value)) for name, (run, _) in self.runs.items())
        }
        self.reach = reach

    def _run(self, step: Step, before: list[tuple[Run, Run]]) -> tuple[Run, Run]:
        if not step.is_layer:
            return through_fixed(step, before)
        ours, theirs = self.nets.layers[step.name]
        return ours(before[0][0]), theirs(before[0][1])

    def bound(self) -> float:
        """Return the bound on every output's error."""
        self._follow(INPUT, self.reach, both=True)
        for step in self.steps:
            # Once more, now that it is known what is lost on the way.
            runs = self._run(step, [self.runs[name] for name in step.inputs])
            lost = self.moves[step.name].lost
            self.runs[step.name] = tuple(  # type: ignore[assignment]
                Run(run.value, (run.missed + more) * UP) for run, more in zip(runs, lost, strict=True)
            )
            if step.kind in ("relu", "maxpool"):
                self._bend(step)
            elif step.is_layer and self.nets.folds[step.name]:
                self._fold(step)
        ours, theirs = self.runs[self.steps[-1].name]
        apart = (ours.value - theirs.value).abs() + self.moves[self.steps[-1].name].apart
        return math.nextafter(float((apart.max() + ours.missed + theirs.missed) * UP), math.inf)

    def _reached(self, name: str, side: int) -> Tensor:
        """Return how far a network's computed value at the centre can be from the exact one in the box."""
        moves = self.moves[name]
        return ((moves.ours, moves.theirs)[side] + self.runs[name][side].missed) * UP

    def _bend(self, step: Step) -> None:
        """Give symbols to the neurons of a step that may leave their side, and follow them."""
        name = step.inputs[0]
        ours, theirs = (self.runs[name][side].value for side in (0, 1))
        most = torch.maximum(_bends(step, ours, self._reached(name, 0)), _bends(step, theirs, self._reached(name, 1)))
        gap = (ours - theirs).abs() + self.moves[name].apart + sum(run.missed for run in self.runs[name])
        same = _choice(step, ours) == _choice(step, theirs)
        if step.kind == "maxpool":
            gap, same = 2.0 * fixed(step, [gap]), same[0]
        second = torch.where(same, torch.minimum(most, gap * UP), most)
        for reach, both in ((most, True), (second, False)):
            self._follow(step.name, self._few(step.name, reach, both), both=both)

    def _few(self, name: str, reach: Tensor, both: bool) -> Tensor:
        """Return the reach of the neurons that get symbols; the others are lost in the ball."""
        flat = reach.flatten()
        if int((flat > 0.0).sum()) <= MOST_BENDS:
            return reach
        rest = flat.clone()
        rest[flat.topk(MOST_BENDS).indices] = 0.0
        left = float(norms(rest[None]))
        ours, theirs = self.runs[name]
        self.runs[name] = (
            Run(ours.value, (ours.missed + left * both) * UP),
            Run(theirs.value, (theirs.missed + left) * UP),
        )
        return (flat - rest).reshape(reach.shape)

    def _fold(self, step: Step) -> None:
        """What a two-sided layer's P + N makes of inputs that may change their sign is lost in the ball."""
        name = step.inputs[0]
        bent = _bends(_RELU, self.runs[name][1].value, self._reached(name, 1))
        left = float(norms(bent)) * self.nets.folds[step.name] * UP
        ours, theirs = self.runs[step.name]
        self.runs[step.name] = ours, Run(theirs.value, (theirs.missed + left) * UP)

    def _follow(self, name: str, reach: Tensor, *, both: bool) -> None:
        """Follow a symbol for each entry of a value that has a reach through all steps behind it, and add them up.

        With `both` it moves both networks alike, else only the ticket.
        """
        flat = reach.flatten()
        places = torch.nonzero(flat).flatten()
        for done, part in enumerate(torch.split(places, CHUNK) if places.numel() else []):
            units = torch.zeros((part.numel(), flat.numel()), dtype=torch.float64)
            units[torch.arange(part.numel()), part] = 1.0
            units = units.reshape(-1, *reach.shape[1:])
            self._through(name, (units if both else torch.zeros_like(units), units), flat[part])
            if self.progress is not None:
                self.progress(min(places.numel(), (done + 1) * CHUNK), places.numel())

    def _through(self, start: str, columns: Columns, reach: Tensor) -> None:
        values, left = {start: columns}, readers(self.nets.graph)
        self._add(start, columns, reach)
        for step in self.steps:
            before = [values[name] for name in step.inputs if name in values]
            if before and step.name != start:
                values[step.name] = self._mapped(step, before, reach)
                self._add(step.name, values[step.name], reach)
            for name in step.inputs:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)

    def _add(self, name: str, columns: Columns, reach: Tensor) -> None:
        """Add to how far a value moves."""
        moves, up = self.moves[name], 1.0 + gamma(reach.numel() + 4)
        moves.ours, moves.theirs, moves.apart = (
            (moved + (reach @ column.abs().flatten(1)).reshape(1, *column.shape[1:]) * up) * UP
            for moved, column in zip(
                (moves.ours, moves.theirs, moves.apart), (*columns, columns[0] - columns[1]), strict=True
            )
        )

    def _mapped(self, step: Step, before: list[Columns], reach: Tensor) -> Columns:
        """Return the columns behind a step, and take note of what their rounding loses."""
        found: list[Tensor] = []
        lost = self.moves[step.name].lost
        for side in (0, 1):
            parts = [columns[side] for columns in before]
            found.append(self._side(step, side, parts))
            grown, count = self._growth(step, side, parts[0])
            lost[side] += float(reach @ sum(norms(part) for part in parts)) * grown * gamma(count) * UP
        return found[0], found[1]

    def _side(self, step: Step, side: int, parts: list[Tensor]) -> Tensor:
        x = parts[0]
        if step.is_layer:
            layer = self.nets.layers[step.name][side]
            if layer.negative is None:
                return linear_map(step, x, layer.weight)
            on = self.runs[step.inputs[0]][side].value > 0.0
            return linear_map(step, x * on, layer.weight) - linear_map(step, x * ~on, layer.negative)
        centre = self.runs[step.inputs[0]][side].value
        if step.kind == "relu":
            return x * _choice(step, centre)
        if step.kind == "maxpool":
            choice = _choice(step, centre).expand(-1, x.shape[0], -1, -1, -1)
            return torch.stack(taps(step, x, 0.0)).gather(0, choice)[0]
        if step.kind == "shift":
            return padded(step, x)
        return fixed(step, parts) if len(parts) == len(step.inputs) else x

    def _growth(self, step: Step, side: int, x: Tensor) -> tuple[float, int]:
        """Return a bound on the norm of the map's absolute values, and how many terms its sums have."""
        if not step.is_layer:
            grows = reads(step, x.shape) if "pool" in step.kind else 1.0
            return grows, window(step, x)
        layer = self.nets.layers[step.name][side]
        parts = (layer.weight,) if layer.negative is None else (layer.weight, layer.negative)
        return sum(_absolute_norm(step, part) for part in parts), terms(step)


_RELU = Step("relu", "relu", (INPUT,))


def _choice(step: Step, centre: Tensor) -> Tensor:
    """Return which neurons are on, or which place of each window wins, (1, 1, *outputs) then."""
    if step.kind == "relu":
        return centre > 0.0
    return torch.stack(taps(step, centre, -math.inf)).argmax(0, keepdim=True)


def _bends(step: Step, centre: Tensor, reach: Tensor) -> Tensor:
    """Return how far each output can be above its linear map: the neuron, or another place of the window, wins."""
    if step.kind == "relu":
        return torch.relu((reach - centre.abs()) * UP)
    values, apart = torch.stack(taps(step, centre, -math.inf)), torch.stack(taps(step, reach, 0.0))
    winner = values.argmax(0, keepdim=True)
    others = (values + apart).scatter(0, winner, -math.inf).amax(0)
    mine = (values.gather(0, winner) - apart.gather(0, winner))[0]
    rounding = 2.0**-50 * (values.gather(0, winner)[0].abs() + others.clamp(min=0.0) + apart.amax(0))
    return torch.relu(others - mine + rounding).clamp(max=torch.finfo(torch.float64).max)


def _fold_norm(theirs: Side) -> float:
    """Return a bound on the norm of P + N, 0 where the layer is one-sided."""
    if theirs.negative is None:
        return 0.0
    both = theirs.weight + theirs.negative
    return _absolute_norm(theirs.step, both) + 2.0**-50 * (
        _absolute_norm(theirs.step, theirs.weight) + _absolute_norm(theirs.step, theirs.negative)
    )


def _absolute_norm(step: Step, weight: Tensor) -> float:
    """Return an upper bound on the norm of the map with weights |W|: sqrt(greatest row sum, greatest column sum)."""
    parts = weight.abs().reshape(step.shape.groups, -1, *weight.shape[1:])
    rows, columns = parts.flatten(2).sum(2).max(), parts.transpose(1, 2).flatten(2).sum(2).max()
    return math.sqrt(float(rows) * float(columns)) * (1.0 + gamma(weight.numel() + 8))
