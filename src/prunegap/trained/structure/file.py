"""Shrunk modules on disk: one safetensors file; the graph is JSON in its header.

Nothing is unpickled and no code is read: a node may only call an aten operation that exists, `getitem`, or
arithmetic of sizes, and every name is checked. So a file from a stranger can compute, but not act.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import fx, nn

from prunegap.model.errors import BadInputError
from prunegap.trained.structure.module import ShrunkModule
from prunegap.whole_file import write_whole

SCHEMA = 1
KEY = "prunegap"
_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_TARGET = re.compile(r"\w+(\.\w+)*\Z")
_SIZES: dict[str, Callable[..., Any]] = {
    name: getattr(operator, name)
    for name in ("getitem", "add", "sub", "mul", "floordiv", "mod", "neg", "truediv", "pow")
}
_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format, torch.device)


def save(module: ShrunkModule, path: str | Path) -> None:
    """Write a shrunk module whole or not at all.

    Raises BadInputError for another kind of module, or where `path` cannot be written.
    """
    tensors, header = contents(module)
    write_whole(Path(path), safetensors.torch.save(tensors, {KEY: header}))


def contents(module: ShrunkModule) -> tuple[dict[str, torch.Tensor], str]:
    """Return what `save` writes: the tensors, and the graph as JSON; raises BadInputError for another module."""
    if not isinstance(module, ShrunkModule):
        raise BadInputError(
            type(module).__name__, "is not a shrunk module", "save what prunegap.trained.structure.shrunk returned"
        )
    state: dict[str, torch.Tensor] = dict(module.named_parameters())
    trains = {name: bool(t.requires_grad) for name, t in state.items()}
    state |= dict(module.named_buffers())
    header = {
        "schema": SCHEMA,
        "training": module.training,
        "parameters": trains,
        "nodes": [_node(n) for n in module.graph.nodes],
    }
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
    return tensors, json.dumps(header, separators=(",", ":"))


def load(path: str | Path) -> ShrunkModule:
    """Read what `save` wrote: the same graph, the same bits, on the CPU.

    Raises BadInputError for a file that is missing, damaged, from a newer version, or that calls anything but aten.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dict; clone: aligned)
        return module_of(tensors, text, path)
    except BadInputError:
        raise
    except Exception as error:
        raise _bad(path, f"cannot be read ({_first_line(error)})") from None


def module_of(tensors: dict[str, torch.Tensor], header: str | None, path: str | Path) -> ShrunkModule:
    """Return the module of `contents`; `path` is named where they are refused."""
    try:
        read = json.loads(header or "null")
        if not isinstance(read, dict) or read.get("schema") != SCHEMA:
            raise _bad(path, "is no prunegap module of this version")
        for name, trains in read["parameters"].items():
            tensors[name] = nn.Parameter(tensors[name], trains)
        return ShrunkModule(tensors, _graph(read["nodes"], tensors, path)).train(read["training"])
    except BadInputError:
        raise
    except Exception as error:
        raise _bad(path, f"cannot be read ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _bad(path: str | Path, rule: str) -> BadInputError:
    return BadInputError(str(path), rule, "save it again with prunegap.trained.structure.save")


def _node(node: fx.Node) -> dict[str, Any]:
    if isinstance(node.target, torch._ops.OpOverload):
        target = str(node.target)
    elif node.op == "call_function":
        target = next((name for name, f in _SIZES.items() if f is node.target), "")
        if not target:
            raise BadInputError(str(node.target), "cannot be saved: it is no aten operation", "report the model")
    else:
        target = str(node.target)
    out = {
        "name": node.name,
        "op": node.op,
        "target": target,
        "args": _encode(node.args),
        "kwargs": _encode(dict(node.kwargs)),
    }
    if node.meta.get("layer"):
        out["layer"] = node.meta["layer"]
    return out


def _encode(value: Any) -> Any:
    """JSON of an argument: containers and constants are tagged, numbers and strings stand for themselves."""
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, tuple):
        return {"tuple": [_encode(v) for v in value]}
    if isinstance(value, list):
        return [_encode(v) for v in value]
    if isinstance(value, dict):
        return {"dict": [[k, _encode(v)] for k, v in value.items()]}
    if isinstance(value, _CONSTANTS):
        return {type(value).__name__: str(value).removeprefix("torch.")}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BadInputError(repr(value)[:60], f"is a {type(value).__name__}, which cannot be saved", "report the model")


def _decode(value: Any, nodes: dict[str, fx.Node]) -> Any:
    if isinstance(value, list):
        return [_decode(v, nodes) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "node":
        return nodes[inner]
    if kind == "tuple":
        return tuple(_decode(v, nodes) for v in inner)
    if kind == "dict":
        return {str(k): _decode(v, nodes) for k, v in inner}
    if kind == "float":
        return float(inner)
    if kind == "device":
        return torch.device(inner)
    constant = getattr(torch, inner)
    if type(constant).__name__ != kind or not isinstance(constant, _CONSTANTS):
        raise ValueError(f"{inner} is no {kind}")
    return constant


def _graph(nodes: list[dict[str, Any]], tensors: dict[str, torch.Tensor], path: str | Path) -> fx.Graph:
    graph, made = fx.Graph(), dict[str, fx.Node]()
    for node in nodes:
        name, op, target = node["name"], node["op"], node["target"]
        if not _NAME.match(name) or not _TARGET.match(target):
            raise _bad(path, f"has a node with the name {name!r} or the target {target!r}")
        args, kwargs = _decode(node["args"], made), _decode(node["kwargs"], made)
        if op == "placeholder":
            made[name] = graph.create_node(op, target, args, {}, name)
        elif op == "output":
            made[name] = graph.output(args[0])
        elif op == "get_attr" and target in tensors:
            made[name] = graph.create_node(op, target, (), {}, name)
        elif op == "call_function":
            made[name] = graph.create_node(op, _function(target, path), args, kwargs, name)
        else:
            raise _bad(path, f"has the node {op} {target}")
        made[name].meta = {"layer": str(node.get("layer", ""))}
    graph.lint()
    return graph


def _function(target: str, path: str | Path) -> Callable[..., Any]:
    if target in _SIZES:
        return _SIZES[target]
    space, *rest = target.split(".")
    if space != "aten" or len(rest) != 2:
        raise _bad(path, f"calls {target}, which is no aten operation")
    found = getattr(getattr(torch.ops.aten, rest[0]), rest[1])
    if not isinstance(found, torch._ops.OpOverload):
        raise _bad(path, f"calls {target}, which is no aten operation")
    return found
