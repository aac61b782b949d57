"""The comparison: every granularity at every budget, the same problem, equally strong solvers, everything measured.

For each point: allot the budget to layers by sensitivity, prune and repair, make it small or sparse, check it against
the masked model, measure quality and latency. The user's model is copied, never modified. A point that fails is
recorded and the rest goes on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, Neuron, parse_granularity
from prunegap.trained.calibrate import Batch, Calibration
from prunegap.trained.compare.candidate import (
    Candidate,
    arguments_of,
    shrunk_candidate,
    size_in_bytes,
    sparse_candidate,
)
from prunegap.trained.compare.measure import Evaluate, fidelity
from prunegap.trained.compare.plan import OutOfReachError, UnitPlan, WeightPlan, weights_of
from prunegap.trained.compare.point import Comparison, LayerOutcome, Point, PointStatus, Setting
from prunegap.trained.compare.versions import versions
from prunegap.trained.execute.choose import multiply_adds
from prunegap.trained.finetune import finetune
from prunegap.trained.latency import Latency, measure_latency, tensors_of
from prunegap.trained.layer import layers
from prunegap.trained.prune import Pruned, prune_weights
from prunegap.trained.prune_units import prune_units
from prunegap.trained.structure import Structure, trace
from prunegap.trained.timing import Span

GRANULARITIES = ("weight", "2:4", "block:4", "neuron")
BUDGETS = (0.7, 0.5, 0.3, 0.1)
STRONGEST = {"weight": "admm", "neuron": "local"}
"""The strongest solver of each kind; n:m and blocks are solved as weights are."""

OnPoint = Callable[[Comparison, Candidate | None], None]
"""Called with the comparison so far whenever a point is added, and with the point's model where there is one."""


@dataclass(frozen=True)
class Options:
    """How hard to try and how to measure.

    `repeats` calibration samples a point, whose quality spreads; `turns` of timing; `threads` (None: torch's own);
    `stages` bounds calibration passes (None: one a layer); `finetune_steps` after pruning, the same for every point;
    `solvers` by kind, "weight" and "neuron".
    """

    repeats: int = 3
    seed: int = 0
    turns: int = 21
    threads: int | None = None
    stages: int | None = None
    finetune_steps: int = 0
    solvers: Mapping[str, str] = field(default_factory=lambda: dict(STRONGEST))
    model_name: str = "model"
    measure: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        for name in ("repeats", "turns"):
            if getattr(self, name) < 1:
                raise BadInputError(f"{name} {getattr(self, name)}", "must be at least 1", f"use --{name} 3")
        if self.finetune_steps < 0:
            raise BadInputError(f"finetune steps {self.finetune_steps}", "must not be negative", "use 0 for none")


def compare(
    model: nn.Module,
    calibration: Iterable[Batch] | torch.Tensor,
    evaluate: Evaluate | None = None,
    budgets: Sequence[float] = BUDGETS,
    granularities: Sequence[str | Granularity] = GRANULARITIES,
    inputs: Batch | None = None,
    options: Options | None = None,
    on_point: OnPoint | None = None,
) -> Comparison:
    """Return the comparison of a trained model with its pruned versions at equal budgets.

    `calibration`: batches as the model's forward takes them, without labels. `evaluate(model)` gives a quality,
    higher is better; without it the mean cosine to the dense model's outputs on held-out calibration batches.
    `budgets`: fractions of the prunable layers' weights that may stay. `inputs`: the batch for latency (default: the
    first of calibration). Guarantees: the model is not modified; a shrunk model agrees with its masked twin to 1e-4;
    a point that fails is recorded with its reason and loses no other. Raises BadInputError for bad options, batches the
    model cannot run on, NaN activations (the layer is named), and an `evaluate` that fails on the dense model.
    """
    return Run(model, calibration, evaluate, inputs, options or Options()).compare(budgets, granularities, on_point)


class Run:
    """A comparison that is prepared: the dense model measured, its structure known."""

    def __init__(
        self,
        model: nn.Module,
        calibration: Iterable[Batch] | torch.Tensor,
        evaluate: Evaluate | None,
        inputs: Batch | None,
        options: Options,
    ) -> None:
        self.options = options
        self.model = copy.deepcopy(model).eval()
        batches = list(torch.split(calibration, 64) if isinstance(calibration, torch.Tensor) else calibration)
        if not batches:
            raise BadInputError("calibration", "holds no batches", "give at least one batch of inputs")
        self.measure = options.measure or (
            "fidelity" if evaluate is None else getattr(evaluate, "__name__", "quality")
        )
        if evaluate is None:
            held = max(1, len(batches) // 4)
            evaluate = fidelity(self.model, batches[-held:])
            batches = batches[:-held] or batches
        self.evaluate = evaluate
        self.inputs = batches[0] if inputs is None else inputs
        self.calibration = Calibration(self.model, batches)
        self.plans: dict[tuple[str, int], WeightPlan | UnitPlan] = {}
        self.structure, self.untraced = self._traced()

    def _traced(self) -> tuple[Structure | None, str]:
        try:
            return trace(self.model, *arguments_of(self.inputs)), ""
        except BadInputError as error:
            return None, str(error)

    def compare(
        self, budgets: Sequence[float], granularities: Sequence[str | Granularity], on_point: OnPoint | None = None
    ) -> Comparison:
        """Return the comparison; see `compare`."""
        asked = [parse_granularity(g) if isinstance(g, str) else g for g in granularities]
        for budget in budgets:
            if not 0.0 < budget < 1.0:
                raise BadInputError(f"budget {budget:g}", "must lie between 0 and 1", "use --budgets 0.7,0.5,0.3")
        dense, setting = self._dense()
        fixed = () if self.structure is None else tuple((f.parameter, f.reason) for f in self.structure.fixed)
        comparison = Comparison(setting, dense, (), fixed)
        for point, candidate in self._points(asked, budgets):
            comparison = Comparison(setting, dense, (*comparison.points, point), fixed)
            if on_point:
                on_point(comparison, candidate)
        return comparison

    def _dense(self) -> tuple[Point, Setting]:
        options = self.options
        quality = self._quality(self.model, dense=True)
        latency = self._latency(self.model)
        counted = multiply_adds(self.model, self.inputs)
        weights = weights_of(self.model, self.calibration.order)
        outcomes = tuple(LayerOutcome(n, 1.0, 0.0, "dense", "not pruned") for n in layers(self.model))
        point = Point(
            "dense", 1.0, PointStatus.DONE, "", Span(quality, quality, quality), (quality,), weights, counted,
            size_in_bytes(self.model), latency.seconds, Span(1.0, 1.0, 1.0), outcomes,
        )  # fmt: skip
        rows = sum(tensors_of(b)[0].shape[0] for b in self.calibration.batches)
        parameters = sum(p.numel() for p in self.model.parameters())
        return point, Setting(
            options.model_name, self.measure, latency.batch, latency.threads, latency.device, rows, options.repeats,
            options.seed, dict(options.solvers), options.finetune_steps, latency.isolated, weights, parameters,
            options.command, versions(),
        )  # fmt: skip

    def _points(
        self, granularities: Sequence[Granularity], budgets: Sequence[float]
    ) -> Iterator[tuple[Point, Candidate | None]]:
        for granularity in granularities:
            for budget in sorted(budgets, reverse=True):
                try:
                    yield self._point(granularity, budget)
                except OutOfReachError as why:
                    yield Point(granularity.name, budget, PointStatus.OUT_OF_REACH, str(why)), None
                except KeyboardInterrupt:
                    raise
                except Exception as error:  # one failed budget must not lose the others
                    reason = str(error) if isinstance(error, BadInputError) else f"{type(error).__name__}: {error}"
                    yield Point(granularity.name, budget, PointStatus.FAILED, reason), None

    def _point(self, granularity: Granularity, budget: float) -> tuple[Point, Candidate]:
        start = time.monotonic()
        pruned = [self._pruned(granularity, budget, repeat) for repeat in range(self.options.repeats)]
        qualities = tuple(self._quality(p.model) for p in pruned)
        candidate = self._candidate(granularity, pruned[0])
        latency = self._latency(candidate.run)
        return Point(
            granularity.name,
            budget,
            PointStatus.DONE,
            quality=Span.of(qualities),
            qualities=qualities,
            weights=candidate.weights,
            multiply_adds=candidate.multiply_adds,
            bytes=candidate.bytes,
            seconds=latency.seconds,
            speedup=latency.speedup,
            layers=candidate.layers,
            preparation_seconds=time.monotonic() - start,
        ), candidate

    def _pruned(self, granularity: Granularity, budget: float, repeat: int) -> Pruned:
        options, calibration = self.options, self._sample(repeat)
        if isinstance(granularity, Neuron):
            if self.structure is None:
                raise OutOfReachError(f"the model cannot be traced: {self.untraced}")
            units = self.plans.setdefault(("neuron", 0), UnitPlan(self.calibration, self.structure))
            assert isinstance(units, UnitPlan)
            counts, groups = units.counts(budget), self.structure.groups
            solver = options.solvers["neuron"]
            pruned = prune_units(
                self.model, (), groups, counts, solver, stages=options.stages, calibration=calibration
            )
        else:
            weights = self.plans.setdefault((granularity.name, 0), WeightPlan(self.calibration, granularity))
            assert isinstance(weights, WeightPlan)
            fractions = weights.fractions(budget)
            solver = options.solvers["weight"]
            pruned = prune_weights(
                self.model, (), granularity, fractions, solver, options.stages, calibration=calibration
            )
        if options.finetune_steps:
            batches, masks = calibration.batches, pruned.masks or None
            pruned.model = finetune(pruned.model, self.model, batches, options.finetune_steps, masks=masks)
        return pruned

    def _sample(self, repeat: int) -> Calibration:
        """Return the calibration of one repeat: all batches first, then batches drawn with replacement."""
        if repeat == 0:
            return self.calibration
        draw = np.random.default_rng([self.options.seed, repeat])
        batches = self.calibration.batches
        return Calibration(self.model, [batches[i] for i in draw.integers(0, len(batches), len(batches))])

    def _candidate(self, granularity: Granularity, pruned: Pruned) -> Candidate:
        if isinstance(granularity, Neuron):
            assert self.structure is not None
            return shrunk_candidate(pruned.model, self.structure, pruned.kept, pruned.errors, self.inputs)
        return sparse_candidate(pruned.model, pruned.masks, pruned.errors, self.inputs, self.options.turns)

    def _quality(self, model: nn.Module, dense: bool = False) -> float:
        try:
            quality = float(self.evaluate(model.eval()))
        except Exception as error:
            of = "the dense model" if dense else "a pruned model"
            rule = f"raised {type(error).__name__} on {of}: {error}"
            raise BadInputError("evaluate", rule, "it is called with a module and returns a number") from error
        if not np.isfinite(quality):
            raise BadInputError(f"evaluate returned {quality}", "quality must be finite", "mend evaluate")
        return quality

    def _latency(self, model: nn.Module) -> Latency:
        models = {"dense": self.model, "pruned": model}
        return measure_latency(models, self.inputs, threads=self.options.threads, turns=self.options.turns)["pruned"]
