"""A module that is a graph: no user code, smaller tensors under their old names, trainable."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import fx

_TRAINING = {
    "batch_norm": "training",
    "dropout": "train",
    "feature_dropout": "train",
    "alpha_dropout": "train",
}


class ShrunkModule(fx.GraphModule):
    """A graph of aten operations with its tensors, as an nn.Module.

    `train()` and `eval()` switch batch norm and dropout as in the model it came from; other differences between the
    two modes (stochastic depth, auxiliary heads) are not in the graph, which was taken in eval mode.
    """

    def __init__(self, root: Any, graph: fx.Graph, class_name: str = "ShrunkModule") -> None:
        super().__init__(root, graph, class_name)
        self.training = False

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
