"""For every layer the fastest execution of its pruned weight, by timing it on the layer's own inputs.

A sparse form is taken only where it gives the same numbers and is faster than dense by more than the noise. The whole
model is timed at the end, beside the dense one, each in a process of its own: where all the choices together do not
surely win, everything stays dense. Each choice says why.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from prunegap.trained.calibrate import Batch, run
from prunegap.trained.execute.forms import sparse_forms
from prunegap.trained.execute.semi_structured import SemiStructuredLinear, is_two_of_four
from prunegap.trained.execute.sparse_layers import SparseConv2d, SparseLinear
from prunegap.trained.execute.striped_linear import StripedLinear
from prunegap.trained.latency import Stopwatch
from prunegap.trained.timed_call import timed_call
from prunegap.trained.timing import Span, timed_in_turns, timed_turn

DENSE = "dense"
SPARSE = (SparseLinear, SparseConv2d, StripedLinear, SemiStructuredLinear)
LEAST_GAIN = 0.05
"""A sparse form must surely (low end of the 95 % interval) be faster than dense by this part."""
HOPELESS, HOPELESS_AT_ONCE = 1.5, 3.0
"""A sparse form that takes this many times as long as dense, in the better of two turns, or of two calls at first, is
timed no further."""
MOST_KEPT, MOST_PACKED = 0.4, 0.6
"""Fractions of kept weights above which CSR and BSR, or 2:4, have not been seen to win, so they are not timed."""
TOLERANCE, ROUNDINGS = 1e-4, 2.0
"""Greatest difference of outputs, relative to the largest output, that rounding in another order explains; in half
precision so many roundings of an output."""


@dataclass(frozen=True)
class Choice:
    """How one layer is executed: `kind` (dense, csr, bsr, strips, 2:4), the seconds of every form timed, and why."""

    layer: str
    kind: str
    keep_fraction: float
    seconds: dict[str, float]
    reason: str


@dataclass(frozen=True)
class Execution:
    """A model that computes what the given one computes, its layers' executions chosen by timing."""

    model: nn.Module
    choices: tuple[Choice, ...]

    @property
    def is_dense(self) -> bool:
        """Whether no sparse form won."""
        return all(choice.kind == DENSE for choice in self.choices)

    def dense(self, model: nn.Module, why: str) -> Execution:
        """Return the execution of the dense model, every choice that was sparse turned dense for this reason."""
        return Execution(
            model, tuple(c if c.kind == DENSE else replace(c, kind=DENSE, reason=why) for c in self.choices)
        )


def fastest(model: nn.Module, inputs: Batch, turns: int = 15, judged: bool = True, graphs: bool = False) -> Execution:
    """Return a copy of `model` in which each Linear and Conv2d runs in its fastest form at the size of `inputs`.

    The model is run in evaluation mode without gradients and is not modified. Guarantees that every replaced layer
    reproduces the dense layer's outputs to 1e-4 of their largest (two roundings in half precision), and that the
    copy, in a process of its own, was surely faster than the dense model (low end of the 95 % interval above 1):
    otherwise the copy is dense. With `judged` False the last comparison is left to the caller. `graphs`: on CUDA
    everything is timed as CUDA graphs.
    """
    dense = copy.deepcopy(model).eval()
    with torch.no_grad():
        seen = layer_inputs(dense, inputs)
        choices, forms = [], {}
        for name, layer in dense.named_modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                choice, form = _choose(name, layer, seen.get(name), turns, graphs)
                choices.append(choice)
                if form is not None:
                    forms[layer] = form
    if not forms:
        return Execution(dense, tuple(choices))
    sparse = Execution(
        _replaced(model, {name: forms[m] for name, m in dense.named_modules() if m in forms}), tuple(choices)
    )
    if judged:
        with Stopwatch(dense, inputs, turns=turns, graphs=graphs) as stopwatch:
            speedup = stopwatch.measure(sparse.model, undecided=True).speedup
        if speedup.low <= 1.0:
            why = f"its layers alone were faster sparse, the whole model was {speedup.median:.2f} times as fast"
            return sparse.dense(dense, why)
    return sparse


def layer_inputs(model: nn.Module, inputs: Batch) -> dict[str, Tensor]:
    """Return the first input of every Linear and Conv2d that runs."""
    seen: dict[str, Tensor] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor):
                seen.setdefault(name, given[0].clone())

        return hook

    handles = [
        layer.register_forward_pre_hook(look(name))
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Linear, nn.Conv2d))
    ]
    try:
        run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _choose(
    name: str, layer: nn.Linear | nn.Conv2d, given: Tensor | None, turns: int, graphs: bool
) -> tuple[Choice, nn.Module | None]:
    kept = float((layer.weight != 0).double().mean()) if layer.weight.numel() else 1.0
    if given is None:
        return Choice(name, DENSE, kept, {}, "its forward is never called: the model uses its weight directly"), None
    packs = kept <= MOST_PACKED and layer.weight.is_cuda and is_two_of_four(layer.weight.detach())
    if kept > MOST_KEPT and not packs:
        return Choice(name, DENSE, kept, {}, f"{kept:.0%} of its weights are kept: nothing sparse wins there"), None
    forms, calls, why = _ready(layer, given, graphs)
    if not forms:
        return Choice(name, DENSE, kept, {}, why or "no sparse form of this layer exists"), None
    # Two calls, then two turns tell what is hopeless; only the rest is worth the full number.
    least = {kind: min(timed_turn(call, 1) for _ in range(2)) for kind, call in calls.items()}
    hopeful = {kind: call for kind, call in calls.items() if least[kind] <= HOPELESS_AT_ONCE * least[DENSE]}
    if len(hopeful) > 1:
        least |= {kind: min(times) for kind, times in timed_in_turns(hopeful, 2).items()}
        hopeful = {kind: call for kind, call in hopeful.items() if least[kind] <= HOPELESS * least[DENSE]}
    if len(hopeful) == 1:
        best = min(forms, key=least.__getitem__)
        return Choice(
            name, DENSE, kept, least, f"{best} is {least[DENSE] / least[best]:.2f} times as fast as dense"
        ), None
    calls = hopeful
    seconds = timed_in_turns(calls, turns)
    gains = {
        kind: Span.of([slow / quick for slow, quick in zip(seconds[DENSE], seconds[kind], strict=True)])
        for kind in calls
        if kind != DENSE
    }
    best = max(gains, key=lambda kind: gains[kind].median)
    gain, medians = gains[best], {kind: median(times) for kind, times in seconds.items()}
    if gain.low < 1.0 + LEAST_GAIN:
        why = f"{best} is {gain.median:.2f} ({gain.low:.2f} to {gain.high:.2f}) times as fast as dense"
        return Choice(name, DENSE, kept, medians, why), None
    return Choice(name, best, kept, medians, f"{gain.median:.2f} times as fast as dense"), forms[best]


def _ready(
    layer: nn.Linear | nn.Conv2d, given: Tensor, graphs: bool
) -> tuple[dict[str, nn.Module], dict[str, Callable[[], None]], str]:
    """Return the sparse forms that compute what the layer computes, calls of these and of dense, and why others fail.

    A library may refuse a form for its shape or precision; that is no failure of the comparison.
    """
    expected, forms, why = layer(given).detach(), {}, ""
    calls = {DENSE: timed_call(partial(layer, given), [given], graphs)}
    for kind, form in sparse_forms(layer).items():
        try:
            if agrees(form(given).detach(), expected):
                calls[kind], forms[kind] = timed_call(partial(form, given), [given], graphs), form
            else:
                why = f"its {kind} form gave other numbers"
        except RuntimeError as error:
            why = f"its {kind} form cannot be run ({str(error).splitlines()[0]})"
    return forms, calls, why


def agrees(found: Tensor, expected: Tensor) -> bool:
    """Whether rounding in another order explains the difference between two outputs of a layer."""
    if found.shape != expected.shape:
        return False
    if not expected.numel():
        return True
    allowed = max(TOLERANCE, ROUNDINGS * torch.finfo(expected.dtype).eps if expected.element_size() == 2 else 0.0)
    scale = max(float(expected.abs().max()), 1e-30)
    return float((found.double() - expected.double()).abs().max()) <= allowed * scale


def _replaced(model: nn.Module, forms: dict[str, nn.Module]) -> nn.Module:
    """Return a copy of the model with the named layers replaced, wherever else the same layer object is used too."""
    if "" in forms:
        return forms[""]
    made = copy.deepcopy(model).eval()
    layers = dict(made.named_modules())
    by_layer = {layers[name]: form for name, form in forms.items()}
    for parent in list(layers.values()):
        for child, module in list(parent._modules.items()):
            if module is not None and module in by_layer:
                setattr(parent, child, by_layer[module])
    return made


def multiply_adds(model: nn.Module, inputs: Batch) -> int:
    """Return the multiply-adds of all Linear and Conv2d layers that a sparse execution cannot leave out.

    For a layer with k kept weights that is applied at p places: k p (dense layers: all weights count as they are,
    zeros left out). Sparse layers count what they store. Counted layer by layer as they are called, so a layer that
    runs twice counts twice; what is not a layer (attention products, norms) is not counted.
    """
    total = 0

    def count(layer: nn.Module, given: tuple[Any, ...], outputs: Tensor) -> None:
        nonlocal total
        if isinstance(layer, SPARSE):
            kept, channels = layer.weight.stored, layer.weight.shape[0]
        else:
            assert isinstance(layer, (nn.Linear, nn.Conv2d))
            kept, channels = int((layer.weight != 0).sum()), layer.weight.shape[0]
        total += kept * (math.prod(outputs.shape) // max(1, channels))

    layers = (nn.Linear, nn.Conv2d, *SPARSE)
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, layers)]
    try:
        with torch.no_grad():
            run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return total
