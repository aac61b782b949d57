"""One pruned model on its way to a point: pruned at a granularity, made as small or as sparse as it can run.

Removed neurons are really removed: the shrunk model is checked against the masked one before anything is measured.
Removed weights stay zeros in the user's own module, and every layer then runs in its fastest form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunegap.trained.calibrate import Batch
from prunegap.trained.compare.options import Options
from prunegap.trained.compare.point import LayerOutcome
from prunegap.trained.execute.choose import DENSE, fastest, multiply_adds
from prunegap.trained.layer import layers
from prunegap.trained.structure import ShrunkModule, Structure, count, shrunk


@dataclass(frozen=True)
class Candidate:
    """A pruned model: `masked` has the user's shapes, `run` is what is timed and saved."""

    masked: nn.Module
    run: nn.Module
    weights: int
    multiply_adds: int
    layers: tuple[LayerOutcome, ...]

    @property
    def is_sparse(self) -> bool:
        """Whether any layer runs on a sparse kernel."""
        return any(layer.execution != DENSE for layer in self.layers)

    @property
    def is_shrunk(self) -> bool:
        """Whether the model that runs is smaller than the user's."""
        return isinstance(self.run, ShrunkModule)

    @property
    def bytes(self) -> int:
        """Bytes of all parameters and buffers of the model that runs."""
        return size_in_bytes(self.run)


def size_in_bytes(model: nn.Module) -> int:
    """Return the bytes of all parameters and buffers, shared ones once."""
    held: dict[int, Tensor] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in held.values())


def sparse_candidate(
    masked: nn.Module,
    names: Sequence[str],
    masks: Mapping[str, Tensor],
    errors: Mapping[str, float],
    inputs: Batch,
    options: Options,
) -> Candidate:
    """Return the candidate of a model whose weights were removed one by one, in groups or in blocks.

    `names` are the prunable layers, all of which count.
    """
    # The comparison judges, in its own processes.
    execution = fastest(masked, inputs, options.turns, judged=False, graphs=options.cuda_graphs)
    found = layers(masked)
    kept = {name: found[name].weight.numel() if name not in masks else int(masks[name].sum()) for name in names}
    chosen = {choice.layer: choice for choice in execution.choices}
    outcomes = tuple(
        LayerOutcome(
            name,
            kept[name] / max(1, found[name].weight.numel()),
            errors.get(name),
            chosen[name].kind if name in chosen else "dense",
            chosen[name].reason if name in chosen else "this kind of layer has no sparse form here",
        )
        for name in names
    )
    return Candidate(masked, execution.model, sum(kept.values()), multiply_adds(execution.model, inputs), outcomes)


def shrunk_candidate(
    masked: nn.Module,
    names: Sequence[str],
    structure: Structure,
    keep: Mapping[str, NDArray[np.bool_]],
    errors: Mapping[str, float],
    inputs: Batch,
) -> Candidate:
    """Return the candidate of a model whose units were removed; raises BadInputError if small and masked differ."""
    small = shrunk(masked, structure, keep)
    sizes = {name: value.numel() for name, value in small.state_dict().items()}
    whole = {name: layers(masked)[name].weight.numel() for name in names}
    left = {name: sizes.get(f"{name}.weight", size) for name, size in whole.items()}
    outcomes = tuple(
        LayerOutcome(
            name, left[name] / max(1, whole[name]), errors.get(name), "dense", _why(left[name] < whole[name])
        )
        for name in names
    )
    with torch.no_grad():
        by_layer = count(small, *arguments_of(inputs)).layers
    # Only layers, as for sparse models: products of activations with each other are the same in all of them.
    adds = sum(by_layer.get(name, 0) for name in names)
    return Candidate(masked, small, sum(left.values()), adds, outcomes)


def run_dense(candidate: Candidate, inputs: Batch, why: str) -> Candidate:
    """Return the candidate with every layer dense and of its old size, for where what was won is not time."""
    changed = candidate.is_shrunk
    outcomes = tuple(
        replace(o, execution=DENSE, reason=why) if changed or o.execution != DENSE else o for o in candidate.layers
    )
    return replace(
        candidate, run=candidate.masked, multiply_adds=multiply_adds(candidate.masked, inputs), layers=outcomes
    )


def _why(is_smaller: bool) -> str:
    return "really smaller" if is_smaller else "kept whole"


def arguments_of(batch: Batch) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Return a batch as positional and named arguments."""
    if isinstance(batch, Mapping):
        return (), dict(batch)
    return ((batch,) if isinstance(batch, Tensor) else tuple(batch)), {}
