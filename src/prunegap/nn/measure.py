"""A ticket beside its target on data: how far apart outputs are, how often classes agree and are right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.graph import Graph
from prunegap.nn.input_set import InputSet
from prunegap.nn.modules import dense
from prunegap.nn.target import Target
from prunegap.nn.ticket import NetworkTicket, collapsed_module

BATCH = 256


@dataclass(frozen=True)
class Measurement:
    """Over `count` inputs: the greatest and the mean |output - target's|, and the fraction of equal classes.

    `accuracy` and `target_accuracy` are fractions of right classes, None without labels.
    """

    count: int
    greatest_error: float
    mean_error: float
    agreement: float
    accuracy: float | None
    target_accuracy: float | None

    def as_object(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


def measure_ticket(
    ticket: NetworkTicket, target: Target, inputs: ArrayLike, labels: ArrayLike | None = None
) -> Measurement:
    """Run both networks in float64 on `inputs` (n, *input_shape) and compare; the class is the greatest output.

    Raises BadInputError for inputs of another shape, outside the ticket's input set, or labels of another length.
    """
    data = checked_inputs(inputs, ticket.graph, ticket.inputs)
    truth = None if labels is None else torch.as_tensor(np.asarray(labels).reshape(-1).astype(np.int64))
    if truth is not None and truth.shape[0] != data.shape[0]:
        raise BadInputError(f"{truth.shape[0]} labels", f"for {data.shape[0]} inputs", "give one for each")
    mine, theirs = collapsed_module(ticket, torch.float64), dense(target)
    greatest = total = 0.0
    agree = right = target_right = entries = 0
    with torch.no_grad():
        for start in range(0, data.shape[0], BATCH):
            part = data[start : start + BATCH].double()
            ours, wanted = mine(part).flatten(1), theirs(part).flatten(1)
            apart = (ours - wanted).abs()
            greatest, total, entries = (
                max(greatest, float(apart.max())),
                total + float(apart.sum()),
                entries + apart.numel(),
            )
            said, meant = ours.argmax(1), wanted.argmax(1)
            agree += int((said == meant).sum())
            if truth is not None:
                right += int((said == truth[start : start + BATCH]).sum())
                target_right += int((meant == truth[start : start + BATCH]).sum())
    count = data.shape[0]
    known = truth is not None
    return Measurement(
        count,
        greatest,
        total / entries,
        agree / count,
        right / count if known else None,
        target_right / count if known else None,
    )


def checked_inputs(inputs: ArrayLike, graph: Graph, allowed: InputSet) -> torch.Tensor:
    """Return the inputs as a tensor (n, *input_shape); raises BadInputError for a wrong shape or entries outside."""
    array = np.asarray(inputs)
    size = int(np.prod(graph.input_shape))
    if array.ndim < 1 or array.shape[0] == 0 or array.size != array.shape[0] * size:
        raise BadInputError(
            f"inputs of shape {array.shape}", f"must be (n, {', '.join(map(str, graph.input_shape))})", "reshape them"
        )
    data = torch.as_tensor(np.ascontiguousarray(array)).reshape(array.shape[0], *graph.input_shape)
    if allowed.kind == "box":
        low, high = allowed.ends(graph.input_shape)
        inside = all(bool(((low <= part) & (part <= high)).all()) for part in torch.split(data, BATCH))
        found = f"entries from {float(data.min()):g} to {float(data.max()):g}"
    else:
        longest = float(data.double().flatten(1).norm(dim=1).max())
        inside, found = longest <= allowed.radius * (1.0 + 1e-6), f"an input of norm {longest:g}"
    if not inside:
        raise BadInputError(f"inputs with {found}", f"lie outside {allowed}", "scale them, or change --inputs")
    return data


def read_data(path: Path | str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return inputs x and classes y (or None) of a safetensors file; raises BadInputError for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(str(path))
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(str(path), f"is no readable safetensors file ({reason})", "save x and y there") from None
    if "x" not in arrays:
        raise BadInputError(str(path), "holds no array x", 'use save_file({"x": inputs, "y": classes}, path)')
    if not np.isfinite(arrays["x"]).all():
        raise BadInputError(f"{path}: x", "holds NaN or infinite entries", "replace them")
    return arrays["x"], arrays.get("y")
