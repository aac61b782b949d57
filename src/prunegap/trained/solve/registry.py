"""The solvers by name, and the two calls that everything else uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Granularity
from prunegap.trained.solve.admm import AdmmSolver
from prunegap.trained.solve.base import WeightSolver
from prunegap.trained.solve.gram import Array, Quadratic
from prunegap.trained.solve.magnitude import MagnitudeSolver
from prunegap.trained.solve.neuron import surgeon_order
from prunegap.trained.solve.neuron_local import exchange
from prunegap.trained.solve.second_order import SecondOrderSolver
from prunegap.trained.solve.solution import UnitSolution, WeightSolution
from prunegap.trained.solve.units import UnitProblem
from prunegap.trained.solve.wanda import WandaSolver

WEIGHT_SOLVERS: dict[str, WeightSolver] = {
    solver.name: solver for solver in (MagnitudeSolver(), WandaSolver(), SecondOrderSolver(), AdmmSolver())
}
SCORED = ("magnitude", "taylor")
UNIT_SOLVERS = (*SCORED, *(f"{name}_repair" for name in SCORED), "obs", "local")


def weight_solvers() -> tuple[str, ...]:
    """Return the names of the solvers for weight, n:m and block."""
    return tuple(WEIGHT_SOLVERS)


def unit_solvers() -> tuple[str, ...]:
    """Return the names of the solvers for units."""
    return UNIT_SOLVERS


def solve_weights(
    problem: Quadratic, granularity: Granularity, keep_fraction: float | None, solver: str = "admm"
) -> WeightSolution:
    """Return the pruned layer by the named solver; raises BadInputError for an unknown name or fraction."""
    if solver not in WEIGHT_SOLVERS:
        raise BadInputError(f"solver {solver!r}", f"must be one of {', '.join(WEIGHT_SOLVERS)}", "use admm")
    return WEIGHT_SOLVERS[solver].solve(problem, granularity, keep_fraction)


def solve_units(problem: UnitProblem, keep: int, solver: str = "local", scores: Array | None = None) -> UnitSolution:
    """Return the `keep` units that stay and every consumer's weights.

    obs: greedy removal with closed-form repair; local: obs, then exchanges, never worse; magnitude and taylor: the
    greatest `scores` (units,), without repair, or with it as magnitude_repair and taylor_repair. Without scores,
    magnitude uses the norm of the unit's columns. Raises BadInputError for an unknown name, a count outside
    0..units, or scores that are missing or not finite.
    """
    if solver not in UNIT_SOLVERS:
        raise BadInputError(f"solver {solver!r}", f"must be one of {', '.join(UNIT_SOLVERS)}", "use local")
    if not 0 <= keep <= problem.units:
        raise BadInputError(f"keep {keep}", f"must lie in 0..{problem.units}", "keep at most what is there")
    scored = solver.removesuffix("_repair")
    if scored in SCORED:
        kept = np.zeros(problem.units, dtype=np.bool_)
        kept[np.argsort(-_scores(problem, scored, scores), kind="stable")[:keep]] = True
    else:
        kept = np.ones(problem.units, dtype=np.bool_)
        kept[surgeon_order(problem, keep)[0]] = False
    if solver == "local":
        kept = exchange(problem, kept)
    weights = problem.masked(kept) if solver in SCORED else problem.repair(kept)
    return UnitSolution(kept, weights, problem.objective(weights), solver)


def _scores(problem: UnitProblem, name: str, scores: Array | None) -> NDArray[np.float64]:
    if scores is None and name == "magnitude":
        return np.asarray(
            sum((part.quadratic.dense[:, part.columns] ** 2).sum(axis=(0, 2)) for part in problem.parts)
        )
    if scores is None or np.shape(scores) != (problem.units,) or not np.isfinite(scores).all():
        raise BadInputError(
            f"scores of solver {name}", f"need {problem.units} finite numbers", "give one score a unit"
        )
    return np.asarray(scores, dtype=np.float64)
