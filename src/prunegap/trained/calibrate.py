"""Calibration: the moments of each layer, its inputs from the pruned model and its targets from the dense one.

So each layer is asked to undo, as far as it can, the errors of the layers pruned before it. Layers that read the
same tensor form a stage and are pruned from the same pass. Every fourth sample is held out to choose the ridge.
What the dense model gives is asked for again and again, so it is kept once it is known, as far as memory allows.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.layer import NORMS, Layer, input_rows, layers, output_rows, shared, weight_matrix
from prunegap.trained.solve.gram import Array, Moments

Batch = torch.Tensor | Sequence[Any] | Mapping[str, Any]

HELD_OUT_EVERY = 4
MOST_ROWS = 20_000
"""Rows a layer's moments are taken from; the positions of a convolution are thinned to about that many."""


ROWS_AT_ONCE = 512
"""Rows that are summed together."""
HELD_BYTES = 1_000_000_000
"""Bytes of the dense model's outputs that are kept between passes."""


class _ReachedError(Exception):
    """Everything asked for has been seen: the rest of the forward pass is not needed."""


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """The moments of each group of a layer, on the rows to fit and on the rows held out (perhaps none)."""

    fit: tuple[Moments, ...]
    held: tuple[Moments, ...]

    @cached_property
    def all(self) -> tuple[Moments, ...]:
        """Return the moments over all rows."""
        return tuple(a + b for a, b in zip(self.fit, self.held, strict=True))


def run(model: nn.Module, batch: Batch) -> Any:
    """Return model(batch): a tensor is the argument, a tuple or list the arguments, a mapping the named arguments."""
    if isinstance(batch, torch.Tensor):
        return model(batch)
    return model(**batch) if isinstance(batch, Mapping) else model(*batch)


def first_tensor(result: Any) -> torch.Tensor:
    """Return the first tensor of a model's output: itself, or the first entry of a sequence or mapping."""
    while not isinstance(result, torch.Tensor):
        result = next(iter(result.values())) if isinstance(result, Mapping) else result[0]
    return result


class Calibration:
    """The dense model, its batches, and the order in which it calls its layers.

    `order` are the layers called, first call first; a layer whose weight another module holds too is no such layer.
    `stages` groups them by the tensor they read; `norms` maps a layer without a bias to the batch norm that reads its
    output and can carry one. The model is only read. Raises BadInputError for no batches, for a layer whose output is
    NaN or infinite (named) and for a model that fails on the first batch.
    """

    def __init__(self, model: nn.Module, batches: Iterable[Batch]) -> None:
        self.model = model
        self.batches = list(batches)
        if not self.batches:
            raise BadInputError("calibration", "holds no batches", "give at least one batch of inputs")
        self.order: list[str] = []
        self.calls: dict[str, int] = {}
        self.norms: dict[str, str] = {}
        self._readers: dict[int, list[str]] = {}
        self._plan()
        self.stages = tuple(tuple(names) for names in self._readers.values())
        self._times = dict.fromkeys(range(len(self.batches)), 1)
        self._targets = _Targets(HELD_BYTES)

    def _plan(self) -> None:
        made: dict[int, str] = {}
        alive: list[torch.Tensor] = []  # an id is only unique while its tensor lives

        def seen(name: str, module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            alive.extend((given[0], result))
            if isinstance(module, NORMS):
                self.norms.setdefault(made.get(id(given[0]), ""), name)
                return
            if not torch.isfinite(result).all():
                raise BadInputError(
                    f"layer {name}", "gives NaN or infinite outputs in calibration", "mend its inputs or weights"
                )
            made[id(result)] = name
            if name not in self.calls:
                self.order.append(name)
                self._readers.setdefault(id(given[0]), []).append(name)
            self.calls[name] = self.calls.get(name, 0) + 1

        twins = dict(shared(self.model))
        found = {name: layer for name, layer in layers(self.model).items() if name not in twins}
        watched = {name: m for name, m in self.model.named_modules() if name in found or isinstance(m, NORMS)}
        given = copy.deepcopy(self.batches[0])
        with evaluating(self.model), _hooked(watched, seen):
            _run_named(self.model, given, 0)
        if not _same(given, self.batches[0]):
            raise BadInputError(
                "model",
                "changes its inputs in place: run twice, it sees other inputs",
                "copy them first in its forward (x = x * 2, not x *= 2)",
            )
        self.norms = {name: norm for name, norm in self.norms.items() if name in found and found[name].bias is None}

    def chunks(self, most: int | None) -> tuple[tuple[str, ...], ...]:
        """Return the stages merged into at most `most` runs of consecutive stages (None: as they are)."""
        if most is None or most >= len(self.stages):
            return self.stages
        bounds = np.linspace(0, len(self.stages), max(most, 1) + 1).round().astype(int)
        return tuple(
            tuple(name for stage in self.stages[start:stop] for name in stage)
            for start, stop in itertools.pairwise(bounds)
        )

    def drawn(self, places: Iterable[int]) -> Calibration:
        """Return the same calibration with the batches at these places, each as often as it is named."""
        other = copy.copy(self)
        other._times = dict(sorted(Counter(int(place) for place in places).items()))
        return other

    @property
    def sample(self) -> list[Batch]:
        """The batches, each as often as it was drawn."""
        return [self.batches[number] for number, times in self._times.items() for _ in range(times)]

    def moments(self, pruned: nn.Module, names: Sequence[str], seed: int = 0) -> dict[str, LayerMoments]:
        """Return the moments of the named layers: inputs in `pruned`, outputs in the dense model.

        Raises BadInputError, naming the layer, for inputs that are NaN or infinite or whose shapes differ from the
        dense model's.
        """
        if not names:
            return {}
        theirs = layers(pruned)
        sums = {name: _Split(theirs[name]) for name in names}
        offset = 0
        for number, batch in enumerate(self.batches):
            samples = batch_of(batch)
            if number in self._times:
                targets = self._dense_rows(number, names, seed)
                watched = {name: theirs[name] for name in names}
                calls = {name: self.calls[name] for name in names}
                inputs = _captured(pruned, watched, calls, batch, number, outputs=False)
                for name in names:
                    for value, target in zip(inputs[name], targets[name], strict=True):
                        sums[name].add(name, value, target, offset, self._times[number])
                        samples = int(value.shape[0])
            offset += samples
        return {name: split.result() for name, split in sums.items()}

    def _dense_rows(self, number: int, names: Sequence[str], seed: int) -> dict[str, list[Rows]]:
        """Return for each layer and call the positions chosen in one batch and the dense model's outputs there."""
        found = {name: self._targets.get((number, name, seed)) for name in names}
        missing = [name for name, rows in found.items() if rows is None]
        if missing:
            mine = layers(self.model)
            calls = {name: self.calls[name] for name in missing}
            watched = {name: mine[name] for name in missing}
            outputs = _captured(self.model, watched, calls, self.batches[number], number, outputs=True)
            for name in missing:
                generator = np.random.default_rng([seed, number, self.order.index(name)])
                limit = -(-MOST_ROWS // (len(self.batches) * calls[name]))
                rows = [_chosen(output_rows(mine[name], value), limit, generator) for value in outputs[name]]
                found[name] = rows
                self._targets.put((number, name, seed), rows)
        return {name: rows for name, rows in found.items() if rows is not None}


Rows = tuple[np.ndarray[Any, np.dtype[np.int64]], torch.Tensor]
"""Positions of a layer's output that are looked at, and the outputs there, (samples, positions, groups, out)."""


def _chosen(outputs: torch.Tensor, limit: int, generator: np.random.Generator) -> Rows:
    wanted = max(1, limit // max(int(outputs.shape[0]), 1))
    chosen = np.sort(generator.permutation(outputs.shape[1])[:wanted])
    return chosen, outputs[:, chosen].clone()


class _Targets:
    """The dense model's outputs by batch and layer, up to a number of bytes; what does not fit is made anew."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._rows: dict[tuple[int, str, int], list[Rows]] = {}

    def get(self, key: tuple[int, str, int]) -> list[Rows] | None:
        return self._rows.get(key)

    def put(self, key: tuple[int, str, int], rows: list[Rows]) -> None:
        size = sum(outputs.numel() * outputs.element_size() for _, outputs in rows)
        if size <= self._left:
            self._rows[key] = rows
            self._left -= size


def batch_of(batch: Batch) -> int:
    """Return the first dimension of the first tensor of a batch that has one, 1 without."""
    return next((int(x.shape[0]) for x in _pytree.tree_leaves(batch) if isinstance(x, torch.Tensor) and x.ndim), 1)


class _Split:
    """The sums of one layer, every fourth sample apart.

    Rows wait until there are ROWS_AT_ONCE of them: few rows cost as much as many where the sums are large.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        groups, outputs, inputs = weight_matrix(layer).shape
        self.parts = [[Moments.zeros(inputs, outputs) for _ in range(groups)] for _ in range(2)]
        self._waiting: dict[tuple[int, int], list[tuple[Array, Array]]] = {}

    def add(self, name: str, value: torch.Tensor, target: Rows, offset: int, times: int) -> None:
        if not torch.isfinite(value).all():
            raise BadInputError(f"layer {name}", "reads NaN or infinite inputs in calibration", "mend the inputs")
        chosen, goal = target
        held = (np.arange(value.shape[0]) + offset) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
        for side, samples in enumerate((~held, held)):
            for start in range(0, int(samples.sum()), 64):
                index = torch.from_numpy(np.flatnonzero(samples)[start : start + 64])
                rows = input_rows(self.layer, value[index])[:, chosen].double().cpu().numpy()
                outs = goal[index].double().cpu().numpy()
                waiting = self._waiting.setdefault((side, times), [])
                waiting.append((rows.reshape(-1, *rows.shape[2:]), outs.reshape(-1, *outs.shape[2:])))
                if sum(len(inputs) for inputs, _ in waiting) >= ROWS_AT_ONCE:
                    self._sum(side, times)

    def _sum(self, side: int, times: int) -> None:
        rows, outs = (np.concatenate(parts) for parts in zip(*self._waiting.pop((side, times)), strict=True))
        for group, moments in enumerate(self.parts[side]):
            moments.add(np.ascontiguousarray(rows[:, group]), np.ascontiguousarray(outs[:, group]), times)

    def result(self) -> LayerMoments:
        for side, times in list(self._waiting):
            self._sum(side, times)
        return LayerMoments(tuple(self.parts[0]), tuple(self.parts[1]))


def _captured(
    model: nn.Module, watched: Mapping[str, Layer], calls: Mapping[str, int], batch: Batch, number: int, outputs: bool
) -> dict[str, list[torch.Tensor]]:
    """Return the outputs (or inputs) of the watched layers, call by call; stops the pass at the last of them.

    The last layer itself is not run for its inputs.
    """
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in watched}
    left = sum(calls.values())

    def seen(name: str, module: nn.Module, given: tuple[Any, ...], result: Any = None) -> None:
        nonlocal left
        kept[name].append((result if outputs else given[0]).detach().clone())
        left -= 1
        if left == 0:
            raise _ReachedError

    with evaluating(model), _hooked(watched, seen, before=not outputs), suppress(_ReachedError):
        _run_named(model, batch, number)
    return kept


def _same(left: Batch, right: Batch) -> bool:
    pairs = zip(_pytree.tree_leaves(left), _pytree.tree_leaves(right), strict=True)
    return all(torch.equal(a, b) for a, b in pairs if isinstance(a, torch.Tensor))


def _run_named(model: nn.Module, batch: Batch, number: int) -> None:
    """Run the model; raises BadInputError that names the batch, and the layer inside which it fails."""
    try:
        run(model, batch)
    except (BadInputError, _ReachedError):
        raise
    except Exception as error:
        inside = _failing_layer(model, batch)
        where = f"fails at layer {inside}" if inside else "cannot be run on it"
        remedy = "give batches as the model's forward takes them, without labels"
        raise BadInputError(
            f"calibration batch {number} ({type(error).__name__}: {error})", f"the model {where}", remedy
        ) from error


def _failing_layer(model: nn.Module, batch: Batch) -> str:
    """Return the innermost module that is entered and not left when the model is run again; empty for none."""
    inside: list[str] = []
    handles = []

    def left(_: nn.Module, given: Any, result: Any) -> None:
        inside.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _, given, name=name: inside.append(name)))
        handles.append(module.register_forward_hook(left))
    try:
        run(model, batch)
    except Exception:
        return inside[-1] if inside else ""
    finally:
        for handle in handles:
            handle.remove()
    return ""


@contextmanager
def _hooked(watched: Mapping[str, nn.Module], seen: Callable[..., None], before: bool = False) -> Any:
    """Call seen(name, module, given, result) after each watched module has run, or without a result `before` it."""
    handles = [
        module.register_forward_pre_hook(partial(seen, name))
        if before
        else module.register_forward_hook(partial(seen, name))
        for name, module in watched.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Any:
    """Run in eval mode without gradients; every module's mode is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
