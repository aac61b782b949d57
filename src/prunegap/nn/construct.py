"""Cutting a ticket: every weight of the target is a small subset sum of its own paths, near enough to it.

A weight w that acts on the positive part of input j is met by paths u v with u > 0, one that acts on the negative
part by paths |u| v with u < 0 and the goal -w (Pensia et al. 2020). Each error stays within epsilon. What is free
within that is used so that errors cancel: inputs of one sign have a common mean, so the sum of an output's errors
matters most, and each subset is chosen knowing the sum of those before. A path is spent on this only where it takes
more than `price` epsilon^2 off the square of that sum. The scale is a power of two, chosen on a sample of inputs by
the fewest paths; the width grows until nothing is impossible unless it was given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.kernels.smallest import MOST_CANDIDATES, shaped_subsets, smallest_within, summed
from prunegap.kernels.subset_sum import workspace
from prunegap.model.errors import BadInputError
from prunegap.model.outcome import Status
from prunegap.model.problem import checked_epsilon
from prunegap.nn.device import find_device
from prunegap.nn.effort import Effort
from prunegap.nn.graph import Step
from prunegap.nn.input_set import InputSet
from prunegap.nn.mask_writer import MaskWriter
from prunegap.nn.smallest_gpu import Questions, subsets_on_device
from prunegap.nn.source import MAX_CONSTANTS, UNIT, Candidates, SourceLayer
from prunegap.nn.target import LayerWeights, Target
from prunegap.nn.ticket import NetworkTicket, TicketLayer
from prunegap.nn.tolerance import Share, tolerances

Floats = NDArray[np.float64]
Masks = NDArray[np.int64]
Place = tuple[int, int]
"""A side of an input, 1 or -1, and the input."""
Progress = Callable[[str, int, int], None]
"""Called with a layer's name, weights done so far in the whole network, and all weights."""

CHUNK = 32
"""Inputs whose candidates are found at a time, while those of as many are coded."""
LEAST_SHARE = 128
"""Weights that are worth a thread."""
SAMPLE = 24
"""Inputs on which scales are compared."""
WIDEST = 80
"""Where an input has 40 candidates of either sign in the mean."""
WIDER = (*range(16, WIDEST + 1, 8), 96, 128)
"""Widths tried in turn: at 128 nearly every input has 40, and a few unlucky sums among millions are met."""


@dataclass(frozen=True)
class Impossible:
    """Sums of a layer that no subset of their candidates meets, at the given width and scale: proven by search.

    `count` of the `of` sums that were searched until one was found; `first` is one of them: side, input channel
    (constants last), place among its weights. The proof holds for epsilon less 2^-42 of the scale, which is what
    roundings may hide.
    """

    layer: str
    count: int
    of: int
    first: tuple[int, int, int]
    width: int
    exponent: int


@dataclass(frozen=True)
class Making:
    """The answer: a ticket, or what makes it impossible and about the least epsilon that would do at that width."""

    ticket: NetworkTicket | None
    impossible: tuple[Impossible, ...] = field(default=())
    enough: float | None = None

    @property
    def status(self) -> Status:
        """found or impossible."""
        return Status.IMPOSSIBLE if self.ticket is None else Status.FOUND


def default_width(epsilon: float) -> int:
    """Return the width at which widening begins: about 8 log2(1 / epsilon), where 40 of 40 weights were met."""
    return int(np.clip(8 * math.ceil(math.log2(1.0 / epsilon)), 16, WIDEST))


def make_ticket(
    target: Target,
    epsilon: float = 0.01,
    seed: int = 0,
    *,
    width: int | None = None,
    price: float = 2.0,
    inputs: InputSet | None = None,
    share: Share = Share.LAYERS,
    workers: int | None = None,
    device: str = "cpu",
    patience: float = 3600.0,
    progress: Progress | None = None,
) -> Making:
    """Return a ticket of the source `seed` with |w_hat - w| <= epsilon for every weight w and sign of its input.

    `width` hidden neurons an input, or as many as needed; `share` says which layers get less than epsilon; `price`
    is what a path costs, see above: 0 for the least error, 10 and more for nearly the fewest paths. Guaranteed: every
    weight within its tolerance, each with a subset of the first 40 hidden neurons of the sign that its input has;
    impossible is a proof for those at the width and scale given. The claim of the ticket is empty; `with_claim`
    fills it. Most subsets are found on `device`, cpu or cuda; the ticket does not depend on it. Raises BadInputError
    for a bad epsilon, seed, price or width, for a device that is not there, and where searches over all subsets are
    expected to take more than `patience` seconds (effort.py).
    """
    where = find_device(device)
    epsilon = checked_epsilon(epsilon)
    if not 0.0 <= price < math.inf:
        raise BadInputError(f"price {price}", "must be a finite number of at least 0", "use --price 2")
    shared = tolerances(target, epsilon, share)
    _check_effort(Effort(target, shared, width, seed), epsilon, width, patience)
    inputs = inputs or InputSet()
    one_sided, total, done = target.graph.one_sided(inputs), target.weight_count, 0
    layers: dict[str, TicketLayer] = {}
    impossible: list[Impossible] = []
    for index, step in enumerate(target.graph.layers):
        within = shared[step.name]
        goals = _Goals(step, target.weights[step.name], (1,) if one_sided[step.name] else (1, -1), within, price)
        report = _Report(step.name, done, total, progress)
        cut = _cut_layer(goals, seed, index, width, workers or os.cpu_count() or 1, where, report)
        if isinstance(cut, Impossible):
            impossible.append(cut)
        else:
            layers[step.name] = cut
        done += step.shape.weight_count
    if impossible:
        wide = max(part.width for part in impossible)
        return Making(None, tuple(impossible), epsilon * Effort(target, shared, wide, seed).factor())
    return Making(NetworkTicket(target.graph, layers, inputs, epsilon, target.digest(), {}))


def _check_effort(effort: Effort, epsilon: float, width: int | None, patience: float) -> None:
    seconds = effort.seconds()
    if not patience >= 0.0:
        raise BadInputError(
            f"patience {patience:g}", "must be a number of seconds, at least 0", "use --patience 3600"
        )
    if seconds > patience:
        raise BadInputError(
            f"epsilon {epsilon:g} at {'any width' if width is None else f'width {width}'}",
            f"needs searches over all subsets of {effort.candidates} values, expected to take {seconds:.1e} s",
            f"use --epsilon {epsilon * effort.factor():.2g}, or --patience for more than {patience:g} s of them",
        )


@dataclass(frozen=True)
class _Report:
    layer: str
    before: int
    total: int
    progress: Progress | None

    def __call__(self, weights: int) -> None:
        if self.progress is not None:
            self.progress(self.layer, self.before + weights, self.total)


class _Goals:
    """What the paths of one layer have to sum to, and how near."""

    def __init__(
        self, step: Step, weights: LayerWeights, sides: tuple[int, ...], within: Floats, price: float
    ) -> None:
        self.name, self.shape, self.weights, self.sides = step.name, step.shape, weights, sides
        self.within, self.price = within, price
        self.columns = self.shape.columns(weights.weight)

    @property
    def largest(self) -> float:
        """The largest |w|; that of a bias divided by the number of constant inputs it may have at most."""
        return max(float(np.abs(self.columns).max()), self.largest_bias / MAX_CONSTANTS)

    @property
    def largest_bias(self) -> float:
        """The largest |b|, 0 without bias."""
        return 0.0 if self.weights.bias is None else float(np.abs(self.weights.bias).max())

    def source(self, seed: int, index: int, width: int, exponent: int) -> SourceLayer:
        """Return the random layers; a bias gets about one constant input for each multiple of the scale."""
        constants = min(MAX_CONSTANTS, max(1, math.ceil(self.largest_bias / 2.0**exponent))) * self.shape.bias
        return SourceLayer(self.shape, seed, index, width, exponent, constants)

    def carried(self) -> Floats:
        """Return errors of 0 for every output, shape (outputs,)."""
        return np.zeros(self.shape.outputs)

    def asked(self, source: SourceLayer, side: int, block: int) -> tuple[Floats, float, float]:
        """Return what the sums of an input have to be, how near, and a path's price, in units of `Candidates`."""
        unit = UNIT * source.scale
        # Goals off the grid of products make differences that are rounded, by less than one unit.
        within = self.within[block] / unit * (1.0 - 2.0**-50) - 1.0
        return side * self.columns[block] / unit, within, self.price * (self.within[block] / unit) ** 2

    def masks(
        self, source: SourceLayer, side: int, block: int, candidates: Candidates, carried: Floats, share: _Share
    ) -> Masks:
        """Return the masks (m,) of an input, -1 where impossible, and bring the errors carried up to date."""
        goals, within, price = self.asked(source, side, block)
        masks = np.zeros(goals.size, dtype=np.int64)
        outputs = self.shape.outputs // self.shape.groups
        group = block // (self.shape.inputs // self.shape.groups)
        carried = carried[group * outputs : (group + 1) * outputs]
        taps = goals.size // carried.size

        def solve(part: tuple[int, int]) -> None:
            space = workspace(candidates.rows.size)
            shaped_subsets(
                candidates.factors, candidates.draws, goals, within, price, carried, part[0], part[1], space, masks
            )

        share(solve, carried.size, taps)
        return masks

    def constant_masks(self, source: SourceLayer, block: int, candidates: Candidates, left: Floats) -> Masks:
        """Return the masks (outputs,) of a constant input; take its sums off `left`, what the bias still lacks.

        All but the last constant input take an even share, roughly; the last one meets what is left, or cannot.
        """
        unit = UNIT * source.scale
        masks, sums = np.zeros(left.size, dtype=np.int64), np.empty(left.size)
        space, inputs_left = workspace(candidates.rows.size), source.blocks - block
        for output, lacking in enumerate(left):
            values = candidates.factors * candidates.draws[:, output]
            if inputs_left == 1:
                # What is left was rounded once for each constant input.
                within = self.within[-1] / unit * (1.0 - 2.0**-50) - 2.0 * MAX_CONSTANTS
                masks[output] = smallest_within(values, lacking / unit, within, *space)
            elif abs(lacking) > source.scale:
                goal = lacking / unit / inputs_left
                masks[output] = max(0, smallest_within(values, goal, source.scale / unit / 4.0, *space))
        summed(candidates.factors, candidates.draws, np.maximum(masks, 0), sums)
        left -= sums * unit
        return masks


class _Share:
    """Shares the outputs of an input out among threads; the answer does not depend on their number."""

    def __init__(self, pool: ThreadPoolExecutor | None, workers: int) -> None:
        self.pool, self.workers = pool, workers

    def __call__(self, solve: Callable[[tuple[int, int]], None], outputs: int, taps: int) -> None:
        parts = min(self.workers, max(1, outputs * taps // LEAST_SHARE), outputs)
        ends = [outputs * k // parts * taps for k in range(parts + 1)]
        if self.pool is None or parts == 1:
            solve((0, ends[-1]))
        else:
            list(self.pool.map(solve, pairwise(ends)))


def _cut_layer(
    goals: _Goals, seed: int, index: int, width: int | None, workers: int, device: torch.device, report: _Report
) -> TicketLayer | Impossible:
    """Return the layer's masks, at the given width or the first wide enough."""
    start = default_width(float(goals.within.min()))
    for wide in [start, *(wide for wide in WIDER if wide > start)] if width is None else [width]:
        # One sum of the sample that nothing meets is proof enough for its scale: the rest need not be searched.
        failed, exponents = _ranked_scales(goals, seed, index, wide, report)
        for exponent in exponents:
            cut = _cut(goals, goals.source(seed, index, wide, exponent), workers, device, report)
            if isinstance(cut, TicketLayer):
                return cut
            failed.append(cut)
        if all(_has_all_candidates(goals, seed, index, part) for part in failed):
            break
    return failed[-1]


def _has_all_candidates(goals: _Goals, seed: int, index: int, part: Impossible) -> bool:
    """Return whether a wider source would offer the impossible sum no other candidates."""
    side, block, _ = part.first
    source = goals.source(seed, index, part.width, part.exponent)
    return source.candidates(block, side).rows.size == MOST_CANDIDATES


def _ranked_scales(
    goals: _Goals, seed: int, index: int, width: int, report: _Report
) -> tuple[list[Impossible], list[int]]:
    """Return the scales at which a sum of the sample is impossible, and the others, the fewest paths first."""
    largest = goals.largest
    if largest == 0.0:
        return [], [0]
    top = math.ceil(math.log2(largest))
    blocks = np.unique(np.linspace(0, goals.shape.inputs - 1, SAMPLE).astype(int)).tolist()
    blocks.append(int(np.abs(goals.columns).max(axis=1).argmax()))
    ranked, failed = [], []
    for exponent in (top, top - 1, top + 1):
        source, kept, of = goals.source(seed, index, width, exponent), 0, 0
        for block in blocks:
            report(0)
            found = goals.masks(source, 1, block, source.candidates(block, 1), goals.carried(), _Share(None, 1))
            absent, of = np.flatnonzero(found < 0), of + found.size
            if absent.size:
                first = (1, block, int(absent[0]))
                failed.append(Impossible(goals.name, absent.size, of, first, width, exponent))
                break
            kept += int(np.bitwise_count(found.astype(np.uint64)).sum())
        else:
            ranked.append((kept, exponent))
    return failed, [exponent for _, exponent in sorted(ranked)]


class _Finder:
    """Finds the masks of a layer, part after part of its inputs; what sums leave over is carried along."""

    def __init__(
        self, goals: _Goals, source: SourceLayer, pool: ThreadPoolExecutor, workers: int, device: torch.device
    ) -> None:
        self.goals, self.source, self.pool, self.device = goals, source, pool, device
        self.share = _Share(pool, workers)
        self.carried = {side: goals.carried() for side in goals.sides}
        self.left = np.zeros(0) if goals.weights.bias is None else goals.weights.bias.copy()

    def __call__(self, part: list[Place]) -> list[tuple[Candidates, Masks]]:
        """Return the candidates and masks of every input and side of a part."""
        drawn = list(self.pool.map(lambda place: self.source.candidates(place[1], place[0]), part))
        found = {} if self.device.type == "cpu" else self._on_device(part, drawn)
        return [
            (candidates, found[place] if place in found else self._here(place, candidates))
            for place, candidates in zip(part, drawn, strict=True)
        ]

    def _here(self, place: Place, candidates: Candidates) -> Masks:
        side, block = place
        if block >= self.goals.shape.inputs:
            return self.goals.constant_masks(self.source, block, candidates, self.left)
        return self.goals.masks(self.source, side, block, candidates, self.carried[side], self.share)

    def _on_device(self, part: list[Place], drawn: list[Candidates]) -> dict[Place, Masks]:
        """Return the masks of all inputs but the constant ones."""
        found: dict[Place, Masks] = {}
        for side, carried in self.carried.items():
            mine = [k for k, place in enumerate(part) if place[0] == side and place[1] < self.goals.shape.inputs]
            if mine:
                blocks = [part[k][1] for k in mine]
                asked = [self.goals.asked(self.source, side, block) for block in blocks]
                columns = [np.array(column) for column in zip(*asked, strict=True)]
                questions = Questions(self.goals.shape, blocks, [drawn[k] for k in mine], *columns)
                masks = subsets_on_device(questions, carried, self.device, self.pool)
                found |= {part[k]: row for k, row in zip(mine, masks, strict=True)}
        return found


def _cut(
    goals: _Goals, source: SourceLayer, workers: int, device: torch.device, report: _Report
) -> TicketLayer | Impossible:
    """Return the coded masks of a layer at one width and scale; a part is coded while the next one is found."""
    layer = TicketLayer(source, goals.sides, b"")
    writer, above = MaskWriter(), np.zeros(0, dtype=np.int64)
    missing, of, first, done = 0, 0, (0, 0, 0), 0
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as ahead:
        find = _Finder(goals, source, pool, workers, device)
        for part, found in _one_ahead(ahead, find, _chunks(layer.order())):
            for (side, block), (candidates, masks) in zip(part, found, strict=True):
                absent = np.flatnonzero(masks < 0)
                if absent.size and not missing:
                    first = (side, block, int(absent[0]))
                missing, of = missing + absent.size, of + masks.size
                if not missing:
                    writer.write(masks, candidates, above if above.size == masks.size else np.zeros_like(masks))
                above = masks
                done += masks.size
            report(done // len(goals.sides))
            if missing:
                break
    if missing:
        return Impossible(goals.name, missing, of, first, source.width, source.exponent)
    return TicketLayer(source, goals.sides, writer.finished())


def _one_ahead(
    ahead: ThreadPoolExecutor, find: _Finder, parts: Iterator[list[Place]]
) -> Iterator[tuple[list[Place], list[tuple[Candidates, Masks]]]]:
    """Yield every part with what is found in it, while the next one is being found."""
    waiting: tuple[list[Place], Future[list[tuple[Candidates, Masks]]]] | None = None
    for part in parts:
        before, waiting = waiting, (part, ahead.submit(find, part))
        if before is not None:
            yield before[0], before[1].result()
    if waiting is not None:
        yield waiting[0], waiting[1].result()


def _chunks(order: Iterator[Place]) -> Iterator[list[Place]]:
    while part := list(islice(order, CHUNK)):
        yield part
