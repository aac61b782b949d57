"""Rivals of the weight ticket: other masks on the same random source, stored and run as honestly as it is.

A rival keeps any weights of the source that its granularity allows: single weights, N of every M consecutive
weights of a row, or whole hidden neurons with all their weights. The file holds the recipe of the source and the
coded masks, like that of a ticket: docs/network-tickets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.kernels.mask_bits import MOST_GROUPED, decode_bits, encode_bits
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, Neuron, NOfM, Weight, parse_granularity
from prunegap.nn.graph import Graph
from prunegap.nn.modules import GraphModule
from prunegap.nn.random_pair import Pair, RandomPair, drawn_pair
from prunegap.nn.source import STREAM, SourceLayer
from prunegap.nn.ticket_reader import read_sealed
from prunegap.sealed_file import sealed
from prunegap.whole_file import write_whole

Bools = NDArray[np.bool_]
KIND, FORMAT = "network-rival", 1


def mask_shapes(source: SourceLayer, granularity: Granularity) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the masks of a layer: (hidden,) for neurons, else of U, V and the constants' part of V.

    Rows of V are flat: (outputs, inputs width / groups taps). Raises BadInputError for granularities without a rival.
    """
    if isinstance(granularity, Neuron):
        return ((source.hidden,),)
    if not isinstance(granularity, Weight) and not (
        isinstance(granularity, NOfM) and granularity.group <= MOST_GROUPED
    ):
        raise BadInputError(
            f"granularity {granularity}", "must be weight, neuron or N:M with M <= 64", "use --granularity neuron"
        )
    shape = source.shape
    row = shape.inputs // shape.groups * source.width * shape.taps
    shapes: tuple[tuple[int, ...], ...] = ((source.hidden, source.blocks), (shape.outputs, row))
    return (*shapes, (shape.outputs, source.constants * source.width)) if source.constants else shapes


@dataclass(frozen=True, eq=False)
class RivalLayer:
    """The masks of one layer, shaped as `mask_shapes` says; raises BadInputError for any other shape."""

    source: SourceLayer
    granularity: Granularity
    masks: tuple[Bools, ...]

    def __post_init__(self) -> None:
        if tuple(mask.shape for mask in self.masks) != mask_shapes(self.source, self.granularity):
            raise BadInputError("a mask", "does not fit its source", "make the rival anew")

    def pair(self) -> Pair:
        """Return the masked source."""
        return masked_pair(drawn_pair(self.source), self)

    @property
    def kept_weights(self) -> int:
        """Weights kept in both random layers."""
        if not isinstance(self.granularity, Neuron):
            return sum(int(mask.sum()) for mask in self.masks)
        shape, hidden = self.source.shape, self.source.shape.inputs * self.source.width
        kept = self.masks[0]
        return int(kept.sum()) * self.source.blocks + (
            int(kept[:hidden].sum()) * shape.weights_per_input + int(kept[hidden:].sum()) * shape.outputs
        )


def masked_pair(drawn: Pair, layer: RivalLayer) -> Pair:
    """Return the weights of `drawn` that the masks of the layer keep; the others are 0."""
    masks = [torch.from_numpy(mask) for mask in layer.masks]
    if not isinstance(layer.granularity, Neuron):
        parts = [part * mask.reshape(part.shape) for part, mask in zip(drawn.arrays, masks, strict=True)]
        return Pair(parts[0], parts[1], parts[2] if len(parts) == 3 else None)
    widened = layer.source.shape.widened(layer.source.width)
    kept = layer.masks[0][: widened.inputs]
    # A convolution in groups has only the hidden neurons of its own group in a row of V.
    columns = np.repeat(kept[:, None], widened.weights_per_input, axis=1)
    second = drawn.second * torch.from_numpy(widened.from_columns(columns))
    constant = None if drawn.constant is None else drawn.constant * masks[0][widened.inputs :]
    return Pair(drawn.first * masks[0][:, None], second, constant)


@dataclass(frozen=True, eq=False)
class Rival:
    """A masked random network; `made_by` names the method, `target_digest` the network it imitates."""

    graph: Graph
    layers: Mapping[str, RivalLayer]
    made_by: str
    target_digest: str

    @property
    def granularity(self) -> Granularity:
        """What its masks remove."""
        return next(iter(self.layers.values())).granularity

    @property
    def kept_weights(self) -> int:
        """Weights kept in all random layers."""
        return sum(layer.kept_weights for layer in self.layers.values())

    @property
    def source_weights(self) -> int:
        """Weights of all random layers."""
        return sum(layer.source.source_weights for layer in self.layers.values())

    def module(self) -> GraphModule:
        """Return the masked source as an nn.Module in float32."""
        layers = {step.name: RandomPair(step, self.layers[step.name].pair()) for step in self.graph.layers}
        return GraphModule(self.graph, layers).eval()


def rival_bytes(rival: Rival) -> bytes:
    """Return the content of the rival's file."""
    layers, tensors = [], {}
    for index, step in enumerate(rival.graph.layers):
        layer = rival.layers[step.name]
        source = layer.source
        layers.append([step.name, source.width, source.exponent, source.constants])
        for part, mask in enumerate(layer.masks):
            tensors[f"masks.{index}.{part}"] = _coded(mask, _group(layer.granularity))
    header = {
        "kind": KIND,
        "format": FORMAT,
        "stream": STREAM,
        "seed": next(iter(rival.layers.values())).source.seed,
        "granularity": rival.granularity.name,
        "made_by": rival.made_by,
        "graph": rival.graph.as_object(),
        "target": rival.target_digest,
        "layers": layers,
    }
    return sealed(tensors, header, compact=True)


def save_rival(path: Path | str, rival: Rival) -> int:
    """Write the rival whole or not at all and return its size in bytes; raises BadInputError if it cannot."""
    content = rival_bytes(rival)
    write_whole(Path(path), content)
    return len(content)


def read_rival(path: Path | str) -> Rival:
    """Return the rival in a file; raises BadInputError for anything that is not an undamaged one of this stream."""
    return read_sealed(path, KIND, FORMAT, _rebuilt)


def _rebuilt(header: dict[str, Any], tensors: dict[str, NDArray[np.uint8]]) -> Rival:
    graph, granularity = Graph.from_object(header["graph"]), parse_granularity(header["granularity"])
    layers = {}
    for index, (step, recipe) in enumerate(zip(graph.layers, header["layers"], strict=True)):
        name, width, exponent, constants = recipe
        source = SourceLayer(step.shape, int(header["seed"]), index, int(width), int(exponent), int(constants))
        masks = tuple(
            _decoded(tensors[f"masks.{index}.{part}"], shape, _group(granularity))
            for part, shape in enumerate(mask_shapes(source, granularity))
        )
        layers[str(name)] = RivalLayer(source, granularity, masks)
    return Rival(graph, layers, str(header["made_by"]), str(header["target"]))


def _group(granularity: Granularity) -> int:
    return granularity.group if isinstance(granularity, NOfM) else 1


def _coded(mask: Bools, group: int) -> NDArray[np.uint8]:
    bits = _padded(mask, group)
    code = np.zeros(2 * bits.size + 16, dtype=np.uint8)
    return code[: encode_bits(bits, group, code)].copy()


def _padded(mask: Bools, group: int) -> NDArray[np.uint8]:
    """Return the mask as one row of bits, every row of it padded to whole groups."""
    rows = mask.reshape(mask.shape[0], -1) if mask.ndim > 1 else mask[None]
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % group))).astype(np.uint8).reshape(-1)


def _decoded(code: NDArray[np.uint8], shape: tuple[int, ...], group: int) -> Bools:
    rows, row = (shape[0], shape[1]) if len(shape) > 1 else (1, shape[0])
    bits = np.zeros((rows, row + -row % group), dtype=np.uint8)
    flat = bits.reshape(-1)
    decode_bits(code, group, flat)
    return bits[:, :row].reshape(shape).astype(np.bool_)
