"""`prunegap compare`: your own model pruned at every granularity, a table, a sentence, a page."""

from __future__ import annotations

import importlib.util
import json
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from prunegap.cli import lists
from prunegap.cli.bar import Bar
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity, parse_granularity

if TYPE_CHECKING:
    from prunegap.trained.compare.given import Data
    from prunegap.trained.compare.options import Options
    from prunegap.trained.compare.point import Comparison


@dataclass(frozen=True)
class Asked:
    """The options as they were typed."""

    model: str
    data: str
    budgets: str
    granularity: str
    batch: int
    measure: str | None
    device: str | None = None
    precision: str | None = None

    def granularities(self) -> list[Granularity]:
        """Return the granularities; raises BadInputError for an unknown one."""
        return lists.listed("granularity", self.granularity, parse_granularity)

    def fractions(self) -> list[float]:
        """Return the budgets as numbers; raises BadInputError for what is none."""
        return lists.listed("budgets", self.budgets, _fraction)


def _fraction(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInputError(f"budget {text!r}", "must be a number between 0 and 1", "use 0.5") from None


@dataclass(frozen=True)
class Manner:
    """How hard to try; None stands for the library's own default."""

    repeats: int | None = None
    seed: int = 0
    threads: int | None = None
    finetune_steps: int = 0
    budget_of: str = "weights"
    cuda_graphs: bool = False

    def options(self, asked: Asked, measure: str) -> Options:
        """Return the options of the comparison."""
        from prunegap.trained.compare.options import Options

        return Options(
            Options.repeats if self.repeats is None else self.repeats,
            seed=self.seed, threads=self.threads, finetune_steps=self.finetune_steps, model_name=asked.model,
            measure=measure, command=" ".join(["prunegap", *map(shlex.quote, sys.argv[1:])]),
            budget_of=self.budget_of, cuda_graphs=self.cuda_graphs,
        )  # fmt: skip


def run(asked: Asked, manner: Manner, out: Path, dry_run: bool, as_json: bool) -> None:
    """Compare (or only plan), write the page and print."""
    _need_torch()
    granularities, budgets = asked.granularities(), asked.fractions()
    from prunegap.nn.device import find_device
    from prunegap.trained.compare.given import Place, load_data, load_model

    place = Place.named(None if asked.device is None else find_device(asked.device), asked.precision)
    model = place.of_model(load_model(asked.model))
    data = load_data(asked.data, asked.batch, place.beside(model))
    options = manner.options(asked, _measure(asked, data))
    evaluate = data.evaluate if asked.measure in (None, data.measure) else None
    if dry_run:
        from prunegap.trained.compare.dry_run import dry_run as plan

        planned = plan(model, data.calibration, evaluate, budgets, granularities, options=options)
        print(json.dumps(planned.as_object()) if as_json else planned)
        return
    from prunegap.report.compare_page import write_page
    from prunegap.trained.compare.point import as_object
    from prunegap.trained.compare.run import compare

    try:
        with Bar() as bar:

            def watch(done: int, total: int, words: str) -> None:
                bar(f"points; {words}", done, total)

            comparison = compare(
                model, data.calibration, evaluate, budgets, granularities, out=out, options=options, watch=watch
            )
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C finds everything ending already
        print(f"interrupted: finished points are in {out} and the same command goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None
    page = write_page(out)
    if as_json:
        print(json.dumps(as_object(comparison)))
    else:
        print(f"{comparison}\n\n{page}")
    _complain(comparison)


def _need_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        rule = "needs torch, which is not installed"
        raise BadInputError("prunegap compare", rule, "pip install 'prunegap[torch]'")


def _measure(asked: Asked, data: Data) -> str:
    """Return the name of the measure; raises BadInputError where there are no labels for the one asked for."""
    from prunegap.trained.compare.measure import LIKENESSES

    if asked.measure is None:
        return data.measure or "fidelity"
    if asked.measure not in (*LIKENESSES, data.measure):
        known = ", ".join(dict.fromkeys([*LIKENESSES, *filter(None, [data.measure])]))
        raise BadInputError(f"measure {asked.measure!r}", f"must be one of {known}", "accuracy needs labels y")
    return asked.measure


def _complain(comparison: Comparison) -> None:
    failed = [p for p in comparison.points if p.failed]
    if failed:
        print(f"{len(failed)} points failed; the same command tries them again", file=sys.stderr)
