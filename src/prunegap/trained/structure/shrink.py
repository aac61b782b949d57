"""Surgery: the same graph on smaller tensors.

Parameters are sliced to the indices that stay. Node by node the graph is run on the example inputs; sizes written
into a view, an expand, a split or a group count are replaced by what the labels predict, and every result must have
the predicted shape, so an error names the operation where it happens.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from prunegap.model.errors import BadInputError
from prunegap.trained.structure.graph import shape_of
from prunegap.trained.structure.groups import Keep, Structure
from prunegap.trained.structure.labels import Dims, arguments
from prunegap.trained.structure.module import ShrunkModule

aten = torch.ops.aten


def masked(model: nn.Module, structure: Structure, keep: Keep) -> nn.Module:
    """A copy of the model with zeros in every parameter entry of a removed unit: same class, same shapes.

    A removed unit then contributes exactly 0 to all that read it. Buffers stay.
    """
    twin = copy.deepcopy(model)
    gone = structure.removed(keep)
    state = dict(twin.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name in structure.flat.parameters:
            dims = structure.labels.parameters[name]
            _same_shape(name, state.get(name), dims)
            for d, label in enumerate(dims.labels):
                lost = np.flatnonzero(~structure.kept(label, dims.shape[d], gone))
                if len(lost):
                    state[name].index_fill_(d, torch.from_numpy(lost).to(state[name].device), 0.0)
    return twin


def _same_shape(name: str, tensor: torch.Tensor | None, dims: Dims) -> None:
    if tensor is None or tuple(tensor.shape) != dims.shape:
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise BadInputError(name, f"{found} in this model, not {dims.shape}", "pass the traced model or a copy of it")


def cut(model: nn.Module, structure: Structure, keep: Keep) -> ShrunkModule:
    """The smaller module, not yet compared with its masked twin (see `shrunk`)."""
    gone = structure.removed(keep)
    surgeon = _Surgeon(structure, gone, _small_tensors(model, structure, gone))
    return surgeon.operate().train(model.training)


def _small_tensors(model: nn.Module, structure: Structure, gone: NDArray[np.bool_]) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    state |= dict(model.named_buffers(remove_duplicate=False))
    small: dict[str, torch.Tensor] = {}
    for name, traced in structure.flat.tensors.items():
        dims = structure.labels.parameters[name]
        tensor = state.get(name, traced)
        _same_shape(name, tensor, dims)
        value = tensor.detach().clone()
        for d, label in enumerate(dims.labels):
            stay = structure.kept(label, dims.shape[d], gone)
            if not stay.all():
                value = value.index_select(d, torch.from_numpy(np.flatnonzero(stay)).to(value.device))
        trains = isinstance(tensor, nn.Parameter)
        small[name] = nn.Parameter(value, tensor.requires_grad) if trains else value
    return small


class _Surgeon(fx.Interpreter):
    """Copies the graph node by node, mends sizes, and runs what it copied."""

    def __init__(self, structure: Structure, gone: NDArray[np.bool_], tensors: dict[str, torch.Tensor]) -> None:
        self.structure, self.gone, self.tensors = structure, gone, tensors
        self.old = structure.flat.graph
        self.new = fx.Graph()
        self.nodes: dict[fx.Node, Any] = {}
        self.values: dict[fx.Node, Any] = {}

    def operate(self) -> ShrunkModule:
        inputs = iter([*self.structure.inputs, *self.structure.named.values()])
        last = {used: node for node in self.old.nodes for used in node.all_input_nodes}
        with torch.no_grad():
            for node in self.old.nodes:
                if node.op == "placeholder":
                    self._take(node, next(inputs))
                elif node.op == "output":
                    self.new.output(fx.map_arg(node.args[0], self.nodes.__getitem__))
                else:
                    self._visit(node)
                for used in node.all_input_nodes:
                    if last[used] is node:
                        self.values.pop(self.nodes[used], None)
        self.new.eliminate_dead_code(lambda n: n.op in ("placeholder", "output") or _mutates(n))
        self.new.lint()
        return ShrunkModule(self.tensors, self.new)

    def _take(self, node: fx.Node, value: torch.Tensor) -> None:
        self.nodes[node] = self.new.node_copy(node)
        self.values[self.nodes[node]] = torch.cat([value, value]) if value.dim() and value.shape[0] == 1 else value

    def _visit(self, node: fx.Node) -> None:
        copied = self.new.node_copy(node, self.nodes.__getitem__)
        self.nodes[node] = copied
        if node.op == "get_attr":
            self.values[copied] = self.tensors[str(node.target)]
            return
        if isinstance(node.target, torch._ops.OpOverload):
            self._mend(node, copied)
        args = fx.map_arg((copied.args, copied.kwargs), self.values.__getitem__)
        try:
            value = copied.target(*args[0], **args[1])  # type: ignore[operator]
        except Exception as error:
            raise _not_followed(node, str(error).splitlines()[0]) from error
        self.values[copied] = value
        expected = self.expected(node)
        if shape_of(value) != expected and not isinstance(value, (int, float, bool)):
            raise _not_followed(node, f"gives shape {shape_of(value)}, not {expected}")

    def expected(self, node: fx.Node) -> Any:
        """The shape (or shapes) the labels predict for a node."""

        def small(value: Any) -> Any:
            if isinstance(value, Dims):
                return tuple(int(self.stay(value, d).sum()) for d in range(len(value.shape)))
            return [small(v) for v in value] if isinstance(value, (list, tuple)) else value

        return small(self.structure.labels.env[node.name])

    def stay(self, dims: Dims, d: int) -> NDArray[np.bool_]:
        return self.structure.kept(dims.labels[d], dims.shape[d], self.gone)

    def _mend(self, node: fx.Node, copied: fx.Node) -> None:
        """Replace sizes in the arguments of one call by what is left of them."""
        name = node.target._schema.name.removeprefix("aten::").rstrip("_")  # type: ignore[union-attr]
        mend = _MENDS.get(name)
        if mend is not None:
            mend(self, node, copied, arguments(node, lambda n: self.structure.labels.env[n.name]))

    def set(self, node: fx.Node, name: str, value: Any) -> None:
        """Write an argument by its schema name."""
        schema = node.target._schema.arguments  # type: ignore[union-attr]
        position = [a.name for a in schema].index(name)
        if position < len(node.args):
            node.update_arg(position, value)
        else:
            node.update_kwarg(name, value)

    def resized(self, given: Any, wanted: int, before: fx.Node) -> Any:
        """A size argument: numbers are replaced; computed sizes are scaled by the fraction that stays."""
        if not isinstance(given, fx.Node):
            return given if given == -1 else wanted
        now = self.values[given]
        if now == wanted:
            return given
        part = np.gcd(now, wanted)
        with self.new.inserting_before(before):
            times = self.new.call_function(operator.mul, (given, int(wanted // part)))
            quotient = self.new.call_function(operator.floordiv, (times, int(now // part)))
        self.values[times], self.values[quotient] = now * int(wanted // part), wanted
        return quotient


def _mutates(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _not_followed(node: fx.Node, what: str) -> BadInputError:
    where = node.meta.get("layer") or node.name
    return BadInputError(
        f"{node.target} in {where}",
        f"cannot be made smaller: it {what}",
        "leave the groups that reach it whole, and report the model",
    )


Mend = Callable[[_Surgeon, fx.Node, fx.Node, dict[str, Any]], None]


def _sizes(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    """view, expand and their like: the sizes of the result (unflatten: of a part of it)."""
    wanted = s.expected(node)
    name = next(k for k in ("size", "shape", "sizes") if k in a)
    given = arguments(copied, lambda n: n)[name]
    first = a["dim"] % len(a["self"].shape) if name == "sizes" else 0
    sizes = [s.resized(g, wanted[first + i], copied) for i, g in enumerate(given)]
    if list(sizes) != list(given):
        s.set(copied, name, sizes)


def _pieces(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    """chunk and split: the pieces may become unequal."""
    d = a["dim"] % len(a["self"].shape)
    if not s.stay(a["self"], d).all():
        copied.target = aten.split_with_sizes.default
        copied.args, copied.kwargs = (copied.args[0], [shape[d] for shape in s.expected(node)], d), {}


def _slice(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    """Start and end count the indices that stay before them."""
    d = a["dim"] % len(a["self"].shape)
    stay = s.stay(a["self"], d)
    if not stay.all():
        start = a["start"] or 0
        start = min(start + len(stay) if start < 0 else start, len(stay))
        first = int(stay[:start].sum())
        copied.target = aten.slice.Tensor
        copied.args, copied.kwargs = (copied.args[0], d, first, first + s.expected(node)[d]), {}


def _groups_of_conv(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    if a["groups"] > 1:
        inside = int(s.stay(a["weight"], 1).sum())
        s.set(copied, "groups", int(s.stay(a["input"], 1).sum()) // inside)


def _groups_of_norm(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    inside = a["input"].shape[1] // a["num_groups"]
    s.set(copied, "num_groups", int(s.stay(a["input"], 1).sum()) // inside)


def _scale(s: _Surgeon, node: fx.Node, copied: fx.Node, a: dict[str, Any]) -> None:
    """The default scale is 1 / sqrt of the width that was."""
    if a["scale"] is None and not s.stay(a["query"], -1).all():
        copied.update_kwarg("scale", a["query"].shape[-1] ** -0.5)


_MENDS: dict[str, Mend] = {
    **dict.fromkeys(["view", "reshape", "_unsafe_view", "expand", "broadcast_to", "unflatten"], _sizes),
    **dict.fromkeys(["chunk", "split", "split_with_sizes", "tensor_split"], _pieces),
    **dict.fromkeys(["slice", "narrow"], _slice),
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _groups_of_conv),
    "group_norm": _groups_of_norm,
    "scaled_dot_product_attention": _scale,
}
