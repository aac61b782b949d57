"""The circle of a linear readout, cut open where the search likes: the target is one more kink, which is kept (F1).

With a linear readout both bounds hold at every angle, so no direction is special but the target's kink, where its
neighbours must make up for a jump of 1. f - g is the network of the kept neurons and of the target with output -1, so
its error must stay within the tube of zero, all round. Turned by pi, its even part and all jumps come again: what
must be possible to the right of an arc is what must be possible to the left of the rest, without an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.tube import viability
from prunegap.search.plane import Circle

STARTS = 16
NEAR_TARGET = np.array([1, 2, 3, 5, 8, 12, 17])
SAMPLE = 100


@dataclass(frozen=True, eq=False)
class Ring:
    """The kinks of half a turn as seen from the target, whose own is the last: its output is -1 and it is kept."""

    line: Circle

    @classmethod
    def of(cls, flat: Circle, kept: int | None = None) -> Ring:
        """Return the ring of a circle with a linear readout; every ticket keeps the neuron `kept`, if given."""
        forced = np.append(flat.neurons == kept, True)
        return cls(
            Circle(
                np.append(flat.angles, np.pi / 2),
                np.append(flat.strengths, -1.0),
                np.append(flat.is_b, False),
                np.append(flat.neurons, -1),
                flat.epsilon,
                True,
                forced,
                True,
            )
        )

    @cached_property
    def tables(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The viable states right of every kink, looking ahead for a turn; the mirror image's; each twice."""
        right, left = self._table(self.line), self._table(self.line.mirror)[::-1]
        return np.concatenate((right, right)), np.concatenate((left, left))

    @staticmethod
    def _table(line: Circle) -> NDArray[np.uint64]:
        count = line.angles.size
        table: NDArray[np.uint64] = viability(
            np.concatenate((line.angles, line.angles + np.pi)), np.tile(line.strengths, 2),
            np.ones(2 * count, dtype=np.bool_), np.tile(line.forced, 2), line.tube, line.slope_limit,
        )  # fmt: skip
        return table[:count]

    def opened(self, k: int) -> Circle:
        """Return the circle that begins just left of kink k, at -pi/2; a kink that wraps around turns its type."""
        line = self.line
        turned = np.concatenate((line.angles[k:], line.angles[:k] + np.pi)) - line.angles[k] - np.pi / 2
        right, left = (table[k : k + line.angles.size] for table in self.tables)
        return Circle(
            turned,
            np.roll(line.strengths, -k),
            np.concatenate((line.is_b[k:], ~line.is_b[:k])),
            np.roll(line.neurons, -k),
            line.epsilon,
            True,
            np.roll(line.forced, -k),
            True,
            (right, left),
        )

    def best_start(self, seed: int) -> int:
        """Return the kink to begin at: of a few, the one whose arcs, or whose dead arc, take the fewest nodes.

        An arc is dead where no set survives it; most die at the target's kink, so some begin just left of it.
        """
        count = self.line.angles.size
        spread = np.arange(STARTS) * count // STARTS
        starts = np.unique(np.concatenate((spread, np.maximum(0, count - 1 - NEAR_TARGET))))
        taken = [self.opened(int(k)).census(seed, SAMPLE) for k in starts]
        best, least = 0, np.inf
        for a, (nodes, sets) in zip(starts, taken, strict=True):
            totals = [nodes[(b - a) % count] + taken[j][0][(a - b) % count] for j, b in enumerate(starts) if b != a]
            if not sets.all():
                totals.append(nodes[-1])
            if totals and min(totals) < least:
                best, least = int(a), min(totals)
        return best
