"""A PyTorch module becomes a graph: torch.fx follows it, BatchNorm is folded, and what cannot be imitated is named.

Every operation that is not supported is listed, layer by layer, before any work is done.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn import functional

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import INPUT, Graph, Step
from prunegap.nn.modules import fixed, linear_map
from prunegap.nn.target import LayerWeights, Target, checked_weights

NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_RELU = (torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_")
_FLATTEN = (torch.flatten, "flatten")


class _RefusedError(Exception):
    """Why an operation is not supported."""


def trace(module: nn.Module, input_shape: Sequence[int]) -> Target:
    """Return the target that `module` computes in evaluation mode on inputs of shape (batch, *input_shape).

    Supported: Linear, Conv2d (stride, zero padding, dilation, groups), ReLU, Max/Avg/AdaptiveAvgPool2d, Flatten,
    BatchNorm directly after a layer, dropout and identity (left out), and additions. Weights are taken as float64;
    folding rounds in float64. Raises BadInputError with all unsupported operations by name, for NaN weights, or if
    the module cannot be traced or run on that shape.
    """
    traced = _followed(module)
    modules = dict(traced.named_modules())
    builder = _Builder(modules)
    for node in traced.graph.nodes:
        builder.take(node)
    if builder.refused:
        raise BadInputError(
            "unsupported: " + "; ".join(builder.refused),
            "a ticket needs Linear, Conv2d, ReLU, pooling, flatten, BatchNorm after a layer, or additions",
            "replace these operations",
        )
    target = Target(Graph(tuple(int(size) for size in input_shape), tuple(builder.steps)), builder.weights)
    check_runs(target)
    return target


def folded(name: str, layer: LayerWeights, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> LayerWeights:
    """Return the weights of a layer with the BatchNorm behind it folded in, as it acts in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: PT018
    mean, gain = norm.running_mean.double(), torch.rsqrt(norm.running_var.double() + norm.eps)
    shift = torch.zeros_like(mean)
    if norm.affine:
        gain, shift = gain * norm.weight.detach().double(), norm.bias.detach().double()
    factor = gain.cpu().numpy()
    before = 0.0 if layer.bias is None else layer.bias
    bias = (before - mean.cpu().numpy()) * factor + shift.cpu().numpy()
    return checked_weights(name, layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1)), bias)


def check_runs(target: Target) -> None:
    """Follow shapes through the target's graph, without weights; raises BadInputError if they do not fit."""
    values = {INPUT: torch.empty(1, *target.graph.input_shape, device="meta")}
    try:
        for step in target.graph.steps:
            before = [values[name] for name in step.inputs]
            if step.is_layer:
                shape = step.shape
                size = (shape.outputs, shape.inputs // shape.groups, *shape.kernel)
                values[step.name] = linear_map(step, before[0], torch.empty(size, device="meta"))
            else:
                values[step.name] = fixed(step, before)
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        raise BadInputError(
            f"input shape {list(target.graph.input_shape)}", f"does not fit the network ({text})", "give its shape"
        ) from None


def _followed(module: nn.Module) -> fx.GraphModule:
    was_training = module.training
    module.eval()
    try:
        return fx.symbolic_trace(module)
    except Exception as error:
        raise BadInputError(
            type(module).__name__, f"cannot be traced ({str(error).splitlines()[0]})", "remove branches on its data"
        ) from None
    finally:
        module.train(was_training)


class _Builder:
    """Takes the nodes of a trace one by one and collects steps, weights and refusals."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.steps: list[Step] = []
        self.weights: dict[str, LayerWeights] = {}
        self.refused: list[str] = []
        self.origin: dict[fx.Node, str] = {}
        self.users: dict[str, int] = {}

    def take(self, node: fx.Node) -> None:
        """Add one node; what it cannot be is added to `refused`."""
        label = f"{node.target}" if node.op == "call_module" else node.name
        try:
            if node.op == "placeholder":
                if INPUT in self.origin.values():
                    raise _RefusedError("a second input")
                self.origin[node] = INPUT
            elif node.op == "output":
                self._finish(node)
            elif node.op == "call_module":
                self._module(node, self.modules[str(node.target)])
            elif node.op in ("call_function", "call_method"):
                self._function(node)
            else:
                raise _RefusedError(f"{node.op} of a tensor")
        except _RefusedError as reason:
            self.refused.append(f"{label} ({reason})")
            self.origin[node] = self.origin.get(_first(node), INPUT)

    def _finish(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node):
            raise _RefusedError("several outputs")
        if self.steps and self.origin[result] != self.steps[-1].name:
            # The last step run need not be the one returned: drop what nobody reads.
            while self.steps and self.steps[-1].name != self.origin[result]:
                self.weights.pop(self.steps.pop().name, None)

    def _add(self, node: fx.Node, name: str, kind: str, sources: Sequence[fx.Node], /, **options: Any) -> None:
        while name == INPUT or any(step.name == name for step in self.steps):
            name += "'"
        self.steps.append(Step(name, kind, tuple(self.origin[before] for before in sources), options))
        self.origin[node] = name

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        name, source = str(node.target), _first(node)
        if isinstance(module, NOTHING):
            self.origin[node] = self.origin[source]
        elif isinstance(module, nn.ReLU):
            self._add(node, name, "relu", [source])
        elif isinstance(module, nn.Linear):
            self._add(
                node, name, "linear", [source], outputs=module.out_features, inputs=module.in_features,
                bias=module.bias is not None,
            )  # fmt: skip
            self._weigh(node, module.weight, module.bias)
        elif isinstance(module, nn.Conv2d):
            self._add(node, name, "conv2d", [source], **_conv_options(module))
            self._weigh(node, module.weight, module.bias)
        elif isinstance(module, NORMS):
            self._fold(node, source, module)
        elif isinstance(module, nn.Flatten):
            self._flatten(node, source, module.start_dim, module.end_dim)
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)):
            self._pool(node, name, source, module)
        else:
            raise _RefusedError(type(module).__name__)

    def _weigh(self, node: fx.Node, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        name = self.origin[node]
        arrays = [None if part is None else part.detach().cpu().double().numpy() for part in (weight, bias)]
        assert arrays[0] is not None
        self.weights[name] = checked_weights(name, arrays[0], arrays[1])

    def _fold(self, node: fx.Node, source: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        before = next((step for step in self.steps if step.name == self.origin[source]), None)
        if before is None or not before.is_layer or len(source.users) > 1:
            raise _RefusedError("BatchNorm that does not follow a layer of its own")
        if module.running_mean is None or module.running_var is None:
            raise _RefusedError("BatchNorm without running statistics")
        place = self.steps.index(before)
        self.weights[before.name] = folded(before.name, self.weights[before.name], module)
        self.steps[place] = Step(before.name, before.kind, before.inputs, {**before.options, "bias": True})
        self.origin[node] = before.name

    def _pool(self, node: fx.Node, name: str, source: fx.Node, module: nn.Module) -> None:
        if isinstance(module, nn.AdaptiveAvgPool2d):
            self._add(node, name, "adaptiveavgpool", [source], size=_pair(module.output_size))
            return
        assert isinstance(module, (nn.MaxPool2d, nn.AvgPool2d))
        options = {
            "size": _pair(module.kernel_size),
            "stride": _pair(module.stride),
            "padding": _pair(module.padding),
        }
        if module.ceil_mode or getattr(module, "return_indices", False) or getattr(module, "divisor_override", None):
            raise _RefusedError("pooling with ceil_mode, indices or a divisor of its own")
        if isinstance(module, nn.MaxPool2d):
            if _pair(module.dilation) != [1, 1]:
                raise _RefusedError("pooling with dilation")
            self._add(node, name, "maxpool", [source], **options)
        else:
            if options["padding"] != [0, 0] and not module.count_include_pad:
                raise _RefusedError("average pooling that does not count its padding")
            self._add(node, name, "avgpool", [source], **options)

    def _flatten(self, node: fx.Node, source: fx.Node, start: int, end: int) -> None:
        if start != 1 or end != -1:
            raise _RefusedError("flatten of other axes than 1 to -1")
        self._add(node, node.name, "flatten", [source])

    def _function(self, node: fx.Node) -> None:
        called: Callable[..., Any] | str = node.target
        sources = [argument for argument in node.args if isinstance(argument, fx.Node)]
        if called in _RELU:
            self._add(node, node.name, "relu", sources)
        elif called in _ADD and len(sources) == 2 and not node.kwargs:
            self._add(node, node.name, "add", sources)
        elif called in _FLATTEN:
            given = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False))
            named: dict[str, Any] = {"start_dim": 0, "end_dim": -1, **given, **node.kwargs}
            self._flatten(node, sources[0], named["start_dim"], named["end_dim"])
        elif called in ("view", "reshape") and len(node.args) == 3 and node.args[2] == -1:
            self._add(node, node.name, "flatten", sources[:1])
        elif called is functional.dropout:
            self.origin[node] = self.origin[sources[0]]
        elif called in (functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d):
            pool = cast(Any, _POOLS[called])(*node.args[1:], **node.kwargs)
            self._pool(node, node.name, sources[0], pool)
        else:
            raise _RefusedError(called if isinstance(called, str) else getattr(called, "__name__", str(called)))


_POOLS: dict[Any, Callable[..., nn.Module]] = {
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}


def _conv_options(module: nn.Conv2d) -> dict[str, Any]:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise _RefusedError(f"Conv2d with padding {module.padding!r}, mode {module.padding_mode}")
    return {
        "outputs": module.out_channels,
        "inputs": module.in_channels,
        "kernel": _pair(module.kernel_size),
        "stride": _pair(module.stride),
        "padding": _pair(module.padding),
        "dilation": _pair(module.dilation),
        "groups": module.groups,
        "bias": module.bias is not None,
    }


def _pair(value: Any) -> list[int]:
    if value is None or (isinstance(value, (tuple, list)) and None in value):
        raise _RefusedError("a pooling size of None")
    return [int(part) for part in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def _first(node: fx.Node) -> fx.Node:
    return next(argument for argument in [*node.args, *node.kwargs.values()] if isinstance(argument, fx.Node))
