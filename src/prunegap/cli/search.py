"""`prunegap search`: one network of the user's own."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prunegap.cli import lists
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import parse_granularity
from prunegap.model.network import Network, Readout
from prunegap.model.outcome import Outcome
from prunegap.model.problem import Problem
from prunegap.search.base import Budget
from prunegap.study.find import find_ticket
from prunegap.study.ticket import Ticket
from prunegap.study.ticket_file import load_ticket, save_ticket

ARRAYS = ("W", "v", "target")
_REMEDY = "save it with numpy.savez(path, W=W, v=v, target=target)"


def run(
    network: Path,
    epsilon: float,
    granularity: str,
    readout: str,
    time_limit: float,
    workers: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Search, save and print."""
    budget = Budget(lists.time_limit(time_limit), workers)
    arrays = load_arrays(network)
    problem = Problem(
        Network(arrays["W"], arrays["v"]),
        arrays["target"],
        epsilon,
        parse_granularity(granularity),
        Readout.parse(readout),
    )
    if out is not None:
        _refuse_to_overwrite(out)
    outcome = find_ticket(problem, budget)
    if out is not None and outcome.mask is not None and outcome.certificate is not None:
        save_ticket(out, Ticket(problem, outcome.mask, outcome.certificate.error_upper))
    print(json.dumps(as_object(outcome)) if as_json else _sentence(outcome, problem))


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
