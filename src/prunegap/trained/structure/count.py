"""Parameters, multiply-accumulates and bytes of a dense model, counted from its graph.

One multiply-accumulate (MAC) is one multiplication with its addition; FLOPs are twice that. Counted are
contractions (linear, convolution, matrix product, einsum, attention): elementwise work is left out, as usual.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from prunegap.trained.structure.graph import flatten, run_shapes
from prunegap.trained.structure.groups import Structure
from prunegap.trained.structure.labels import arguments

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Count:
    """parameters: numbers that train; bytes: parameters and buffers; macs: of one forward, `layers`: by module."""

    parameters: int
    macs: int
    bytes: int
    layers: dict[str, int]

    @property
    def flops(self) -> int:
        """Two a multiply-accumulate."""
        return 2 * self.macs


def count(
    model: nn.Module | Structure, inputs: Sequence[torch.Tensor] = (), named: Mapping[str, torch.Tensor] | None = None
) -> Count:
    """Count one forward of model(*inputs, **named), with exactly this batch.

    A Structure is counted on the inputs it was traced with. Shared tensors count once. Raises BadInputError when the
    model cannot be traced.
    """
    flat, inputs, named = (
        (model.flat, model.inputs, model.named) if isinstance(model, Structure) else (None, inputs, named or {})
    )
    if isinstance(model, fx.GraphModule):
        graph, tensors = model.graph, dict(model.named_parameters()) | dict(model.named_buffers())
    else:
        flat = flat or flatten(model, inputs, (0,), named)  # type: ignore[arg-type]
        graph, tensors = flat.graph, flat.tensors
    shapes = run_shapes(graph, tensors, [*inputs, *named.values()])
    layers: dict[str, int] = {}
    for node in graph.nodes:
        macs = _macs(node, shapes)
        if macs:
            name = _name(node)
            layers[name] = layers.get(name, 0) + macs
    unique = {id(t): t for t in tensors.values()}.values()
    trained = sum(t.numel() for t in unique if isinstance(t, nn.Parameter))
    return Count(trained, sum(layers.values()), sum(t.numel() * t.element_size() for t in unique), layers)


def _name(node: fx.Node) -> str:
    """The module of the node's weight, else where the node came from."""
    weights = [str(n.target) for n in node.all_input_nodes if n.op == "get_attr"]
    return weights[0].rpartition(".")[0] or weights[0] if weights else node.meta.get("layer") or node.name


def _macs(node: fx.Node, shapes: dict[str, Any]) -> int:
    if not isinstance(node.target, torch._ops.OpOverload):
        return 0
    formula = _FORMULAS.get(node.target._schema.name.removeprefix("aten::"))
    if formula is None:
        return 0
    return int(formula(arguments(node, lambda n: shapes[n.name]), shapes[node.name]))


def _linear(a: dict[str, Any], out: Shape) -> int:
    return math.prod(out) * int(a["weight"][-1])


def _conv(a: dict[str, Any], out: Shape) -> int:
    return math.prod(out) * int(math.prod(a["weight"][1:]))


def _transposed(a: dict[str, Any], out: Shape) -> int:
    return int(math.prod(a["input"]) * math.prod(a["weight"][1:]))


def _product(a: dict[str, Any], out: Shape) -> int:
    """The last two tensors are multiplied: addmm has its bias first."""
    left = [v for v in a.values() if isinstance(v, tuple)][-2]
    return math.prod(out) * int(left[-1])


def _einsum(a: dict[str, Any], out: Shape) -> int:
    terms = a["equation"].replace(" ", "").partition("->")[0].split(",")
    sizes = {
        letter: n
        for term, shape in zip(terms, a["tensors"], strict=True)
        for letter, n in zip(term, shape, strict=False)
    }
    return int(math.prod(sizes.values()))


def _attention(a: dict[str, Any], out: Shape) -> int:
    """Queries times keys, and weights times values."""
    pairs = int(math.prod(a["query"][:-1]) * a["key"][-2])
    return pairs * (int(a["query"][-1]) + int(a["value"][-1]))


_FORMULAS: dict[str, Callable[[dict[str, Any], Shape], int]] = {
    "linear": _linear,
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _conv),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _transposed),
    **dict.fromkeys(["matmul", "mm", "bmm", "addmm", "baddbmm"], _product),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
}
