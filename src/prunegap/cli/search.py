"""`prunegap search`: one network of the user's own."""

from __future__ import annotations

import json
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray

from prunegap.cli import lists
from prunegap.model.draw import Draw, Initialisation, is_too_wide, most_held
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Weight, parse_granularity
from prunegap.model.mask import Mask
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.study.find import find_ticket
from prunegap.study.ticket import Ticket
from prunegap.study.ticket_file import load_ticket, save_ticket

if TYPE_CHECKING:
    from prunegap.search.streamed import StreamedTicket

ARRAYS = ("W", "v", "target")
_REMEDY = "save it with numpy.savez(path, W=W, v=v, target=target)"


@dataclass(frozen=True)
class Asked:
    """The question as it was typed: a network in a file, or the draw of one."""

    network: Path | None
    dimension: int | None
    width: int | None
    seed: int | None
    init: str | None
    epsilon: float
    granularity: str
    readout: str

    def draw(self) -> Draw | None:
        """Return the draw, or None where a file is named; raises BadInputError for both and for neither."""
        recipe = {"dimension": self.dimension, "width": self.width, "seed": self.seed, "init": self.init}
        given = [f"--{name}" for name, value in recipe.items() if value is not None]
        if self.network is not None and given:
            raise BadInputError("--network", "already says which network it is", f"leave {', '.join(given)} out")
        if self.network is None and (self.dimension is None or self.width is None):
            remedy = "give a file, or --dimension and --width of a random network"
            raise BadInputError("'--network'", "is missing", f"{remedy}; see prunegap search --help")
        if self.dimension is None:
            return None
        return Draw(self.dimension, self.seed or 0, Initialisation.parse(self.init or "uniform"))

    def problem(self, draw: Draw | None) -> Problem:
        """Return the problem, its network held in memory."""
        rest = self.epsilon, parse_granularity(self.granularity), Readout.parse(self.readout)
        if draw is not None:
            assert self.width is not None
            return Problem.from_draw(draw, self.width, *rest)
        assert self.network is not None
        arrays = load_arrays(self.network)
        return Problem(Network(arrays["W"], arrays["v"]), arrays["target"], *rest)


def run(asked: Asked, time_limit: float, workers: int, out: Path | None, as_json: bool) -> None:
    """Search, save and print."""
    budget, draw = Budget(lists.time_limit(time_limit), workers), asked.draw()
    if draw is not None and asked.width is not None and is_too_wide(draw, asked.width):
        _run_streamed(asked, draw, budget, out, as_json)
        return
    problem = asked.problem(draw)
    if out is not None:
        _refuse_to_overwrite(out)
    outcome = find_ticket(problem, budget)
    if out is not None and outcome.mask is not None and outcome.certificate is not None:
        save_ticket(out, Ticket(problem, outcome.mask, outcome.certificate.error_upper, draw))
    print(json.dumps(as_object(outcome)) if as_json else _sentence(outcome, problem))


def _run_streamed(asked: Asked, draw: Draw, budget: Budget, out: Path | None, as_json: bool) -> None:
    """Look for single weights in a draw too wide to hold; its ticket is stored with the neurons that it needs."""
    from prunegap.search.streamed import streamed_ticket

    assert asked.width is not None
    granularity, readout = parse_granularity(asked.granularity), Readout.parse(asked.readout)
    if not isinstance(granularity, Weight) or readout is not Readout.RELU:
        size = f"{asked.width} neurons of {draw.dimension} inputs"
        rule = "are more than is held at once, and only weight pruning with a relu readout goes without"
        raise BadInputError(size, rule, f"use a width of at most {most_held(draw)}")
    if out is not None:
        _refuse_to_overwrite(out)
    start = time.monotonic()
    ticket = streamed_ticket(draw, asked.width, asked.epsilon, budget)
    seconds = time.monotonic() - start
    question = f"weight pruning of {asked.width} neurons to error {asked.epsilon:g}"
    if ticket is None:
        found = dict.fromkeys(("error_upper", "kept_neurons", "kept_weights"))
        sentence = f"undecided: {question}: no ticket of one neuron a sum was found, which proves nothing"
    else:
        error, kept = ticket.certificate.error_upper, ticket.neurons.size
        found = {"error_upper": error, "kept_neurons": kept, "kept_weights": kept}
        sentence = (
            f"found: {question} keeps {kept} neurons and {kept} weights among the first {ticket.least_width}; "
            f"error proven to be at most {error:.6g}"
        )
    status = {"status": "undecided" if ticket is None else "found"}
    print(json.dumps({**status, **found, "seconds": seconds}) if as_json else sentence)
    if out is not None and ticket is not None:
        if is_too_wide(draw, ticket.least_width):
            print(
                f"not written: a ticket of {ticket.least_width} neurons is more than is held at once", file=sys.stderr
            )
            raise typer.Exit(1)
        save_ticket(out, _held(draw, ticket, asked.epsilon))


def _held(draw: Draw, ticket: StreamedTicket, epsilon: float) -> Ticket:
    rows = np.zeros((ticket.least_width, draw.dimension), dtype=np.bool_)
    rows[ticket.neurons, ticket.inputs] = True
    problem = Problem.from_draw(draw, ticket.least_width, epsilon, Weight())
    return Ticket(problem, Mask.from_rows(rows), ticket.certificate.error_upper, draw)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return W, v and target of an .npz file; raises BadInputError for anything else, pickled objects included."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise BadInputError(str(path), "is one array and no .npz archive", _REMEDY)
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise BadInputError(str(path), f"holds no array {missing[0]}", _REMEDY)
            arrays = {name: np.asarray(file[name]) for name in ARRAYS}
    except BadInputError:
        raise
    except OSError as error:
        raise BadInputError(str(path), f"cannot be read ({error.strerror or error})", _REMEDY) from None
    except (ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        raise BadInputError(str(path), "is damaged or holds pickled objects", _REMEDY) from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise BadInputError(f"array {name} of type {array.dtype}", "must hold real numbers", "save it as float64")
        if array.size == 0:
            raise BadInputError(f"array {name} of shape {array.shape}", "is empty", "give it at least one entry")
    return arrays


def _refuse_to_overwrite(out: Path) -> None:
    """Refuse a place that cannot be written, before the search, and any file there that is not itself a ticket."""
    if not out.parent.is_dir():
        raise BadInputError(f"out {out}", f"{out.parent} is no directory", "create it first")
    if out.exists():
        try:
            load_ticket(out)
        except BadInputError:
            raise BadInputError(f"out {out}", "exists and is no ticket", "choose another name") from None


def as_object(outcome: Outcome) -> dict[str, object]:
    """Return the outcome as the JSON object that docs/json-schema.md promises."""
    return {
        "status": outcome.status.value,
        "error_upper": None
        if outcome.certificate is None or outcome.mask is None
        else outcome.certificate.error_upper,
        "kept_neurons": None if outcome.mask is None else outcome.mask.kept_neurons,
        "kept_weights": None if outcome.mask is None else outcome.mask.kept_weight_count,
        "seconds": outcome.seconds,
    }


def _sentence(outcome: Outcome, problem: Problem) -> str:
    asked = f"{problem.granularity} pruning of {problem.width} neurons to error {problem.epsilon:g}"
    if outcome.mask is not None and outcome.certificate is not None:
        kept = f"keeps {outcome.mask.kept_neurons} neurons and {outcome.mask.kept_weight_count} weights"
        return f"found: {asked} {kept}; error proven to be at most {outcome.certificate.error_upper:.6g}"
    return f"{outcome.status}: {asked}: {outcome.reason or 'no ticket, by proof'}"
