"""A module that is a graph: no user code, smaller tensors under their old names, trainable."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx.graph import PythonCode

_TRAINING = {
    "batch_norm": "training",
    "dropout": "train",
    "feature_dropout": "train",
    "alpha_dropout": "train",
}


_NN = torch._C._nn
_DIRECT: dict[str, Callable[..., Any]] = {
    "aten.linear.default": _NN.linear,
    "aten.conv1d.default": torch.conv1d,
    "aten.conv2d.default": torch.conv2d,
    "aten.batch_norm.default": torch.batch_norm,
    "aten.layer_norm.default": torch.layer_norm,
    "aten.group_norm.default": torch.group_norm,
    "aten.relu.default": torch.relu,
    "aten.relu_.default": torch.relu_,
    "aten.gelu.default": _NN.gelu,
    "aten.sigmoid.default": torch.sigmoid,
    "aten.tanh.default": torch.tanh,
    "aten.softmax.int": torch.softmax,
    "aten.matmul.default": torch.matmul,
    "aten.add.Tensor": torch.add,
    "aten.mul.Tensor": torch.mul,
    "aten.flatten.using_ints": torch.flatten,
    "aten.view.default": torch.Tensor.view,
    "aten.reshape.default": torch.reshape,
    "aten.mean.dim": torch.mean,
    "aten.permute.default": torch.permute,
    "aten.transpose.int": torch.transpose,
    "aten.max_pool2d.default": torch.max_pool2d,
    "aten.avg_pool2d.default": _NN.avg_pool2d,
    "aten.adaptive_avg_pool2d.default": _NN.adaptive_avg_pool2d,
    "aten.embedding.default": torch.embedding,
    "aten.scaled_dot_product_attention.default": _NN.scaled_dot_product_attention,
}
"""The same operations, same arguments, called without a detour: an aten operation called by name costs a microsecond
more, which is a tenth of the time of a tiny layer."""


def _direct(graph: fx.Graph) -> fx.Graph:
    """Return a copy of the graph that calls torch's own functions where they are the same."""
    quick = fx.Graph()
    quick.output(quick.graph_copy(graph, {}))
    for node in quick.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            node.target = _DIRECT.get(str(node.target), node.target)
    return quick


class ShrunkModule(fx.GraphModule):
    """A graph of aten operations with its tensors, as an nn.Module.

    `train()` and `eval()` switch batch norm and dropout as in the model it came from; other differences between the
    two modes (stochastic depth, auxiliary heads) are not in the graph, which was taken in eval mode.
    """

    def __init__(self, root: Any, graph: fx.Graph, class_name: str = "ShrunkModule") -> None:
        super().__init__(root, graph, class_name)
        self.training = False

    def recompile(self) -> PythonCode:
        """Write `forward` anew from the graph; the graph itself keeps its aten operations, by which it is saved."""
        graph = self._graph
        self._graph = _direct(graph)
        try:
            return super().recompile()
        finally:
            self._graph = graph

    def __deepcopy__(self, memo: dict[int, Any]) -> ShrunkModule:
        tensors = dict(self.named_parameters(remove_duplicate=False)) | dict(
            self.named_buffers(remove_duplicate=False)
        )
        graph = fx.Graph()
        graph.output(graph.graph_copy(self.graph, {}))
        return ShrunkModule(copy.deepcopy(tensors, memo), graph)._as(self.training)

    def _as(self, mode: bool) -> ShrunkModule:
        """Set the mode of a graph that is already in it."""
        super().train(mode)
        return self

    def train(self, mode: bool = True) -> ShrunkModule:
        """Switch batch norm and dropout, then all submodules."""
        changed = False
        for node in self.graph.nodes:
            if isinstance(node.target, torch._ops.OpOverload):
                name = _TRAINING.get(node.target._schema.name.removeprefix("aten::").rstrip("_"))
                if name is None:
                    continue
                position = [a.name for a in node.target._schema.arguments].index(name)
                if node.args[position] is not mode:
                    node.update_arg(position, mode)
                    changed = True
        if changed:
            self.recompile()
        super().train(mode)
        return self
