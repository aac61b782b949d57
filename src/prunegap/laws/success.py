"""The success curve: the chance that a random network of width n holds a ticket.

The chance is F(n) = P(N <= n) for the minimal width N. Of S seeds, s(n) = #{upper <= n} surely have a ticket at n and
t(n) = #{lower < n} may have one, so the true count k(n) lies in [s(n), t(n)], whatever the open intervals hide.
Clopper and Pearson's interval for F(n) from k of S moves up with k in both ends; so [low(s), high(t)] holds F(n)
with probability at least 95 % at each n, whatever the search left open. Nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prunegap.laws.estimate import LEVEL
from prunegap.laws.family import Array
from prunegap.laws.observation import Group, Observation, observed
from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout
from prunegap.study.row import Row

Widths = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SuccessCurve:
    """P(a ticket exists | n) for one dimension, epsilon and granularity, as steps of shape (k,).

    Step i holds for widths[i] <= n < widths[i + 1], the last one for ever; widths[0] is 0.
    `proven_low` and `proven_high` are the shares of the seeds measured that surely and possibly have a ticket; `low`
    and `high` hold the probability over all seeds with 95 % at each width.
    """

    readout: Readout
    initialisation: Initialisation
    granularity: str
    dimension: int
    epsilon: float
    seeds: int
    widths: Widths
    proven_low: Array
    proven_high: Array
    low: Array
    high: Array

    def at(self, width: int) -> tuple[float, float, float, float]:
        """Return low, proven_low, proven_high and high at a width >= 0."""
        place = int(np.searchsorted(self.widths, width, side="right")) - 1
        return tuple(float(c[place]) for c in (self.low, self.proven_low, self.proven_high, self.high))  # type: ignore[return-value]


def success_curves(rows: Iterable[Row]) -> list[SuccessCurve]:
    """Return one curve for each group, dimension and epsilon, in the order in which they first appear."""
    cells: dict[tuple[Group, int, float], list[Observation]] = {}
    for row in rows:
        cells.setdefault((Group.of(row), row.cell.dimension, row.cell.epsilon), []).append(observed(row))
    return [_curve(*name, members) for name, members in cells.items()]


def _curve(group: Group, dimension: int, epsilon: float, cells: list[Observation]) -> SuccessCurve:
    surely = np.array(sorted(o.upper for o in cells if o.upper is not None), dtype=np.int64)
    possibly = np.array(sorted(o.lower + 1 for o in cells), dtype=np.int64)
    widths = np.unique(np.concatenate([[0], surely, np.maximum(possibly, 0)]))
    sure, possible = (np.searchsorted(ends, widths, side="right") for ends in (surely, possibly))
    count = len(cells)
    return SuccessCurve(
        group.readout, group.initialisation, group.granularity, dimension, epsilon, count, widths,
        sure / count, possible / count, clopper_pearson(sure, count)[0], clopper_pearson(possible, count)[1],
    )  # fmt: skip


def clopper_pearson(successes: Widths, trials: int) -> tuple[Array, Array]:
    """Return the ends of the exact 95 % interval of a probability, for counts of shape (k,) out of `trials`."""
    from scipy.special import betaincinv

    tail = 0.5 - LEVEL / 2.0
    k = np.asarray(successes, dtype=np.float64)
    low = np.where(k > 0, betaincinv(np.maximum(k, 1.0), trials - k + 1.0, tail), 0.0)
    high = np.where(k < trials, betaincinv(k + 1.0, np.maximum(trials - k, 1.0), 1.0 - tail), 1.0)
    return np.asarray(low), np.asarray(high)
