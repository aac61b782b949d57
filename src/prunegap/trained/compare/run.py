"""The comparison: every granularity at every budget, the same problem, equally strong solvers, everything measured.

For each point: allot the budget to layers by sensitivity, prune and repair, make it small or sparse, check it against
the masked model, measure quality and latency. The user's model is copied, never modified. A point that fails is
recorded and the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, Neuron
from prunegap.trained.calibrate import Batch, Calibration, LayerMoments, batch_of
from prunegap.trained.compare.by_the_clock import planned_widths
from prunegap.trained.compare.candidate import (
    Candidate,
    arguments_of,
    run_dense,
    shrunk_candidate,
    size_in_bytes,
    sparse_candidate,
)
from prunegap.trained.compare.hands import Hands
from prunegap.trained.compare.latency_table import LatencyTable
from prunegap.trained.compare.measure import LIKENESSES, Evaluate
from prunegap.trained.compare.options import (
    BUDGETS,
    GRANULARITIES,
    Options,
    Watch,
    asked_budgets,
    asked_granularities,
)
from prunegap.trained.compare.plan import OutOfReachError, UnitPlan, WeightPlan, weights_of
from prunegap.trained.compare.point import Comparison, LayerOutcome, Point, PointStatus, Setting
from prunegap.trained.compare.question import as_batches, fingerprint, own_copy, threads
from prunegap.trained.compare.shelf import Shelf, named
from prunegap.trained.compare.versions import versions
from prunegap.trained.execute.choose import multiply_adds
from prunegap.trained.finetune import finetune
from prunegap.trained.latency import Stopwatch, device_of, tensors_of
from prunegap.trained.layer import shared
from prunegap.trained.prune import Pruned, prune_weights
from prunegap.trained.prune_units import prune_units
from prunegap.trained.structure import Structure, trace
from prunegap.trained.timing import Span

SAME = Span(1.0, 1.0, 1.0)

Asked = tuple[Granularity, float]
"""A point that is asked for: its granularity and its budget."""


@dataclass(frozen=True)
class Prunings:
    """A point pruned once for each repeat, and the seconds that took."""

    samples: Sequence[Pruned]
    seconds: float


def compare(
    model: nn.Module,
    calibration: Iterable[Batch] | Tensor,
    evaluate: Evaluate | None = None,
    budgets: Sequence[float] = BUDGETS,
    granularities: Sequence[str | Granularity] = GRANULARITIES,
    inputs: Batch | None = None,
    out: str | Path | None = None,
    options: Options | None = None,
    watch: Watch | None = None,
) -> Comparison:
    """Return the comparison of a trained model with its pruned versions at equal budgets.

    `calibration`: batches as the model's forward takes them, without labels. `evaluate(model)` gives a quality,
    higher is better; without it the likeness to the dense model's outputs on held-out calibration batches.
    `budgets`: fractions of the prunable layers' weights that may stay. `inputs`: the batch for latency (default: the
    first of calibration). `out`: a directory that gets comparison.json and models/ as points finish; asked again it
    goes on from there. Guarantees: the model is not modified; a shrunk model agrees with its masked twin to 1e-4; a
    point that fails is recorded with its reason and loses no other. Raises BadInputError for bad options, batches the
    model cannot run on, NaN activations (the layer is named), and an `evaluate` that fails on the dense model.
    """
    asked = asked_granularities(granularities), asked_budgets(budgets)
    run = Run(model, calibration, evaluate, inputs, options or Options())
    return run.compare(*asked, None if out is None else Shelf(Path(out)), watch)


class Run:
    """A comparison that is prepared: batches split and checked, the dense model copied."""

    def __init__(
        self,
        model: nn.Module,
        calibration: Iterable[Batch] | Tensor,
        evaluate: Evaluate | None,
        inputs: Batch | None,
        options: Options,
    ) -> None:
        self.options = options
        self.model = own_copy(model)
        batches = as_batches(calibration)
        self.calibration = Calibration(self.model, batches)
        if not self.calibration.order:
            raise BadInputError("model", "calls no Linear or Conv layer", "nothing in it can be pruned")
        self.measure = options.measure or ("fidelity" if evaluate is None else "quality")
        self._given = evaluate
        if evaluate is None:
            held = max(1, len(batches) // 4)
            self._held = batches[-held:]
            if len(batches) > held:
                self.calibration = Calibration(self.model, batches[:-held])
            else:
                self.measure += " (on the calibration batch itself)"
        self.inputs = batches[0] if inputs is None else inputs
        if options.cuda_graphs and not device_of(tensors_of(self.inputs)).startswith("cuda"):
            raise BadInputError("cuda graphs", "need a model and data on a GPU", "use --device cuda, or leave it out")
        self.threads = options.threads or torch.get_num_threads()
        self.plans: dict[str, WeightPlan | UnitPlan] = {}
        self.untraced = ""
        self.dense_seconds = float("nan")
        self._watch: Watch | None = None
        self._done = self._asked = 0

    @cached_property
    def structure(self) -> Structure | None:
        """The traced model, or None where it cannot be traced; `untraced` then says why."""
        try:
            return trace(self.model, *arguments_of(self.inputs))
        except BadInputError as error:
            self.untraced = str(error)
        except Exception as error:
            self.untraced = f"{type(error).__name__}: {error}"
        return None

    @cached_property
    def moments(self) -> dict[str, LayerMoments]:
        """The dense model's moments, for the sensitivity of every granularity."""
        return self.calibration.moments(self.model, self.calibration.order)

    @cached_property
    def table(self) -> LatencyTable | None:
        """The measured latencies of the layers, for budgets of latency."""
        if self.options.budget_of == "weights":
            return None
        return LatencyTable(self.model, self.inputs, self.calibration.order, self.options.cuda_graphs)

    @cached_property
    def evaluate(self) -> Evaluate:
        """The measure of quality; likeness needs the dense outputs first."""
        if self._given is not None:
            return self._given
        return LIKENESSES[self.measure.split(" ")[0]](self.model, self._held)

    def compare(
        self,
        granularities: Sequence[Granularity],
        budgets: Sequence[float],
        shelf: Shelf | None = None,
        watch: Watch | None = None,
    ) -> Comparison:
        """Return the comparison; see `compare`."""
        setting = self._setting()
        found = None if shelf is None else shelf.earlier(setting)
        finished = (
            {} if found is None else {(p.granularity, p.keep_fraction): p for p in found.points if not p.failed}
        )
        asked = [(g, b) for g in granularities for b in budgets]
        left = [(g, b) for g, b in asked if (g.name, b) not in finished]
        if found is not None and not left:
            return named(found, self.options.command)
        self._watch, self._done, self._asked = watch, len(asked) - len(left), len(asked)
        turns, graphs = self.options.turns, self.options.cuda_graphs
        self.stopwatch = Stopwatch(self.model, self.inputs, self.threads, turns, graphs=graphs)
        with self.stopwatch, threads(self.threads):
            self._tell("the dense model")
            # Tracing and the dense moments are due anyway; meanwhile the stopwatch's processes load torch.
            not_shrunk, _ = self._not_shrunk(), self.moments
            dense = self._dense() if found is None else found.dense
            assert dense.seconds is not None
            self.dense_seconds = dense.seconds.median
            comparison = Comparison(setting, dense, tuple(finished.values()), not_shrunk)
            hands = Hands(self.calibration, self.threads)
            for start in range(0, len(left), hands.count):
                for granularity, budget, prunings in self._pruned_together(left[start : start + hands.count], hands):
                    point = self._point_or_reason(granularity, budget, prunings, shelf)
                    comparison = replace(comparison, points=_ordered([*comparison.points, point]))
                    if shelf is not None:
                        shelf.put(comparison)
                    self._done += 1
            self._tell("finished")
        return comparison

    def _tell(self, words: str) -> None:
        if self._watch is not None:
            self._watch(self._done, self._asked, words)

    def _setting(self) -> Setting:
        options, tensors = self.options, tensors_of(self.inputs)
        rows = sum(tensors_of(b)[0].shape[0] for b in self.calibration.batches)
        return Setting(
            options.model_name, self.measure, batch_of(self.inputs), self.threads, device_of(tensors), rows,
            options.repeats, options.seed, dict(options.solvers), options.finetune_steps, True,
            weights_of(self.model, self.calibration.order), sum(p.numel() for p in self.model.parameters()),
            fingerprint(self.model, [*self.calibration.batches, self.inputs]), options.command, versions(),
            budget_of=options.budget_of, cuda_graphs=options.cuda_graphs,
        )  # fmt: skip

    def _dense(self) -> Point:
        quality = self._quality(self.model, dense=True)
        latency = self.stopwatch.measure(self.model)
        outcomes = tuple(LayerOutcome(name, 1.0, 0.0, "dense", "not pruned") for name in self.calibration.order)
        return Point(
            "dense", 1.0, PointStatus.DONE, "", Span(quality, quality, quality), (quality,),
            weights_of(self.model, self.calibration.order), multiply_adds(self.model, self.inputs),
            size_in_bytes(self.model), latency.seconds, SAME, outcomes,
        )  # fmt: skip

    def _not_shrunk(self) -> tuple[tuple[str, str], ...]:
        told = [(name, f"its weight is shared with {other}; it stays dense") for name, other in shared(self.model)]
        if self.structure is None:
            return (*told, ("all neurons", f"the model cannot be traced: {self.untraced}"))
        return (*told, *((f.parameter, f.reason) for f in self.structure.fixed))

    def _pruned_together(
        self, points: Sequence[Asked], hands: Hands
    ) -> list[tuple[Granularity, float, Future[Prunings]]]:
        """Prune several points at a time; each comes with its prunings or with what was raised instead."""
        found: list[tuple[Granularity, float, Future[Prunings]]] = []
        jobs: list[tuple[int, Callable[[Calibration], Prunings]]] = []
        for place, (granularity, budget) in enumerate(points):
            found.append((granularity, budget, Future()))
            try:
                self._tell(f"{granularity.name} at {budget:g}: planning")
                jobs.append((place, self._prunings(granularity, budget)))
            except Exception as error:
                found[place][2].set_exception(error)
        self._tell(
            " and ".join(f"{points[place][0].name} at {points[place][1]:g}" for place, _ in jobs) + ": pruning"
        )
        for (place, _), done in zip(jobs, hands.work([job for _, job in jobs]), strict=True):
            found[place] = (*found[place][:2], done)
        return found

    def _point_or_reason(
        self, granularity: Granularity, budget: float, prunings: Future[Prunings], shelf: Shelf | None
    ) -> Point:
        try:
            return self._point(granularity, budget, prunings.result(), shelf)
        except OutOfReachError as why:
            return Point(granularity.name, budget, PointStatus.OUT_OF_REACH, str(why))
        except Exception as error:  # one failed budget must not lose the others
            reason = str(error) if isinstance(error, BadInputError) else f"{type(error).__name__}: {error}"
            return Point(granularity.name, budget, PointStatus.FAILED, reason)

    def _point(self, granularity: Granularity, budget: float, prunings: Prunings, shelf: Shelf | None) -> Point:
        start, name = time.monotonic(), f"{granularity.name} at {budget:g}"
        self._tell(f"{name}: measuring quality")
        qualities = [self._quality(pruned.model) for pruned in prunings.samples]
        first = prunings.samples[0]
        self._tell(f"{name}: choosing kernels")
        candidate = self._candidate(granularity, first)
        self._tell(f"{name}: measuring latency")
        candidate, speedup = self._timed(candidate)
        file = ""
        if shelf is not None:
            stem = f"{granularity.name.replace(':', '-')}-{budget:g}"
            file = shelf.put_model(stem, candidate.run, candidate.masked, self.structure)
        return Point(
            granularity.name,
            budget,
            PointStatus.DONE,
            quality=Span(median(qualities), min(qualities), max(qualities)),
            qualities=tuple(qualities),
            weights=candidate.weights,
            multiply_adds=candidate.multiply_adds,
            bytes=candidate.bytes,
            seconds=speedup.under(self.dense_seconds),
            speedup=speedup,
            layers=candidate.layers,
            preparation_seconds=prunings.seconds + time.monotonic() - start,
            file=file,
        )

    def _timed(self, candidate: Candidate) -> tuple[Candidate, Span]:
        """Return what runs and its speed-up: sparse only if surely faster than dense, small unless surely slower.

        What is neither runs the dense model's own operations on tensors of the same shapes. Its speed-up is 1; timed,
        it would be the noise of the machine, and of a dozen such times one is sure to look like a gain.
        """
        if not (candidate.is_sparse or candidate.is_shrunk):
            return candidate, SAME
        speedup = self.stopwatch.measure(candidate.run, undecided=True).speedup
        if candidate.is_sparse and speedup.low <= 1.0:
            why = f"its layers alone were faster sparse, the whole model was {speedup.median:.2f} times as fast"
        elif candidate.is_shrunk and speedup.high < 1.0:
            why = f"the smaller model was {speedup.median:.2f} times as fast"
        else:
            return candidate, speedup
        return run_dense(candidate, self.inputs, why), SAME

    def _prunings(self, granularity: Granularity, budget: float) -> Callable[[Calibration], Prunings]:
        """Plan a point and return what prunes it for every repeat, given a calibration that nobody else uses."""
        prune = self._prune(granularity, budget)

        def all_repeats(calibration: Calibration) -> Prunings:
            start = time.monotonic()
            samples: list[Pruned] = []
            for repeat in range(self.options.repeats):
                ridges = samples[0].ridges if samples else {}
                samples.append(prune(self._sample(calibration, repeat), ridges))
            return Prunings(samples, time.monotonic() - start)

        return all_repeats

    def _prune(self, granularity: Granularity, budget: float) -> Callable[[Calibration, Mapping[str, float]], Pruned]:
        """Spend a budget over the layers and return what prunes to it."""
        options, both = self.options, self.options.budget_of == "both"
        if isinstance(granularity, Neuron):
            if self.structure is None:
                raise OutOfReachError(f"the model cannot be traced: {self.untraced}")
            if "neuron" not in self.plans:
                price = None if self.table is None else self.table.of_widths()
                self.plans["neuron"] = UnitPlan(self.calibration, self.structure, self.moments, price, both)
            units = self.plans["neuron"]
            assert isinstance(units, UnitPlan)
            counts = planned_widths(units, self.structure, budget, lambda m: self.stopwatch.latency_left(m))
            groups = self.structure.groups

            def solve(calibration: Calibration, ridges: Mapping[str, float]) -> Pruned:
                return prune_units(
                    calibration.model, (), groups, counts, options.solvers["neuron"],
                    stages=options.stages, calibration=calibration, ridges=ridges,
                )  # fmt: skip
        else:
            if granularity.name not in self.plans:
                prices = None if self.table is None else self.table.of_weights(granularity)
                plan = WeightPlan(self.calibration, granularity, self.moments, prices, both)
                self.plans[granularity.name] = plan
            weights = self.plans[granularity.name]
            assert isinstance(weights, WeightPlan)
            fractions = weights.fractions(budget)

            def solve(calibration: Calibration, ridges: Mapping[str, float]) -> Pruned:
                return prune_weights(
                    calibration.model, (), granularity, fractions, options.solvers["weight"],
                    options.stages, calibration=calibration, ridges=ridges,
                )  # fmt: skip

        def tuned(calibration: Calibration, ridges: Mapping[str, float]) -> Pruned:
            pruned = solve(calibration, ridges)
            if options.finetune_steps:
                batches, masks = calibration.sample, pruned.masks or None
                pruned.model = finetune(pruned.model, calibration.model, batches, options.finetune_steps, masks=masks)
            return pruned

        return tuned

    def _sample(self, calibration: Calibration, repeat: int) -> Calibration:
        """Return the calibration of one repeat: all batches first, then batches drawn with replacement."""
        if repeat == 0:
            return calibration
        draw = np.random.default_rng([self.options.seed, repeat])
        count = len(calibration.batches)
        return calibration.drawn(draw.integers(0, count, count))

    def _candidate(self, granularity: Granularity, pruned: Pruned) -> Candidate:
        names = self.calibration.order
        if isinstance(granularity, Neuron):
            assert self.structure is not None
            return shrunk_candidate(pruned.model, names, self.structure, pruned.kept, pruned.errors, self.inputs)
        return sparse_candidate(pruned.model, names, pruned.masks, pruned.errors, self.inputs, self.options)

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


def _ordered(points: Iterable[Point]) -> tuple[Point, ...]:
    """Return the points granularity by granularity as they first came, the largest budget first; a newer one wins."""
    latest = {(p.granularity, p.keep_fraction): p for p in points}
    names = list(dict.fromkeys(name for name, _ in latest))
    return tuple(sorted(latest.values(), key=lambda p: (names.index(p.granularity), -p.keep_fraction)))
