"""A lack of mass: a proof, in any dimension, that no ticket exists, from the weights of the right sign alone."""

from __future__ import annotations

import numpy as np

from prunegap.model.problem import Problem


def material_bound(problem: Problem) -> float:
    """Return a lower bound of the error of every weight ticket under a relu readout, from the mass there is.

    Let s_j be the sign of w*_j and M_j the sum of v_i |W_ij| over v_i > 0 with W_ij of sign s_j. Where x_j s_j >= 0,
    a row of any support gives at most v_i sum_j relu(W_ij x_j), so p(x) <= sum_j M_j |x_j| for every ticket. With
    u = max(|w*| - M, 0), the direction x_j = s_j u_j has f(x) <= g(x) - ||u|| ||x||: the error is at least ||u||.
    Rounded downward. It holds at every granularity, since every ticket is a weight ticket.
    """
    rounding = (problem.width + problem.dimension + 8) * 2.0**-52
    mass = np.maximum(problem.network.weights * np.sign(problem.target), 0.0)
    greatest = (np.maximum(problem.network.outputs, 0.0)[:, None] * mass).sum(axis=0)
    lacking = np.maximum(np.abs(problem.target) - (1.0 + rounding) * greatest - 1e-300, 0.0)
    return float(np.linalg.norm(lacking)) * (1.0 - rounding)


def width_without_material(problem: Problem) -> int:
    """Return the greatest prefix that the material bound excludes, or -1."""
    if material_bound(problem.prefix(0)) <= problem.epsilon:
        return -1
    low, high = 0, problem.width + 1
    while high - low > 1:
        middle = (low + high) // 2
        if material_bound(problem.prefix(middle)) > problem.epsilon:
            low = middle
        else:
            high = middle
    return low
