"""Solvers: which weights or units to keep, and what the kept ones become.

Every solver minimises the same quadratic, the squared error of a layer's output over the calibration rows; a
granularity only says which masks are allowed. Nothing here knows torch: arrays in, arrays out.
"""

from prunegap.trained.solve.gram import Moments, Quadratic
from prunegap.trained.solve.registry import solve_units, solve_weights, unit_solvers, weight_solvers
from prunegap.trained.solve.solution import UnitSolution, WeightSolution
from prunegap.trained.solve.units import UnitPart, UnitProblem

__all__ = [
    "Moments",
    "Quadratic",
    "UnitPart",
    "UnitProblem",
    "UnitSolution",
    "WeightSolution",
    "solve_units",
    "solve_weights",
    "unit_solvers",
    "weight_solvers",
]
