"""One source, every granularity: the weight ticket beside whole neurons and beside learned masks, in one table.

For each width the same draws serve all rows; a part of the data is kept away from every method and measures them all.
What a method fits on, the target's outputs or labels, it fits on the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, Neuron, parse_granularity
from prunegap.model.outcome import Status
from prunegap.nn.certificate import with_claim
from prunegap.nn.construct import Making, make_ticket
from prunegap.nn.edge_popup import Training, learn_masks
from prunegap.nn.input_set import InputSet
from prunegap.nn.measure import checked_inputs
from prunegap.nn.modules import dense
from prunegap.nn.neuron_ticket import Fit, select_neurons
from prunegap.nn.rival import Rival, rival_bytes
from prunegap.nn.source import SourceLayer
from prunegap.nn.target import Target
from prunegap.nn.ticket import NetworkTicket, collapsed_module
from prunegap.nn.ticket_file import ticket_bytes
from prunegap.whole_file import write_whole

Progress = Callable[[str, int, int], None]
BATCH = 256
HALVINGS = 7
"""How often the interval of epsilon is halved, geometrically, in the search for the finest ticket of a width."""


@dataclass(frozen=True)
class Row:
    """One method at one width; numbers are None where `status` is not found, and `reason` says why.

    `kept_fraction` of all weights of the source; over the data held out: `relative_error` ||output - target's|| /
    ||target's||, `greatest_error` of any output, `agreement` and `accuracy` as fractions. `proven_error` bounds every
    output over the whole input set (weight ticket only). `bytes` is the size of `file`'s content.
    """

    method: str
    granularity: str
    width: int
    status: Status
    seconds: float
    reason: str = ""
    kept_fraction: float | None = None
    relative_error: float | None = None
    greatest_error: float | None = None
    agreement: float | None = None
    accuracy: float | None = None
    proven_error: float | None = None
    bytes: int | None = None
    file: str = ""
    fits: tuple[Fit, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The table, the content of every row's file, and the target's own accuracy on the data held out (or None)."""

    rows: tuple[Row, ...]
    target_weights: int
    target_accuracy: float | None
    fitted_on: int
    measured_on: int
    files: dict[str, bytes] = field(default_factory=dict, repr=False)

    def as_object(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {
            "target_weights": self.target_weights,
            "target_accuracy": self.target_accuracy,
            "fitted_on": self.fitted_on,
            "measured_on": self.measured_on,
            "rows": [asdict(row) for row in self.rows],
        }

    def save(self, folder: Path | str) -> None:
        """Write every file whole or not at all; raises BadInputError where the folder cannot be made."""
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(str(folder), f"cannot be made ({error.strerror})", "choose another place") from None
        for name, content in self.files.items():
            write_whole(Path(folder) / name, content)


@dataclass(frozen=True)
class Data:
    """Inputs and labels (or None), split once: methods fit on `fit`, all are measured on `held`."""

    inputs: Tensor
    labels: Tensor | None
    fit: Tensor
    held: Tensor

    @classmethod
    def split(cls, inputs: Tensor, labels: ArrayLike | None, held_out: float, seed: int) -> Data:
        """Return the data with round(held_out n) inputs, at least one, held out."""
        if not 0.0 < held_out < 1.0 or inputs.shape[0] < 2:
            raise BadInputError(f"held_out {held_out}", "must lie in (0, 1), of two inputs or more", "use 0.25")
        truth = None if labels is None else torch.as_tensor(np.asarray(labels).reshape(-1).astype(np.int64))
        if truth is not None and truth.shape[0] != inputs.shape[0]:
            raise BadInputError(f"{truth.shape[0]} labels", f"for {inputs.shape[0]} inputs", "give one for each")
        order = torch.randperm(inputs.shape[0], generator=torch.Generator().manual_seed(seed))
        held = min(max(1, round(held_out * inputs.shape[0])), inputs.shape[0] - 1)
        return cls(inputs, truth, order[held:].sort().values, order[:held].sort().values)

    def measured(self, module: nn.Module, target: Target) -> dict[str, float | None]:
        """Return what a Row holds about a float32 module, on the data held out."""
        theirs = dense(target, torch.float32)
        with torch.no_grad():
            parts = [(module(x), theirs(x)) for x in torch.split(self.inputs[self.held].float(), BATCH)]
        ours, wanted = (torch.cat(side).flatten(1).double() for side in zip(*parts, strict=True))
        size, said = float(wanted.norm()), ours.argmax(1)
        right = None if self.labels is None else float((said == self.labels[self.held]).double().mean())
        return {
            "relative_error": float((ours - wanted).norm()) / size if size else math.inf,
            "greatest_error": float((ours - wanted).abs().max()),
            "agreement": float((said == wanted.argmax(1)).double().mean()),
            "accuracy": right,
        }


def compare_rivals(
    target: Target,
    inputs: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    epsilon: float | None = 0.01,
    seed: int = 0,
    widths: Sequence[int | None] = (None,),
    learned: Sequence[str] = ("weight", "2:4", "neuron"),
    learn: Sequence[str] = ("labels",),
    training: Training | None = None,
    input_set: InputSet | None = None,
    held_out: float = 0.25,
    seconds: float = math.inf,
    progress: Progress | None = None,
) -> Comparison:
    """Return the table over `inputs` (n, *input_shape) and `labels` (n,) or None.

    For every width: the weight ticket within epsilon (with None the finest of that width), the neuron ticket, and
    edge-popup for each granularity of `learned`. The width None is that of the weight ticket, layer by layer.
    `seconds` is the time limit of each row but the weight ticket's. Raises BadInputError for data that do not fit
    the target.
    """
    allowed, training = input_set or InputSet(), training or Training()
    granularities = [parse_granularity(name) for name in learned]
    if not learn or not set(learn) <= {"labels", "target"}:
        raise BadInputError(f"learn {','.join(learn)!r}", "must be labels, target or both", "use --learn target")
    goals = learn if labels is not None else ("target",)
    data = Data.split(checked_inputs(inputs, target.graph, allowed), labels, held_out, seed)
    table = _Table(target, data, seed, seconds, progress)
    for width in widths:
        sources = table.weight_ticket(epsilon, width, allowed)
        table.neuron_ticket(sources)
        for goal in goals:
            for granularity in granularities:
                table.edge_popup(sources, granularity, goal, training)
    right = data.measured(dense(target, torch.float32), target)["accuracy"]
    sizes = (data.fit.numel(), data.held.numel())
    return Comparison(tuple(table.rows), target.weight_count, right, *sizes, table.files)


def finest_ticket(target: Target, width: int, seed: int, inputs: InputSet) -> Making:
    """Return the ticket of a width with the least epsilon found by halving, in 2^-13 to 8 of the largest weight.

    Paths cost nothing (price 0): at equal width the nearest ticket is wanted, not the sparsest.
    """
    # An eighth of epsilon is the least that a layer gets: at 8 every weight may be left out.
    high = 8.0 * target.largest * (1.0 + 2.0**-20)
    options: dict[str, Any] = {"width": width, "inputs": inputs, "price": 0.0, "patience": math.inf}
    best, low = make_ticket(target, high, seed, **options), high * 2.0**-16
    for _ in range(HALVINGS if best.ticket is not None else 0):
        middle = math.sqrt(low * high)
        making = make_ticket(target, middle, seed, **options)
        if making.ticket is None:
            low = middle
        else:
            best, high = making, middle
    return best


class _Table:
    def __init__(self, target: Target, data: Data, seed: int, seconds: float, progress: Progress | None) -> None:
        self.target, self.data, self.seed, self.seconds, self.progress = target, data, seed, seconds, progress
        self.rows: list[Row] = []
        self.files: dict[str, bytes] = {}

    def weight_ticket(self, epsilon: float | None, width: int | None, allowed: InputSet) -> dict[str, SourceLayer]:
        """Add the weight ticket's row and return the sources that the other rows prune."""
        began = time.monotonic()
        if epsilon is None and width is not None:
            making = finest_ticket(self.target, width, self.seed, allowed)
        else:
            making = make_ticket(
                self.target, epsilon or 0.01, self.seed, width=width, inputs=allowed, progress=self.progress
            )
        seconds = time.monotonic() - began
        if making.ticket is None:
            wide = max(part.width for part in making.impossible)
            missing, of = (sum(getattr(part, name) for part in making.impossible) for name in ("count", "of"))
            reason = f"{missing} of {of} sums tried are met by no subset"
            self.rows.append(Row("subset sums", "weight", wide, Status.IMPOSSIBLE, seconds, reason))
            return self._sources(None, wide)
        ticket = with_claim(making.ticket, self.target)
        sources = self._sources(ticket, 0)
        kept = ticket.kept_weights / sum(source.source_weights for source in sources.values())
        proven = ticket.claim["certificate"]["output_error"]
        row = Row("subset sums", "weight", _widest(sources), Status.FOUND, seconds)
        row = replace(row, kept_fraction=kept, proven_error=proven)
        self._add(row, collapsed_module(ticket), ticket_bytes(ticket))
        return sources

    def neuron_ticket(self, sources: dict[str, SourceLayer]) -> None:
        """Add the row of the best neuron-only ticket."""
        began = time.monotonic()
        inputs = self.data.inputs[self.data.fit]
        found = select_neurons(self.target, sources, inputs, seconds=self.seconds, progress=self.progress)
        self._rival(found.rival, "neuron selection", Neuron(), sources, time.monotonic() - began, found.fits)

    def edge_popup(
        self, sources: dict[str, SourceLayer], granularity: Granularity, goal: str, training: Training
    ) -> None:
        """Add the row of masks learned at one granularity."""
        began, data = time.monotonic(), self.data
        labels = data.labels[data.fit] if goal == "labels" and data.labels is not None else None
        limits: dict[str, Any] = {"seconds": self.seconds, "progress": self.progress}
        rival = learn_masks(self.target, sources, data.inputs[data.fit], labels, granularity, training, **limits)
        self._rival(rival, f"edge-popup, {goal}", granularity, sources, time.monotonic() - began)

    def _rival(
        self,
        rival: Rival | None,
        method: str,
        granularity: Granularity,
        sources: dict[str, SourceLayer],
        seconds: float,
        fits: tuple[Fit, ...] = (),
    ) -> None:
        width = _widest(sources)
        if rival is None:
            reason = f"time limit of {self.seconds:g} s"
            self.rows.append(Row(method, granularity.name, width, Status.UNDECIDED, seconds, reason))
            return
        kept = rival.kept_weights / rival.source_weights
        row = Row(method, granularity.name, width, Status.FOUND, seconds, kept_fraction=kept, fits=fits)
        self._add(row, rival.module(), rival_bytes(rival))

    def _add(self, row: Row, module: nn.Module, content: bytes) -> None:
        method = row.method.replace(", ", "-").replace(" ", "-")
        kind = "ticket" if row.method == "subset sums" else "rival"
        name = f"{method}-{row.granularity.replace(':', 'of')}-{row.width}.{kind}"
        known: dict[str, Any] = {"file": name, "bytes": len(content), **self.data.measured(module, self.target)}
        self.files[name] = content
        self.rows.append(replace(row, **known))

    def _sources(self, ticket: NetworkTicket | None, width: int) -> dict[str, SourceLayer]:
        if ticket is not None:
            return {name: layer.source for name, layer in ticket.layers.items()}
        layers = enumerate(self.target.graph.layers)
        return {step.name: SourceLayer(step.shape, self.seed, index, width, 0) for index, step in layers}


def _widest(sources: dict[str, SourceLayer]) -> int:
    return max(source.width for source in sources.values())
