"""Local search over units: exchange a kept unit for a removed one while the exact objective falls (OSSCAR class).

Each exchange is priced exactly: cost of the removal plus the gain of the return afterwards, both from the swept
matrix, the second through a rank-k correction. Only the cheapest removals are tried against every return.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.trained.solve.tableau import Tableau
from prunegap.trained.solve.units import UnitProblem

TRIED = 16
"""Removals tried a round; every return is tried against each."""
WORK = 1e8
"""Entries of swept matrices that may be updated by default: what bounds the exchanges on wide layers."""
LEAST_GAIN = 1e-6
"""An exchange must lower the objective by this part of it: below, rounding and the calibration noise decide."""


def exchange(problem: UnitProblem, kept: NDArray[np.bool_], rounds: int | None = None) -> NDArray[np.bool_]:
    """Return a kept set (units,) of the same size from which no tried exchange lowers the objective.

    Never worse than `kept`; at most `rounds` exchanges (default: twice the units, fewer above some
    250 columns, so that a layer of 1,536 makes 42). Source: Meng et al. 2024
    (OSSCAR, arXiv:2403.12983), with exact prices for every pair tried.
    """
    kept = kept.copy()
    if kept.all() or not kept.any():
        return kept
    tables = [Tableau(part, kept) for part in problem.parts]
    objective = problem.objective(problem.repair(kept))
    if rounds is None:
        entries = sum(part.quadratic.shape[1] ** 2 for part in problem.parts)
        rounds = min(2 * problem.units, int(WORK / entries) + 1)
    for _ in range(rounds):
        inside, outside = np.flatnonzero(kept), np.flatnonzero(~kept)
        costs = np.sum([table.changes(inside) for table in tables], axis=0)
        best = (0.0, -1, -1)
        for place in np.argsort(costs, kind="stable")[:TRIED]:
            gains = np.sum([table.gains_without(int(inside[place]), outside) for table in tables], axis=0)
            back = int(np.argmax(gains))
            fall = float(gains[back] - costs[place])
            if fall > best[0]:
                best = (fall, int(inside[place]), int(outside[back]))
        fall, leaver, comer = best
        if fall <= LEAST_GAIN * objective:
            break
        for table in tables:
            table.flip(leaver, kept=True)
            table.flip(comer, kept=False)
        kept[leaver], kept[comer] = False, True
        objective -= fall
    return kept
