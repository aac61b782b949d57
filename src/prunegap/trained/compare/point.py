"""What a comparison holds: one point for each granularity and budget, and the dense model beside them.

Every point is a plain record that survives in JSON: a comparison that is interrupted loses only the point in flight.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from prunegap.model.errors import BadInputError
from prunegap.trained.timing import Span

SCHEMA = 1
"""Version of the comparison's JSON; docs/json-schema.md is the promise."""

COSTS = ("seconds", "weights", "multiply_adds", "bytes")
"""What quality can be set against, by the name of the field."""


class PointStatus(StrEnum):
    """done; out_of_reach: the granularity cannot meet the budget; failed: it raised, and `reason` says what."""

    DONE = "done"
    OUT_OF_REACH = "out of reach"
    FAILED = "failed"


@dataclass(frozen=True)
class LayerOutcome:
    """What one layer kept and lost: kept fraction of its weights, relative output error, execution and its reason."""

    layer: str
    keep_fraction: float
    error: float | None
    execution: str
    reason: str


@dataclass(frozen=True)
class Point:
    """One pruned model: its budget, what it kept, its quality and its measured cost.

    `keep_fraction` is the budget: the fraction of the weights (or, as the setting says, of the latency) of all
    prunable layers that may stay. `quality` (higher
    is better) and its range over the repeats; `weights` kept in prunable layers; `multiply_adds` of one forward pass
    that the chosen execution does; `bytes` of the model as it is run; `speedup` over dense, measured in turns with
    it, with the 95 % interval of its median; `seconds` of one forward pass: the dense model's divided by the
    speed-up, so that a machine that drifts moves no point. All but the first four are None unless the status is done.
    """

    granularity: str
    keep_fraction: float
    status: PointStatus
    reason: str = ""
    quality: Span | None = None
    qualities: tuple[float, ...] = ()
    weights: int | None = None
    multiply_adds: int | None = None
    bytes: int | None = None
    seconds: Span | None = None
    speedup: Span | None = None
    layers: tuple[LayerOutcome, ...] = ()
    preparation_seconds: float = 0.0
    file: str = ""
    """Path of the saved model inside the directory of the comparison; empty where none was written."""

    @property
    def is_done(self) -> bool:
        """Whether the point has quality and costs."""
        return self.status is PointStatus.DONE

    @property
    def failed(self) -> bool:
        """Whether it raised; asked again, it is tried again."""
        return self.status is PointStatus.FAILED

    def cost(self, name: str) -> float:
        """Return one of COSTS of a point that is done."""
        value = getattr(self, name)
        return float(value.median if isinstance(value, Span) else value)


@dataclass(frozen=True)
class Setting:
    """How a comparison was made: enough to make it again."""

    model: str
    measure: str
    batch: int
    threads: int
    device: str
    calibration_rows: int
    repeats: int
    seed: int
    solvers: Mapping[str, str]
    finetune_steps: int
    isolated: bool
    prunable_weights: int
    parameters: int
    fingerprint: str = ""
    """Digest of the model's tensors and of the calibration batches."""
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    platform: str = field(default_factory=platform.platform)
    budget_of: str = "weights"
    """What budgets are fractions of: the prunable layers' weights, their measured latency, or both."""
    cuda_graphs: bool = False
    """Whether latencies are those of replayed CUDA graphs."""

    def difference(self, other: Setting) -> str:
        """Return the first thing in which two settings differ so that their points cannot stand together."""
        told = ("command", "isolated")
        mine, theirs = asdict(self), asdict(other)
        return next((name.replace("_", " ") for name in mine if name not in told and mine[name] != theirs[name]), "")


@dataclass(frozen=True)
class Comparison:
    """A dense model and its pruned points."""

    setting: Setting
    dense: Point
    points: tuple[Point, ...]
    not_shrunk: tuple[tuple[str, str], ...] = ()
    """Names of parameters (or layers) that could not be pruned or shrunk, each with the reason."""

    def __str__(self) -> str:
        from prunegap.trained.compare.text import told

        return told(self)

    @property
    def done(self) -> list[Point]:
        """The points that have quality and costs."""
        return [p for p in self.points if p.is_done]

    def front(self, cost: str) -> list[Point]:
        """Return the Pareto front of quality against a cost, dense included, cheapest first.

        A point is on it when no other is at least as good at both and better at one.
        """
        everyone = [self.dense, *self.done]
        ordered = sorted(everyone, key=lambda p: (p.cost(cost), -_quality(p)))
        front: list[Point] = []
        for point in ordered:
            if not front or _quality(point) > _quality(front[-1]):
                front.append(point)
        return front


def _quality(point: Point) -> float:
    return float("-inf") if point.quality is None else point.quality.median


def as_object(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as the JSON object that docs/json-schema.md promises."""
    return {
        "schema": SCHEMA,
        "setting": {**asdict(comparison.setting)},
        "dense": asdict(comparison.dense),
        "points": [asdict(point) for point in comparison.points],
        "not_shrunk": [list(pair) for pair in comparison.not_shrunk],
    }


def read_comparison(path: Path) -> Comparison:
    """Return the comparison in a file; raises BadInputError where it is missing or damaged."""
    try:
        return from_text(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(str(path), f"cannot be read ({error})", "run prunegap compare --out first") from None


def from_text(text: str) -> Comparison:
    """Return the comparison that `as_object` made; raises BadInputError for anything else."""
    try:
        read = json.loads(text)
        if read["schema"] != SCHEMA:
            raise BadInputError(
                f"comparison of schema {read['schema']}",
                f"this version reads schema {SCHEMA}",
                "use the one it names",
            )
        return Comparison(
            Setting(**read["setting"]),
            _point(read["dense"]),
            tuple(_point(p) for p in read["points"]),
            tuple((str(name), str(reason)) for name, reason in read["not_shrunk"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError("comparison file", f"is damaged ({error!r})", "run the comparison again") from None


def _point(read: Mapping[str, Any]) -> Point:
    spans = {name: None if read[name] is None else Span(**read[name]) for name in ("quality", "seconds", "speedup")}
    layers: Sequence[Mapping[str, Any]] = read["layers"]
    return Point(
        **{
            **read,
            **spans,
            "status": PointStatus(read["status"]),
            "qualities": tuple(read["qualities"]),
            "layers": tuple(LayerOutcome(**layer) for layer in layers),
        }
    )
