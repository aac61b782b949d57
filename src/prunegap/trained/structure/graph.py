"""A module as one flat graph of aten operations, by torch.export.

The graph keeps the module's own parameter names, its inputs by name and the nesting of its output. Everything a
model can do with shapes (views, splits, expands) is then a visible constant of some node instead of Python code.
"""

from __future__ import annotations

import copy
import inspect
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export.graph_signature import InputKind
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.structure.quiet import quiet

_CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range")
_WRAPPERS = ("wrap_with_autocast", "wrap_with_set_grad_enabled")


@dataclass(frozen=True, eq=False)
class Flat:
    """A module as a graph: nodes are placeholders, get_attr of `tensors`, calls of aten operations, and one output.

    `shapes` holds the shape (or the shapes) each node had for the example inputs; `parameters` the names that train.
    """

    graph: fx.Graph
    tensors: dict[str, torch.Tensor]
    parameters: frozenset[str]
    shapes: dict[str, Any]
    free_batch: bool


def flatten(
    model: nn.Module,
    inputs: Sequence[torch.Tensor],
    free_dims: Sequence[int] = (0,),
    named: Mapping[str, Any] | None = None,
) -> Flat:
    """Return the graph of model(*inputs, **named) in eval mode; the model is not modified.

    The dimensions `free_dims` of every input stay free wherever the model's code allows it. Raises BadInputError when
    torch.export cannot follow the model.
    """
    for i, value in enumerate([*inputs, *(named or {}).values()]):
        if not isinstance(value, torch.Tensor):
            raise BadInputError(
                f"input {i}", f"is a {type(value).__name__}, not a tensor", "wrap the model so that it takes tensors"
            )
    args, kwargs = tuple(_at_least_two(x) for x in inputs), {k: _at_least_two(x) for k, x in (named or {}).items()}
    twin = _copy(model).eval()
    program = _export(twin, args, kwargs, free_dims)
    graph, tensors = _own_graph(program, twin)
    parameters = frozenset(name for name in tensors if isinstance(tensors[name], nn.Parameter))
    shapes = run_shapes(graph, tensors, [*args, *kwargs.values()])
    signs = [n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"][-len(args) - len(kwargs) :]
    free = all(isinstance(v.shape[0], torch.SymInt) for v in signs if isinstance(v, torch.Tensor) and v.dim())
    return Flat(graph, tensors, parameters, shapes, free)


def _at_least_two(x: torch.Tensor) -> torch.Tensor:
    """A batch of one would be taken for a constant, so it is doubled."""
    return torch.cat([x, x]) if x.dim() and x.shape[0] == 1 else x


def _copy(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise BadInputError(
            type(model).__name__,
            f"cannot be copied ({error})",
            "remove caches and hooks that hold tensors with gradients",
        ) from None


def _export(model: nn.Module, args: Any, kwargs: Any, free_dims: Sequence[int]) -> torch.export.ExportedProgram:
    free = torch.export.Dim.AUTO
    leaves, spec = _pytree.tree_flatten((args, kwargs))
    marks = [{d: free for d in free_dims if d < x.dim()} for x in leaves]
    shapes_args, shapes_kwargs = _pytree.tree_unflatten(marks, spec)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fused encoder layer is opaque
    try:
        with torch.no_grad(), quiet():
            names = (*shapes_args,) if not shapes_kwargs else _by_name(model, shapes_args, shapes_kwargs)
            return torch.export.export(model, args, kwargs, dynamic_shapes=names, strict=False)
    except Exception as error:
        raise BadInputError(
            type(model).__name__,
            f"cannot be traced by torch.export: {_first_line(error)}",
            f"the trouble is in {_culprit(error, model)}; take Python that depends on values (if, .item()) out of it",
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _by_name(model: nn.Module, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    names = list(inspect.signature(model.forward).parameters)
    return dict(zip(names, args, strict=False)) | kwargs


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _culprit(error: BaseException, model: nn.Module) -> str:
    """The innermost module of the model whose forward was running, found in the traceback."""
    names = {id(m): name or type(m).__name__ for name, m in model.named_modules()}
    found, step = type(model).__name__, error.__traceback__
    while step is not None:
        owner = step.tb_frame.f_locals.get("self")
        found = names.get(id(owner), found)
        step = step.tb_next
    return found


def _own_graph(program: torch.export.ExportedProgram, model: nn.Module) -> tuple[fx.Graph, dict[str, torch.Tensor]]:
    """The exported graph with parameters as attributes; tied tensors become one attribute."""
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    owners = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    first = {id(t): name for name, t in reversed(owners.items())}
    graph, tensors, env = fx.Graph(), {}, dict[fx.Node, Any]()
    for node in program.graph.nodes:
        if node.op == "placeholder":
            spec = kinds[node.name]
            if spec.kind == InputKind.USER_INPUT:
                env[node] = graph.placeholder(node.name)
                continue
            name = spec.target
            value = owners.get(name, program.state_dict.get(name, program.constants.get(name)))
            if not isinstance(value, torch.Tensor):
                raise BadInputError(name, "is a constant that is not a tensor", "pass it to the constructor instead")
            name = first.get(id(value), re.sub(r"\W", "_", name) if name not in owners else name)
            tensors[name] = value
            env[node] = graph.get_attr(name)
        elif node.op == "output":
            graph.output(
                _pytree.tree_unflatten(fx.map_arg(list(node.args[0]), env.__getitem__), program.call_spec.out_spec)
            )
        else:
            _copy_node(graph, node, env, program.graph_module)
    graph.eliminate_dead_code(_impure)
    graph.lint()
    return graph, {n.target: tensors[n.target] for n in graph.nodes if n.op == "get_attr"}


def _impure(node: fx.Node) -> bool:
    """Operations in place and inputs stay even when nothing reads their result."""
    return node.op in ("placeholder", "output") or _changes(node)


def _changes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _copy_node(graph: fx.Graph, node: fx.Node, env: dict[fx.Node, Any], owner: nn.Module) -> None:
    """Copy one call; wrappers that only set autocast or gradient mode are opened."""
    name = str(node.target)
    if node.op == "get_attr":
        env[node] = getattr(owner, str(node.target))
    elif any(check in name for check in _CHECKS):
        env[node] = None
    elif any(wrapper in name for wrapper in _WRAPPERS):
        env[node] = _open(graph, node, env)
    elif node.target is operator.getitem and not isinstance(env.get(node.all_input_nodes[0]), fx.Node):
        env[node] = env[node.all_input_nodes[0]][int(str(node.args[1]))]
    else:
        env[node] = graph.node_copy(node, env.__getitem__)
        env[node].meta = {"layer": _layer(node)}


def _open(graph: fx.Graph, node: fx.Node, env: dict[fx.Node, Any]) -> Any:
    """Copy the inside of a wrapper (switches..., subgraph, inputs...); returns what it gives."""
    at, body = next((i, arg) for i, arg in enumerate(node.args) if isinstance(arg, fx.Node) and arg.op == "get_attr")
    if "autocast" in str(node.target) and node.args[2] is True:
        rule = "switches autocast on inside the model"
        raise BadInputError(
            _layer(node) or node.name, rule, "take the autocast out and wrap the call of the model in it"
        )
    owner, inside, given = env[body], dict[fx.Node, Any](), iter(node.args[at + 1 :])
    for step in owner.graph.nodes:
        if step.op == "placeholder":
            inside[step] = fx.map_arg(next(given), env.__getitem__)
        elif step.op == "output":
            return fx.map_arg(step.args[0], inside.__getitem__)
        else:
            _copy_node(graph, step, inside, owner)
    return None


def _layer(node: fx.Node) -> str:
    """The dotted name of the innermost module the node came from."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(entry[0]) for entry in stack.values()]
    return re.sub(r"@\d+$", "", path[-1]) if path else ""


def run_shapes(
    graph: fx.Graph, tensors: Mapping[str, torch.Tensor], inputs: Sequence[torch.Tensor]
) -> dict[str, Any]:
    """Run a graph once and return the shape (or shapes, or number) of every node by its name."""
    recorder = _Shapes(fx.GraphModule(dict(tensors), graph))
    with torch.no_grad():
        recorder.run(*inputs)
    return recorder.shapes


class _Shapes(fx.Interpreter):
    """Runs a graph and remembers every shape."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.shapes[n.name] = shape_of(value)
        return value


def shape_of(value: Any) -> Any:
    """The shape of a tensor, a list of shapes, or the value itself (numbers)."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if isinstance(value, (tuple, list)):
        return [shape_of(v) for v in value]
    return value
