"""What each layer takes as it gets sparser or narrower, measured once: the prices of budgets of latency.

A layer is timed on its own inputs, in this process: with zeros in its fastest form at a few keep_fractions, without
neurons as a layer of fewer outputs and inputs. What runs behind it until the next layer (norms, activations, pooling,
where they are modules) counts to it: zeros leave that as it is, fewer outputs make it shorter. Between the measured
places the table is linear. It never falls where more is kept: a time that does is noise, and a plan that follows
noise buys nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunegap.model.granularity import Granularity
from prunegap.trained.calibrate import Batch, run
from prunegap.trained.compare.plan import most_kept
from prunegap.trained.execute.choose import layer_inputs
from prunegap.trained.execute.forms import sparse_forms
from prunegap.trained.layer import Layer, layers, weight_matrix
from prunegap.trained.solve.support import kept_units, top_mask
from prunegap.trained.timed_call import timed_call
from prunegap.trained.timing import timed_in_turns

KEEPS = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.01)
WIDTHS = (1.0, 0.75, 0.5, 0.25, 0.1)
TURNS = 7
Times = NDArray[np.float64]


@dataclass
class LatencyTable:
    """Seconds of each prunable layer on what `inputs` gives it; layers of one shape share their times."""

    model: nn.Module
    inputs: Batch
    names: Sequence[str]
    graphs: bool = False
    _seen: dict[str, Tensor] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], Times] = field(default_factory=dict)
    _behind: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with torch.no_grad():
            self._seen = layer_inputs(self.model, self.inputs)
            self._behind = self._seconds_behind()

    def of_weights(self, granularity: Granularity) -> Callable[[str, float], float]:
        """Return seconds as a function of a layer's name and its keep_fraction; rises with the fraction."""
        times = {name: self._times(name, granularity.name, partial(_sparse, granularity)) for name in self.names}
        return lambda name, keep: float(np.interp(keep, KEEPS[::-1], times[name][::-1])) + self._behind.get(name, 0.0)

    def of_widths(self) -> Callable[[str, float, float], float]:
        """Return seconds as a function of a layer's name and the fractions of outputs and inputs it has left."""
        times = {name: self._times(name, "neuron", _narrow) for name in self.names}

        def seconds(name: str, outputs: float, inputs: float) -> float:
            by_outputs = [np.interp(inputs, WIDTHS[::-1], row[::-1]) for row in times[name]]
            own = float(np.interp(outputs, WIDTHS[::-1], by_outputs[::-1]))
            return own + outputs * self._behind.get(name, 0.0)

        return seconds

    def _seconds_behind(self) -> dict[str, float]:
        """Return the seconds of the modules that run behind each prunable layer, in the order of their calls."""
        last, calls = "", list[tuple[str, nn.Module, Tensor]]()
        names = {module: name for name, module in layers(self.model).items() if name in self.names}

        def look(module: nn.Module, given: tuple[Any, ...], _: object) -> None:
            nonlocal last
            if module in names:
                last = names[module]
            elif last and len(given) == 1 and isinstance(given[0], Tensor):
                calls.append((last, module, given[0].clone()))

        leaves = [module for module in self.model.modules() if not any(module.children())]
        handles = [leaf.register_forward_hook(look) for leaf in leaves]
        try:
            run(self.model, self.inputs)
        finally:
            for handle in handles:
                handle.remove()
        behind: dict[str, float] = {}
        for name, module, given in calls:
            if name in self._seen:
                behind[name] = behind.get(name, 0.0) + _seconds({str(module): module}, given, self.graphs)
        return behind

    def _times(self, name: str, kind: str, timed: Callable[[Layer, Tensor | None, bool], Times]) -> Times:
        layer, given = layers(self.model)[name], self._seen.get(name)
        key = (kind, str(layer), None if given is None else tuple(given.shape))
        if key not in self._known:
            with torch.no_grad():
                self._known[key] = timed(layer, given, self.graphs)
        return self._known[key]


def _sparse(granularity: Granularity, layer: Layer, given: Tensor | None, graphs: bool) -> Times:
    """Return the least seconds of any form at each of KEEPS, the greatest weights kept."""
    least = [_seconds({"dense": layer}, given, graphs)]
    for keep in KEEPS[1:]:
        if keep > most_kept(granularity):
            least.append(least[-1])
            continue
        pruned = copy.deepcopy(layer)
        masks = [top_mask(m**2, granularity, kept_units(m.shape, granularity, keep)) for m in weight_matrix(layer)]
        pruned.weight *= torch.from_numpy(np.array(masks)).reshape(layer.weight.shape).to(layer.weight.device)
        forms = sparse_forms(pruned)
        least.append(_seconds(forms, given, graphs) if forms else least[0])
    return np.minimum.accumulate(least)


def _narrow(layer: Layer, given: Tensor | None, graphs: bool) -> Times:
    """Return the seconds (outputs, inputs) of the layer with each of WIDTHS of its outputs and inputs."""
    whole = _seconds({"dense": layer}, given, graphs)
    if given is None or (not isinstance(layer, nn.Linear) and layer.groups > 1):
        # What narrows a grouped convolution narrows both its sides at once.
        return np.outer(whole * np.array(WIDTHS), np.ones(len(WIDTHS)))
    times = [
        [_seconds({"": smaller}, part, graphs) for smaller, part in _row(layer, given, width)] for width in WIDTHS
    ]
    times[0][0] = min(whole, times[0][0])
    return np.minimum.accumulate(np.minimum.accumulate(times, axis=0), axis=1)


def _row(layer: Layer, given: Tensor, width: float) -> list[tuple[Layer, Tensor]]:
    made: list[tuple[Layer, Tensor]] = []
    outputs = max(1, round(width * layer.weight.shape[0]))
    for part in WIDTHS:
        inputs, bias = max(1, round(part * layer.weight.shape[1])), layer.bias is not None
        kind = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        if isinstance(layer, nn.Linear):
            made.append((nn.Linear(inputs, outputs, bias, **kind), given[..., :inputs].contiguous()))
        else:
            sizes: dict[str, Any] = {key: getattr(layer, key) for key in ("stride", "padding", "dilation")}
            conv: Layer = type(layer)(inputs, outputs, layer.kernel_size, bias=bias, **sizes, **kind)  # type: ignore[arg-type]
            made.append((conv, given.narrow(-len(layer.kernel_size) - 1, 0, inputs).contiguous()))
    return made


def _seconds(forms: dict[str, Any], given: Tensor | None, graphs: bool) -> float:
    if given is None:  # its forward is never called; it costs what it costs, whatever is removed
        return 0.0
    calls = {kind: timed_call(partial(form, given), [given], graphs) for kind, form in forms.items()}
    times = timed_in_turns(calls, TURNS)
    return min(min(seconds) for seconds in times.values())
