"""Is there really no ticket? The question asked again, of an engine that had no part in the first answer.

Where the plane sweep proved, the 0-1 program is asked, and the reverse. Otherwise every mask is tried where there are
few, and else a mixed-integer program goes to HiGHS. The last two share no code with the searches: their constraints
are written out here from the definition. Any finite set of inputs gives a necessary condition, so a set that no mask
satisfies excludes them all. HiGHS and the enumeration compute in floats with the slack below, so that an agreement of
theirs is strong evidence rather than a proof; a disagreement is always a ticket with an exact certificate.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from prunegap.certify import certify
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Supports
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Readout
from prunegap.model.outcome import Status
from prunegap.model.problem import Problem
from prunegap.search.base import Budget, Search

SLACK = 1e-9
"""Added to epsilon, relative to the size of the sums: far above their rounding."""
FEW_MASKS = 2.0**18
MASKS_AT_ONCE = 1 << 14
MOST_COLUMNS = 20_000
FIRST_INPUTS = 128
UNLIMITED = 1e9
"""Seconds that stand for no limit."""


class Verdict(StrEnum):
    """agrees: no ticket; disagrees: here is one; undecided: neither within the time."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Opinion:
    """What an engine says about the claim that a network holds no ticket."""

    engine: str
    verdict: Verdict
    detail: str
    seconds: float


def second_opinion(problem: Problem, searches: tuple[str, ...], seconds: float | None) -> Opinion:
    """Return whether an engine that is none of the `searches` also finds that `problem` holds no ticket.

    Guarantees that "disagrees" rests on a mask with a certificate of error <= epsilon. `seconds` None: no limit.
    """
    started = time.monotonic()
    deadline = started + (UNLIMITED if seconds is None else seconds)
    if _mask_count(problem) <= FEW_MASKS:
        engine, (verdict, detail) = "enumeration", _by_enumeration(problem, deadline)
    elif (search := _other_search(problem, searches)) is not None:
        engine, (verdict, detail) = search.name, _by_search(search, problem, seconds)
    else:
        engine, (verdict, detail) = "highs", _by_highs(problem, deadline)
    return Opinion(engine, verdict, detail, time.monotonic() - started)


def _other_search(problem: Problem, searches: tuple[str, ...]) -> Search | None:
    """Return an exact search of the registry that handles the problem and was not asked before."""
    from prunegap.search.registry import PROGRAM, SEARCHES, SWEEP

    asked = set(searches)
    for name in searches:
        asked |= {member.name for member in getattr(SEARCHES.get(name), "members", ())}
    exact: tuple[Search, ...] = (SWEEP, PROGRAM)
    return next((search for search in exact if search.name not in asked and search.refusal(problem) is None), None)


def _by_search(search: Search, problem: Problem, seconds: float | None) -> tuple[Verdict, str]:
    outcome = search.search(problem, Budget(seconds))
    if outcome.status is Status.IMPOSSIBLE:
        return Verdict.AGREES, outcome.reason
    if outcome.mask is not None:
        return _judged(problem, outcome.mask)
    return Verdict.UNDECIDED, outcome.reason


def _judged(problem: Problem, mask: Mask) -> tuple[Verdict, str]:
    """Return what a candidate proves: it is a ticket, it is none (told as agreement), or nobody knows."""
    certificate = certify(problem, mask)
    if certificate.proves(problem.epsilon):
        detail = f"a ticket of width {mask.least_width} has error at most {certificate.error_upper:.6g}"
        return Verdict.DISAGREES, detail
    if certificate.refutes(problem.epsilon):
        return Verdict.AGREES, ""
    return Verdict.UNDECIDED, f"the error of a candidate is too near to epsilon: up to {certificate.error_upper:.6g}"


@dataclass(frozen=True, eq=False)
class _Choices:
    """The ways to keep a neuron: `neurons` (c,), the rows left `weights` (c, d), their `outputs` (c,)."""

    neurons: NDArray[np.int64]
    supports: Supports
    weights: Matrix
    outputs: NDArray[np.float64]

    def values(self, inputs: Matrix) -> Matrix:
        """Return what each choice adds to p at inputs of shape (k, d); shape (k, c)."""
        return np.asarray(np.maximum(inputs @ self.weights.T, 0.0) * self.outputs)

    def mask(self, chosen: NDArray[np.bool_], problem: Problem) -> Mask:
        """Return the mask that makes the chosen choices."""
        rows = np.zeros((problem.width, problem.dimension), dtype=np.bool_)
        rows[self.neurons[chosen]] = self.supports[chosen]
        return Mask.from_rows(rows)


def _choices(problem: Problem) -> _Choices:
    supports, network = problem.granularity.row_supports(problem.dimension), problem.network
    neurons = np.repeat(_useful(problem), len(supports))
    every = np.tile(supports, (len(neurons) // max(1, len(supports)), 1))
    return _Choices(neurons, every, network.weights[neurons] * every, network.outputs[neurons])


def _useful(problem: Problem) -> NDArray[np.int64]:
    """Return the neurons worth keeping: at d = 1 only those on the target's side, since 0 is right on the other."""
    useful = np.ones(problem.width, dtype=np.bool_)
    if problem.dimension == 1:
        useful = problem.network.weights[:, 0] * problem.target[0] > 0.0
    return np.flatnonzero(useful)


def _mask_count(problem: Problem) -> float:
    """Return how many masks there are, infinite where the supports are too many to list."""
    try:
        supports = len(problem.granularity.row_supports(problem.dimension))
    except BadInputError:
        return float("inf")
    return float(supports + 1) ** min(1000, len(_useful(problem)))


def _limits(problem: Problem, inputs: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return between which values p must lie at each input, by the definition of the error; shapes (k,)."""
    size = np.abs(problem.network.outputs) @ np.linalg.norm(problem.network.weights, axis=1) + 1.0
    allowed = problem.epsilon + SLACK * size
    goal = np.maximum(inputs @ problem.target, 0.0)
    bounded = (goal > allowed) | (problem.readout is Readout.LINEAR)
    return np.where(bounded, goal - allowed, -np.inf), goal + allowed


def _inputs(problem: Problem, count: int) -> Matrix:
    """Return unit directions: both at d = 1, the target, the kinks at d = 2, and many random ones."""
    if problem.dimension == 1:
        return np.array([[1.0], [-1.0]])
    found = np.random.default_rng(0).standard_normal((count, problem.dimension))
    weights = problem.network.weights
    if problem.dimension == 2:
        kinks = np.stack([-weights[:, 1], weights[:, 0]], axis=1)
        found = np.concatenate([found, kinks, -kinks])
    found = np.concatenate([problem.target[None], -problem.target[None], found])
    norms = np.linalg.norm(found, axis=1)
    return np.asarray(found[norms > 0.0] / norms[norms > 0.0, None])


def _by_enumeration(problem: Problem, deadline: float) -> tuple[Verdict, str]:
    """Try every mask at many inputs; what passes them all is certified."""
    choices, inputs = _choices(problem), _inputs(problem, FIRST_INPUTS)
    values, (low, high) = choices.values(inputs), _limits(problem, inputs)
    places = [np.flatnonzero(choices.neurons == neuron) for neuron in dict.fromkeys(choices.neurons.tolist())]
    ways = itertools.product(*([*place.tolist(), -1] for place in places))
    padded = np.concatenate([values, np.zeros((len(inputs), 1))], axis=1)  # -1: the neuron is not kept
    unsettled = ""
    while batch := list(itertools.islice(ways, MASKS_AT_ONCE)):
        if time.monotonic() > deadline:
            return Verdict.UNDECIDED, "out of time"
        picked = np.array(batch, dtype=np.int64).reshape(len(batch), len(places))
        fits = np.ones(len(batch), dtype=np.bool_)
        for row, least, most in zip(padded, low, high, strict=True):
            sums = row[picked[fits]].sum(axis=1)
            fits[fits] = (least <= sums) & (sums <= most)
        for kept in picked[fits]:
            chosen = np.zeros(len(choices.neurons), dtype=np.bool_)
            chosen[kept[kept >= 0]] = True
            verdict, detail = _judged(problem, choices.mask(chosen, problem))
            if verdict is Verdict.DISAGREES:
                return verdict, detail
            unsettled = detail or unsettled
    return (Verdict.UNDECIDED, unsettled) if unsettled else (Verdict.AGREES, "every mask fails")


def _by_highs(problem: Problem, deadline: float) -> tuple[Verdict, str]:
    """Solve the program over the inputs so far; a candidate's worst input joins them, and the candidate is barred."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    count = _mask_count(problem)
    if not np.isfinite(count) and problem.dimension > 12:
        return Verdict.UNDECIDED, "its supports are too many to list"
    choices = _choices(problem)
    if len(choices.neurons) > MOST_COLUMNS:
        return Verdict.UNDECIDED, f"{len(choices.neurons)} columns are too many"
    inputs, columns = _inputs(problem, FIRST_INPUTS * problem.dimension), len(choices.neurons)
    one_support = (choices.neurons[None, :] == np.unique(choices.neurons)[:, None]).astype(np.float64)
    barred, most_kept = np.zeros((0, columns)), np.zeros(0)
    while (left := deadline - time.monotonic()) > 0.0:
        low, high = _limits(problem, inputs)
        found = milp(
            np.zeros(columns),
            integrality=np.ones(columns, dtype=np.int64),
            bounds=Bounds(0.0, 1.0),
            constraints=[
                LinearConstraint(choices.values(inputs), low, high),
                LinearConstraint(one_support, -np.inf, 1.0),
                *([LinearConstraint(barred, -np.inf, most_kept)] if len(barred) else []),
            ],
            options={"time_limit": left},
        )
        if found.status == 2:
            return Verdict.AGREES, f"infeasible at {len(inputs)} inputs"
        if found.x is None:
            break
        chosen = found.x > 0.5
        mask = choices.mask(chosen, problem)
        verdict, detail = _judged(problem, mask)
        if verdict is not Verdict.AGREES:
            return verdict, detail
        worst = _violated(problem, mask, len(inputs))
        inputs = np.concatenate([inputs, worst])
        barred = np.concatenate([barred, np.where(chosen, 1.0, -1.0)[None]])
        most_kept = np.append(most_kept, chosen.sum() - 1.0)
    return Verdict.UNDECIDED, "out of time"


def _violated(problem: Problem, mask: Mask, seed: int) -> Matrix:
    """Return inputs at which the candidate fails: where its certificate says, and the worst of many at random."""
    exact = np.array([certify(problem, mask).worst_input])
    tried = np.random.default_rng(seed).standard_normal((2000, problem.dimension))
    tried = np.concatenate([exact, tried])
    tried /= np.linalg.norm(tried, axis=1, keepdims=True)
    errors = np.abs(mask.apply(problem.network)(tried, problem.readout) - np.maximum(tried @ problem.target, 0.0))
    worst = np.argsort(errors[1:])[-8:] + 1
    return np.concatenate([tried[:1], tried[worst[errors[worst] > problem.epsilon]]])
