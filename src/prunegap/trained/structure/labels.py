"""Labels carried through a graph: which index of which dimension of every tensor belongs to which units.

Each operation has a rule. A rule equates labels (an addition), moves them (a view, a permutation), ends them (a
contraction) or freezes them (a softmax over a dimension cannot lose an entry). An operation without a rule freezes
all it touches: sound for any graph, only less is prunable.

Beside its label a dimension knows whether the masked model holds *zeros* at removed indices. Contracting a
dimension is right only if it does on one side at least; parameters always do, since masking zeroes them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from prunegap.trained.structure.graph import Flat
from prunegap.trained.structure.units import Label, Units


@dataclass(eq=False)
class Dims:
    """The dimensions of one tensor: size, label, and whether the masked model has zeros where indices are removed."""

    shape: tuple[int, ...]
    labels: list[Label]
    zero: list[bool]
    parameter: str = ""

    def at(self, dim: int) -> Label:
        return self.labels[dim]


Rule = Callable[["Propagation", dict[str, Any], Any], Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for the aten operations of these names (all overloads, in place or not)."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def plain(shape: Sequence[int]) -> Dims:
    """Dimensions that cannot be pruned."""
    return Dims(tuple(shape), [None] * len(shape), [False] * len(shape))


class Propagation:
    """One pass over the graph; afterwards `env` maps node names to Dims (or lists of them)."""

    def __init__(self, flat: Flat) -> None:
        self.units = Units()
        self.env: dict[str, Any] = {}
        self.roles: dict[tuple[str, int], str] = {}
        self.parameters: dict[str, Dims] = {}
        self.where = ""
        self.operation = ""
        self.computed: set[str] = set()  # arguments of the present call that are sizes known only at run time
        for name, tensor in flat.tensors.items():
            labels = [self.units.fresh(n) if n > 1 else None for n in tensor.shape]
            zero = [name in flat.parameters] * tensor.dim()
            self.parameters[name] = Dims(tuple(tensor.shape), labels, zero, name)
        for node in flat.graph.nodes:
            self._visit(node, flat.shapes.get(node.name))

    def _visit(self, node: fx.Node, shape: Any) -> None:
        self.where = node.meta.get("layer") or node.name
        if node.op == "get_attr":
            self.env[node.name] = self.parameters[str(node.target)]
        elif node.op == "placeholder":
            self.env[node.name] = plain(shape) if isinstance(shape, tuple) else shape
        elif node.op == "output":
            fx.map_arg(node.args, lambda n: self.freeze_all(self.env[n.name], "it is an output of the model"))
        elif isinstance(node.target, torch._ops.OpOverload):
            self.env[node.name] = self._call(node, node.target, shape)
        elif node.target is operator.getitem and isinstance(found := self.env[node.all_input_nodes[0].name], list):
            self.env[node.name] = found[int(str(node.args[1]))]
        else:
            self.env[node.name] = shape  # arithmetic of sizes

    def _call(self, node: fx.Node, target: torch._ops.OpOverload, shape: Any) -> Any:
        named = arguments(node, lambda n: self.env[n.name])
        name = target._schema.name.removeprefix("aten::").rstrip("_")
        self.operation = name
        self.computed = {k for k, v in arguments(node, lambda n: n).items() if self._holds_size(v)}
        if name in RULES:
            return RULES[name](self, named, shape)
        self.freeze_all(list(named.values()), f"prunegap has no rule for {name} in {self.where}")
        return unlabelled(shape)

    def _holds_size(self, argument: Any) -> bool:
        parts = argument if isinstance(argument, (list, tuple)) else [argument]
        return any(isinstance(n, fx.Node) and isinstance(self.env[n.name], int) for n in parts)

    def freeze_all(self, value: Any, reason: str) -> None:
        """Freeze every dimension of every tensor in a nested value."""
        for dims in tensors_in(value):
            for label in dims.labels:
                self.units.freeze(label, reason)

    def freeze(self, dims: Dims, which: Sequence[int], reason: str) -> None:
        for d in which:
            self.units.freeze(dims.labels[d], f"{reason} in {self.where}")

    def same(self, one: Label, two: Label) -> Label:
        return self.units.unify(one, two, f"it is combined with a fixed dimension in {self.where}")

    def contract(self, one: Dims, i: int, two: Dims, j: int) -> None:
        """Two dimensions are multiplied and summed away."""
        self.same(one.labels[i], two.labels[j])
        if not (one.zero[i] or two.zero[j]):
            self.freeze(one, [i], "removed entries would not be zero where they are summed")

    def broadcast(self, operands: Sequence[Dims], rank: int) -> list[Label]:
        """Labels of an elementwise operation; dimensions of size 1 follow."""
        out: list[Label] = []
        for d in range(-rank, 0):
            wide = [x.labels[d] for x in operands if len(x.shape) >= -d and x.shape[d] > 1]
            for other in wide[1:]:
                self.same(wide[0], other)
            out.append(wide[0] if wide else None)
        return out


def arguments(node: fx.Node, value: Callable[[fx.Node], Any]) -> dict[str, Any]:
    """The arguments of a call by their schema names, defaults filled in, nodes replaced by value(node)."""
    schema = node.target._schema  # type: ignore[union-attr]
    named: dict[str, Any] = {}
    for i, argument in enumerate(schema.arguments):
        if i < len(node.args):
            given = node.args[i]
        else:
            given = node.kwargs.get(argument.name, argument.default_value if argument.has_default_value() else None)
        named[argument.name] = fx.map_arg(given, value)
    return named


def tensors_in(value: Any) -> list[Dims]:
    if isinstance(value, Dims):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [d for v in value for d in tensors_in(v)] if isinstance(value, (list, tuple)) else []


def unlabelled(shape: Any) -> Any:
    if isinstance(shape, tuple):
        return plain(shape)
    return [unlabelled(s) for s in shape] if isinstance(shape, list) else shape
