"""Network tickets on disk: one safetensors file of a few bits a weight, without pickle.

The header holds the recipe (stream, seed, width and scale of each layer), the graph, the input set and the claim;
the tensors hold coded masks. Two kinds of digest guard them. Each layer's digest is taken over its collapsed weights,
so a generator that draws other numbers is refused. `digest` is taken over the whole file with its own 64 digits read
as zeros. docs/network-tickets.md describes every field.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import Graph
from prunegap.nn.input_set import InputSet
from prunegap.nn.modules import GraphModule
from prunegap.nn.source import STREAM, SourceLayer
from prunegap.nn.ticket import NetworkTicket, TicketLayer, collapsed_module, masked_module
from prunegap.nn.ticket_reader import header_of, read_sealed
from prunegap.sealed_file import DamageError, sealed
from prunegap.whole_file import write_whole

FORMAT = 1
KIND = "network-ticket"
FORMS: dict[str, Callable[[NetworkTicket, torch.dtype], GraphModule]] = {
    "collapsed": collapsed_module,
    "masked": masked_module,
}


def ticket_bytes(ticket: NetworkTicket) -> bytes:
    """Return the content of the ticket's file."""
    layers = [
        [step.name, layer.source.width, layer.source.exponent, layer.source.constants, layer.digest()]
        for step in ticket.graph.layers
        for layer in [ticket.layers[step.name]]
    ]
    claim = {
        "kind": KIND,
        "format": FORMAT,
        "stream": STREAM,
        "seed": ticket.seed,
        "graph": ticket.graph.as_object(),
        "inputs": str(ticket.inputs),
        "epsilon": ticket.epsilon,
        "target": ticket.target_digest,
        "layers": layers,
        "claim": dict(ticket.claim),
    }
    tensors: dict[str, NDArray[Any]] = {
        f"masks.{index}": np.frombuffer(ticket.layers[step.name].code, dtype=np.uint8)
        for index, step in enumerate(ticket.graph.layers)
    }
    return sealed(tensors, claim, compact=True)


def save_ticket(path: Path | str, ticket: NetworkTicket) -> int:
    """Write the ticket whole or not at all and return its size in bytes; raises BadInputError if it cannot."""
    content = ticket_bytes(ticket)
    write_whole(Path(path), content)
    return len(content)


def read_ticket(path: Path | str) -> NetworkTicket:
    """Return the ticket in a file, its source regenerated and every digest checked; its claim is not proven again.

    Raises BadInputError, naming the file, for anything that is not an undamaged ticket of this bit stream.
    """
    return read_sealed(path, KIND, FORMAT, _rebuilt)


def load(path: Path | str, form: str = "collapsed", dtype: torch.dtype = torch.float32) -> GraphModule:
    """Return the network in a ticket file as an nn.Module, bit for bit the one that `make` measured.

    `form` is `collapsed` (the paths of each layer summed) or `masked` (two masked random layers for each layer).
    """
    if form not in FORMS:
        raise BadInputError(f"form {form!r}", "must be collapsed or masked", "use --form collapsed")
    return FORMS[form](read_ticket(path), dtype)


def export_state(path: Path | str, out: Path | str, form: str = "collapsed") -> int:
    """Write the network in a ticket file as a float32 safetensors state and return how many arrays it has.

    Where a layer is one-sided, `collapsed` uses the target's own names, NAME.weight and NAME.bias; a two-sided one
    has NAME.weight_positive and NAME.weight_negative. `masked` has NAME.first, NAME.second and the constant input's.
    """
    from safetensors.numpy import save

    network = load(path, form)
    arrays = {}
    for step, layer in zip(network.graph.layers, network.layers, strict=True):
        for name, parameter in layer.named_parameters():
            plain = {"positive": "weight"} if "negative" not in dict(layer.named_parameters()) else _TWO_SIDED
            arrays[f"{step.name}.{plain.get(name, name)}"] = parameter.detach().numpy()
    write_whole(Path(out), save(arrays))
    return len(arrays)


_TWO_SIDED = {"positive": "weight_positive", "negative": "weight_negative"}


def refuse_to_overwrite(out: Path) -> None:
    """Raise BadInputError for a place that cannot be written and for any file there that is not itself a ticket."""
    if not out.parent.is_dir():
        raise BadInputError(f"out {out}", f"{out.parent} is no directory", "create it first")
    if out.exists():
        try:
            header_of(out.read_bytes(), KIND)
        except (OSError, BadInputError, DamageError):
            raise BadInputError(f"out {out}", "exists and is no ticket", "choose another name") from None


def _rebuilt(header: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> NetworkTicket:
    graph, inputs = Graph.from_object(header["graph"]), InputSet.parse(header["inputs"])
    one_sided, layers, digests = graph.one_sided(inputs), {}, {}
    for index, (step, recipe) in enumerate(zip(graph.layers, header["layers"], strict=True)):
        name, width, exponent, constants, digest = recipe
        code = tensors.pop(f"masks.{index}")
        if name != step.name or code.dtype != np.uint8 or code.ndim != 1:
            raise DamageError("holds masks of other layers than its graph")
        source = SourceLayer(step.shape, int(header["seed"]), index, int(width), int(exponent), int(constants))
        layers[name] = TicketLayer(source, (1,) if one_sided[name] else (1, -1), code.tobytes())
        digests[name] = digest
    if tensors:
        raise DamageError(f"holds an unknown array {min(tensors)}")
    for name, layer in layers.items():
        if layer.digest() != digests[name]:
            raise DamageError(f"layer {name} does not match its digest: this machine draws other numbers")
    return NetworkTicket(graph, layers, inputs, float(header["epsilon"]), str(header["target"]), header["claim"])
