"""The ticket of a network: for every layer the recipe of its random layers and the coded masks, nothing else.

The masks say, for every weight of the target and for every sign its input can have, which hidden neurons of that
input stay connected to that output. A hidden neuron keeps its one weight exactly when something reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.kernels.mask_code import STATE, begin_decoding, decode, fresh_counts
from prunegap.kernels.philox import BITS
from prunegap.kernels.smallest import summed
from prunegap.model.errors import BadInputError
from prunegap.nn.graph import Graph, Step
from prunegap.nn.input_set import InputSet
from prunegap.nn.modules import GraphModule, MaskedLayer, SidedLayer
from prunegap.nn.source import UNIT, Candidates, SourceLayer

Floats = NDArray[np.float64]
Masks = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """The decoded masks (m,) over the candidates of one input and side; bit k keeps candidate k."""

    block: int
    side: int
    candidates: Candidates
    masks: Masks


@dataclass(frozen=True)
class Collapsed:
    """What the paths of a layer sum to, exact float64 arrays: P, N (None where one-sided) and the bias."""

    positive: Floats
    negative: Floats | None
    bias: Floats | None


@dataclass(frozen=True, eq=False)
class TicketLayer:
    """The masks of one layer as coded bytes; `sides` is (1,) where the input has no negative entry, else (1, -1)."""

    source: SourceLayer
    sides: tuple[int, ...]
    code: bytes

    def order(self) -> Iterator[tuple[int, int]]:
        """Yield (side, block) in the order in which masks are coded; constant inputs have one side."""
        for side in self.sides:
            for block in range(self.source.blocks):
                if side == 1 or block < self.source.shape.inputs:
                    yield side, block

    def decoded(self) -> Iterator[Block]:
        """Yield the masks of every input and side, regenerating the source block by block."""
        code = np.frombuffer(self.code, dtype=np.uint8)
        counts, state = fresh_counts(), np.zeros(STATE, dtype=np.int64)
        begin_decoding(state, code)
        above = np.zeros(0, dtype=np.int64)
        for side, block in self.order():
            candidates = self.source.candidates(block, side)
            masks = np.zeros(self.source.served(block), dtype=np.int64)
            if above.size != masks.size:
                above = np.zeros_like(masks)
            decode(candidates.factors, candidates.draws, above, counts, state, code, masks)
            above = masks
            yield Block(block, side, candidates, masks)

    @cached_property
    def kept(self) -> tuple[int, int]:
        """Weights kept in the first and in the second random layer."""
        first = second = 0
        for block in self.decoded():
            second += int(np.bitwise_count(block.masks.astype(np.uint64)).sum())
            first += int(np.bitwise_or.reduce(block.masks, initial=0)).bit_count()
        return first, second

    def collapsed(self) -> Collapsed:
        """Return the exact sums over kept paths, in the shapes of the target's arrays."""
        shape = self.source.shape
        sides = {side: np.zeros((shape.inputs, shape.weights_per_input)) for side in self.sides}
        bias = np.zeros(shape.outputs) if shape.bias else None
        for block in self.decoded():
            sums = np.empty(block.masks.size)
            summed(block.candidates.factors, block.candidates.draws, block.masks, sums)
            sums *= UNIT * self.source.scale
            if block.block < shape.inputs:
                sides[block.side][block.block] = sums
            elif bias is not None:
                bias += sums
        arrays = {side: shape.from_columns(columns) for side, columns in sides.items()}
        return Collapsed(arrays[1], arrays.get(-1), bias)

    def digest(self) -> str:
        """Return SHA-256 over the collapsed arrays as little-endian float64: a source with other draws differs."""
        collapsed, digest = self.collapsed(), hashlib.sha256()
        for array in (collapsed.positive, collapsed.negative, collapsed.bias):
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class NetworkTicket:
    """A masked random network that imitates a trained one, with the claim made when it was cut.

    `epsilon` is the greatest error of a weight that was allowed; `inputs` the set of inputs the certificate speaks
    of, which also decides whether the first layer is one-sided; `target_digest` names the target's weights;
    `claim` holds the certificate and the measurements as plain numbers.
    """

    graph: Graph
    layers: Mapping[str, TicketLayer]
    inputs: InputSet
    epsilon: float
    target_digest: str
    claim: Mapping[str, Any]

    def __post_init__(self) -> None:
        one_sided = self.graph.one_sided(self.inputs)
        for index, step in enumerate(self.graph.layers):
            layer = self.layers[step.name]
            sides = (1,) if one_sided[step.name] else (1, -1)
            if layer.source.shape != step.shape or layer.source.index != index or layer.sides != sides:
                raise BadInputError(f"layer {step.name}", "does not fit the graph", "make the ticket anew")
        if len({layer.source.seed for layer in self.layers.values()}) != 1:
            raise BadInputError("a ticket of several seeds", "needs one source", "make the ticket anew")

    @property
    def seed(self) -> int:
        """The seed of the source network."""
        return next(iter(self.layers.values())).source.seed

    @property
    def weight_count(self) -> int:
        """All weights of the target, biases included."""
        return sum(step.shape.weight_count for step in self.graph.layers)

    @property
    def kept_weights(self) -> int:
        """Weights kept in both random layers of all layers."""
        return sum(sum(layer.kept) for layer in self.layers.values())

    @property
    def path_weights(self) -> int:
        """Two for every kept path: as if no two paths shared their first weight."""
        return sum(2 * layer.kept[1] for layer in self.layers.values())


def collapsed_module(ticket: NetworkTicket, dtype: torch.dtype = torch.float32) -> GraphModule:
    """Return the ticket with the paths of each layer summed: exact in float64, rounded once otherwise."""
    layers: dict[str, torch.nn.Module] = {}
    for step in ticket.graph.layers:
        arrays = ticket.layers[step.name].collapsed()
        positive, negative, bias = (
            None if array is None else torch.from_numpy(array).to(dtype)
            for array in (arrays.positive, arrays.negative, arrays.bias)
        )
        assert positive is not None
        layers[step.name] = SidedLayer(step, positive, negative, bias)
    return GraphModule(ticket.graph, layers).eval()


def masked_module(ticket: NetworkTicket, dtype: torch.dtype = torch.float32) -> GraphModule:
    """Return the ticket as it is: two masked random layers for every layer, every entry exact in float32."""
    layers: dict[str, torch.nn.Module] = {}
    for step in ticket.graph.layers:
        first, second, *constant = (torch.from_numpy(part).to(dtype) for part in _masked(ticket, step))
        layers[step.name] = MaskedLayer(step, first, second, *constant)
    return GraphModule(ticket.graph, layers).eval()


def _masked(ticket: NetworkTicket, step: Step) -> tuple[NDArray[np.float32], ...]:
    """Return first and second of a MaskedLayer, and where it has a bias the constant input's, as float32."""
    layer = ticket.layers[step.name]
    source, shape = layer.source, layer.source.shape
    unit = np.float32(2.0**-BITS)
    first = np.zeros((source.blocks, source.width), dtype=np.float32)
    columns = np.zeros((shape.inputs, source.width, shape.weights_per_input), dtype=np.float32)
    constant = np.zeros((source.constants, source.width, shape.outputs), dtype=np.float32)
    for block in layer.decoded():
        rows = block.candidates.rows
        kept = (block.masks >> np.arange(rows.size)[:, None]) & 1 == 1
        into = columns[block.block] if block.block < shape.inputs else constant[block.block - shape.inputs]
        into[rows] = np.where(kept, block.candidates.draws, 0) * (unit * np.float32(source.scale))
        first[block.block, rows] = np.where(kept.any(axis=1), block.side * block.candidates.factors, 0) * unit
    second = shape.widened(source.width).from_columns(columns.reshape(shape.inputs * source.width, -1))
    if not shape.bias:
        return first, second
    hidden = source.constants * source.width
    return first[: shape.inputs], second, first[shape.inputs :].reshape(-1), constant.reshape(hidden, -1).T.copy()
