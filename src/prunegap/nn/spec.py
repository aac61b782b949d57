"""A network in words: safetensors weights and a line that says how they are wired.

    fc1 relu fc2
    conv1(padding=2) relu maxpool(2) conv2 relu maxpool(2) flatten fc1 relu fc2
    conv1(padding=1) relu save:a conv2(padding=1) relu conv3(padding=1) add:a relu adaptiveavgpool(1) flatten fc

A word that is no operation is a layer: the state holds NAME.weight and maybe NAME.bias; two axes are a Linear, four
a Conv2d with stride, padding, dilation and groups in brackets. `bn:NAME` folds the BatchNorm NAME into the layer
before it. `save:a` gives a name to the value so far, `from:a` goes on from it, `add:a` adds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.target import LayerWeights, LazyWeights, Target, checked_weights
from prunegap.nn.trace import check_runs, folded

_WORD = re.compile(r"([\w.:/-]+?)(?:\(([^()]*)\))?$")


def read_target(path: Path | str, spec: str, input_shape: Sequence[int]) -> Target:
    """Return the target whose weights lie in a safetensors file, wired as `spec` says.

    Raises BadInputError for a file that cannot be read, unknown words (all of them are named), weights that are
    missing or of another shape, and NaN.
    """
    from safetensors import SafetensorError

    try:
        state = _State(path)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(
            str(path), f"is no readable safetensors file ({reason})", "save the state there"
        ) from None
    return target_of(state, spec, input_shape)


class _State(Mapping[str, Tensor]):
    """The tensors of a safetensors file; each is read when it is asked for."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        with self._open() as file:
            self._names = frozenset(file.keys())

    def _open(self) -> Any:
        from safetensors import safe_open

        return safe_open(self._path, framework="pt")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        with self._open() as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def target_of(state: Mapping[str, Tensor], spec: str, input_shape: Sequence[int]) -> Target:
    """As `read_target`, for a state that is at hand."""
    wiring = _Wiring(state)
    words = re.findall(r"\S+?\([^()]*\)|\S+", spec)
    for word in words:
        wiring.take(word)
    if wiring.refused:
        raise BadInputError(
            "spec: " + "; ".join(wiring.refused),
            "every word must be an operation or a layer of the state",
            _remedy(state),
        )
    graph = Graph(tuple(int(size) for size in input_shape), tuple(wiring.steps))
    target = Target(graph, LazyWeights(wiring.weights))
    check_runs(target)
    return target


def _remedy(state: Mapping[str, Tensor]) -> str:
    layers = sorted(name.removesuffix(".weight") for name in state if name.endswith(".weight"))
    return f"the state has layers {' '.join(layers) or 'none'}; see docs/network-tickets.md"


class _Wiring:
    """Takes the words of a spec one by one and collects steps, weights and refusals."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state
        self.steps: list[Step] = []
        self.weights: dict[str, Callable[[], LayerWeights]] = {}
        self.refused: list[str] = []
        self.saved: dict[str, str] = {}
        self.here = INPUT

    def take(self, word: str) -> None:
        """Add one word."""
        match = _WORD.match(word)
        try:
            if match is None:
                raise ValueError("is no word")
            name, options = match[1], _options(match[2])
            verb, _, argument = name.partition(":")
            if argument and verb in _VERBS:
                _VERBS[verb](self, argument, options)
            elif name in _FIXED:
                self._add(f"{name}{len(self.steps)}", name, [self.here], **_FIXED[name](options))
            else:
                self._layer(name, options)
        except BadInputError:
            raise
        except (ValueError, KeyError) as error:
            self.refused.append(f"{word} ({error})")

    def _add(self, name: str, kind: str, sources: list[str], /, **options: Any) -> None:
        self.steps.append(Step(name, kind, tuple(sources), options))
        self.here = name

    def _layer(self, name: str, given: dict[str, list[int]]) -> None:
        weight = self.state.get(f"{name}.weight")
        if weight is None or weight.ndim not in (2, 4):
            raise ValueError("is no operation and no layer" if weight is None else f"has {weight.ndim} axes")
        if name in self.weights:
            raise ValueError("is used twice")
        bias = self.state.get(f"{name}.bias")
        options: dict[str, Any] = {"outputs": weight.shape[0], "inputs": weight.shape[1], "bias": bias is not None}
        if weight.ndim == 4:
            groups = given.pop("groups", [1])[0]
            options |= {"inputs": weight.shape[1] * groups, "groups": groups, "kernel": list(weight.shape[2:])}
            for option, default in (("stride", 1), ("padding", 0), ("dilation", 1)):
                options[option] = _pair(given.pop(option, [default]))
        if given:
            raise ValueError(f"takes no {min(given)}")
        self._weigh(name, partial(_read, self.state, name))
        self._add(name, "linear" if weight.ndim == 2 else "conv2d", [self.here], **options)

    def _weigh(self, name: str, read: Callable[[], LayerWeights]) -> None:
        """Take note of how to read a layer, once it is known that it can be read."""
        read()
        self.weights[name] = read

    def _fold(self, name: str, options: dict[str, list[Any]]) -> None:
        place = next((k for k, step in enumerate(self.steps) if step.name == self.here), None)
        if place is None or not self.steps[place].is_layer or self.here in self.saved.values():
            raise ValueError("does not follow a layer of its own")
        parts = {part: self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")}
        norm = nn.BatchNorm2d(parts["running_mean"].shape[0], eps=float(options.get("eps", [1e-5])[0]))
        norm.load_state_dict(parts, strict=False)
        step = self.steps[place]
        before = self.weights[step.name]
        self._weigh(step.name, lambda: folded(step.name, before(), norm))
        self.steps[place] = Step(step.name, step.kind, step.inputs, {**step.options, "bias": True})

    def _save(self, name: str, options: dict[str, list[Any]]) -> None:
        self.saved[name] = self.here

    def _go(self, name: str, options: dict[str, list[Any]]) -> None:
        self.here = self.saved[name]

    def _sum(self, name: str, options: dict[str, list[Any]]) -> None:
        self._add(f"add{len(self.steps)}", "add", [self.here, self.saved[name]])


def _read(state: Mapping[str, Tensor], name: str) -> LayerWeights:
    parts = (state[f"{name}.weight"], state.get(f"{name}.bias"))
    # float64 holds every narrower type, and numpy knows no bfloat16.
    weight, bias = (None if part is None else part.double().numpy() for part in parts)
    assert weight is not None
    return checked_weights(name, weight, bias)


_VERBS: dict[str, Callable[[_Wiring, str, dict[str, list[Any]]], None]] = {
    "bn": _Wiring._fold,
    "save": _Wiring._save,
    "from": _Wiring._go,
    "add": _Wiring._sum,
}


def _options(text: str | None) -> dict[str, list[Any]]:
    """Return the options in brackets: `2` and `2x3` are sizes, `stride=2` and `padding=1x2` have names."""
    options: dict[str, list[Any]] = {}
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, _, value = part.rpartition("=")
        options[name or "size"] = [float(value)] if name == "eps" else [int(size) for size in value.split("x")]
    return options


def _pair(values: list[int]) -> list[int]:
    if len(values) not in (1, 2):
        raise ValueError("takes one or two sizes")
    return values * 2 if len(values) == 1 else values


def _window(options: dict[str, list[int]]) -> dict[str, Any]:
    size = _pair(options["size"])
    return {"size": size, "stride": _pair(options.get("stride", size)), "padding": _pair(options.get("padding", [0]))}


_FIXED: dict[str, Callable[[dict[str, list[int]]], dict[str, Any]]] = {
    "relu": lambda options: {},
    "flatten": lambda options: {},
    "maxpool": _window,
    "avgpool": _window,
    "adaptiveavgpool": lambda options: {"size": _pair(options["size"])},
}
