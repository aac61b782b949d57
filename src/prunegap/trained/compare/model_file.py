"""Pruned models on disk, one safetensors file each, without pickle and without the user's code.

A shrunk model is its graph. A model with zeros is the user's model as the traced graph with nothing removed; the
layers that run sparse are stored sparse and come back sparse. A model that cannot be traced is stored as tensors
only, for `load_state_dict` of the user's own class.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, fx, nn

from prunegap.kernels.sparse_product import whole_matrix
from prunegap.model.errors import BadInputError
from prunegap.trained.execute.choose import SPARSE
from prunegap.trained.execute.semi_structured import SemiStructuredLinear, SemiStructuredWeight
from prunegap.trained.execute.sparse_layers import SparseConv2d, SparseLinear
from prunegap.trained.execute.striped_linear import StripedLinear
from prunegap.trained.structure import ShrunkModule, Structure, file
from prunegap.trained.structure.shrink import cut
from prunegap.whole_file import write_whole

SPARSE_KEY = "prunegap-sparse"
STATE_KEY = "prunegap-state"
_PACKED, _STRIPS = "2:4", "strips"
"""Stand where a sparse matrix has the side of its blocks."""
_PARTS = {_PACKED: ("values", "places"), _STRIPS: ("starts", "places", "values")}
_MATRIX_PARTS = ("crow", "col", "values")
_Layout = int | str
_OPERATIONS = ("aten::linear", "aten::conv2d")


def save_model(path: Path, run: nn.Module, masked: nn.Module, structure: Structure | None) -> None:
    """Write the model that runs: `run` itself if it is shrunk, otherwise the masked model and its sparse layers."""
    if isinstance(run, ShrunkModule):
        file.save(run, path)
        return
    if structure is None:
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in masked.state_dict().items()}
        write_whole(path, safetensors.torch.save(tensors, {STATE_KEY: type(masked).__name__}))
        return
    tensors, header = file.contents(cut(masked, structure, {}).eval())
    told: dict[str, tuple[_Layout, list[int]]] = {}
    for name, layer in run.named_modules():
        if isinstance(layer, SPARSE) and f"{name}.weight" in tensors:
            layout = _layout(layer)
            told[name] = (layout, list(tensors.pop(f"{name}.weight").shape))
            parts = {part: getattr(layer.weight, part).cpu().contiguous() for part in _parts(layout)}
            tensors |= {f"{name}.weight.{part}": value for part, value in parts.items()}
    write_whole(path, safetensors.torch.save(tensors, {file.KEY: header, SPARSE_KEY: json.dumps(told)}))


def load(path: str | Path) -> nn.Module:
    """Return the module that `prunegap.compare` saved, in eval mode, on the CPU; nothing in the file is executed.

    The same bits as the model that was saved gave in the same form. Raises BadInputError for a file that is missing
    or damaged, and for one that holds only tensors since the model could not be traced.
    """
    try:
        with safetensors.safe_open(str(path), framework="pt") as opened:
            told: dict[str, str] = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(str(path), f"cannot be read ({reason})", "give a file that prunegap wrote") from None
    if STATE_KEY in told:
        rule = f"holds the tensors of a {told[STATE_KEY]} that could not be traced, and no graph"
        raise BadInputError(str(path), rule, "load_state_dict(safetensors.torch.load_file(path)) into your own model")
    try:
        layers = json.loads(told.get(SPARSE_KEY, "{}"))
        for name, (layout, shape) in layers.items():
            tensors[f"{name}.weight"] = nn.Parameter(_dense(tensors, name, layout, shape), False)
        module = file.module_of(tensors, told.get(file.KEY), path)
        return _sparse(module, {name: layout for name, (layout, _) in layers.items()}) if layers else module
    except BadInputError:
        raise
    except Exception as error:
        raise BadInputError(str(path), f"is damaged ({error!r})", "save it again") from None


def _layout(layer: SparseLinear | SparseConv2d | StripedLinear | SemiStructuredLinear) -> _Layout:
    if isinstance(layer, (SparseLinear, SparseConv2d)):
        return layer.weight.block
    return _PACKED if isinstance(layer, SemiStructuredLinear) else _STRIPS


def _parts(layout: _Layout) -> tuple[str, ...]:
    return _MATRIX_PARTS if isinstance(layout, int) else _PARTS[layout]


def _dense(tensors: dict[str, Tensor], name: str, layout: _Layout, shape: list[int]) -> Tensor:
    parts = [tensors.pop(f"{name}.weight.{part}") for part in _parts(layout)]
    if layout == _PACKED:
        return SemiStructuredWeight.of(*parts).dense()
    if layout == _STRIPS:
        strips = parts[0].numpy(), parts[1].numpy(), parts[2].numpy()
        return torch.from_numpy(whole_matrix(strips, shape[1]))
    crow, col, values = parts
    make = torch.sparse_csr_tensor if layout == 1 else torch.sparse_bsr_tensor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "beta state", once a process
        matrix = make(crow, col, values, (shape[0], math.prod(shape[1:])), check_invariants=True)
        return matrix.to_dense().reshape(shape)


def _sparse(module: ShrunkModule, layouts: Mapping[str, _Layout]) -> fx.GraphModule:
    """Return the module with the named layers' operations replaced by sparse layers."""
    graph = module.graph
    state: dict[str, Any] = dict(module.named_parameters()) | dict(module.named_buffers())
    for node in list(graph.nodes):
        name = _layer_of(node)
        if name not in layouts:
            continue
        state[name] = _layer(node, state, layouts[name])
        with graph.inserting_before(node):
            new = graph.call_module(name, (node.args[0],))
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    graph.eliminate_dead_code(lambda n: n.op in ("placeholder", "output") or n.is_impure())
    for name in layouts:
        state.pop(f"{name}.weight"), state.pop(f"{name}.bias", None)
    return fx.GraphModule(state, graph).eval()


def _layer_of(node: fx.Node) -> str:
    """Return the layer whose weight a linear or conv2d operation reads; empty for any other node."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.name not in _OPERATIONS or not isinstance(node.args[1], fx.Node):
        return ""
    weight = node.args[1]
    return str(weight.target).removesuffix(".weight") if weight.op == "get_attr" else ""


def _layer(node: fx.Node, state: Mapping[str, Tensor], layout: _Layout) -> nn.Module:
    names = [a.name for a in node.target._schema.arguments]  # type: ignore[union-attr]
    given = dict(zip(names, node.args, strict=False)) | node.kwargs
    weight, bias = (None if given.get(k) is None else state[given[k].target] for k in ("weight", "bias"))
    assert weight is not None
    if weight.ndim == 2:
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, dtype=weight.dtype)
        linear = _filled(linear, weight, bias)
        if isinstance(layout, int):
            return SparseLinear(linear, layout)
        return SemiStructuredLinear(linear) if layout == _PACKED else StripedLinear(linear)
    sizes: dict[str, Any] = {key: tuple(given[key]) for key in ("stride", "padding", "dilation") if key in given}
    sizes |= {"bias": bias is not None, "dtype": weight.dtype}
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], (weight.shape[2], weight.shape[3]), **sizes)
    assert isinstance(layout, int)
    return SparseConv2d(_filled(conv, weight, bias), layout)


def _filled(layer: Any, weight: Tensor, bias: Tensor | None) -> Any:
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer
