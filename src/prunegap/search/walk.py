"""The four lists of `kernels.quadrants`, thinned and joined slab by slab, so that the tables fit a cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.quadrants import count_pairs, joined
from prunegap.model.network import Matrix, Vector
from prunegap.search.base import Deadline

Integers = NDArray[np.int64]
Lists = list[tuple[Matrix, Integers]]

PAIRS = 1_000_000
"""Pairs on both sides of one slab."""
ROOM = 100_000
"""Assignments within the intervals that are looked at, of one slab; more of them would have to hold many tickets."""


class UnsettledError(Exception):
    """A width can be neither proven nor met: its reason."""


def in_time(deadline: Deadline) -> None:
    """Raise UnsettledError once the time is used up; asked before every step that may take part of a second."""
    if deadline.expired:
        raise UnsettledError("the time limit was reached")


class Walk:
    """The four lists, thinned to entries that some partner completes, and their join slab by slab."""

    def __init__(self, lists: Lists, lows: Vector, highs: Vector) -> None:
        self.lows, self.highs = lows, highs
        self.codes = [codes for _, codes in lists]
        self.sums = [sums for sums, _ in lists]
        self.places = [np.arange(codes.size) for codes in self.codes]
        self.other = 4 if lows.size > 4 else 2

    def _take(self, k: int, chosen: Integers | NDArray[np.bool_]) -> None:
        self.sums[k], self.codes[k] = np.ascontiguousarray(self.sums[k][chosen]), self.codes[k][chosen]

    def _thin(self, deadline: Deadline) -> None:
        """Leave out entries that no entry of a partner completes. Raises UnsettledError where time ends."""
        for one, other, column in ((0, 1, 0), (2, 3, 1), (0, 2, 2), (1, 3, 3)):
            if any(self.sums[k][:, column].any() for k in range(4) if k not in (one, other)):
                continue
            for k, partner in ((one, other), (other, one)):
                in_time(deadline)
                ascending = np.sort(self.sums[partner][:, column])
                counts = count_pairs(ascending, self.sums[k][:, column], self.lows[column], self.highs[column])
                self._take(k, counts > 0)

    def matches(self, deadline: Deadline) -> Iterator[tuple[int, int, int, int]]:
        """Yield rows of the four lists, in the order A, B, C, D, whose sums lie within the intervals."""
        self._thin(deadline)
        if min(codes.size for codes in self.codes) == 0:
            return
        for k, column in ((0, 2), (1, 0), (2, 2), (3, 1)):
            in_time(deadline)
            self._take(k, np.argsort(self.sums[k][:, column], kind="stable"))
        a, b, c, d = self.sums
        pairs = np.cumsum(
            count_pairs(np.ascontiguousarray(b[:, 0]), np.ascontiguousarray(a[:, 0]), self.lows[0], self.highs[0])
        )
        others = np.concatenate(
            [
                [0],
                np.cumsum(
                    count_pairs(
                        np.ascontiguousarray(d[:, 1]), np.ascontiguousarray(c[:, 1]), self.lows[1], self.highs[1]
                    )
                ),
            ]
        )
        self.work = int(pairs[-1]) + int(others[-1])
        # What B and D add to (2, +): nothing where the lists follow the signs.
        least, most = (sum(end(self.sums[k][:, 2]) for k in (1, 3)) for end in (np.min, np.max))
        self.ends = self.lows[2] - most, self.highs[2] - least
        start = 0
        room = 64
        while start < len(a):
            in_time(deadline)
            stop = self._stop(start, pairs, others)
            low, high = self.ends[0] - a[stop - 1, 2], self.ends[1] - a[start, 2]
            begin, end = np.searchsorted(c[:, 2], low), np.searchsorted(c[:, 2], high, side="right")
            left = np.argsort(a[start:stop, 0], kind="stable")
            right = np.argsort(c[begin:end, 1], kind="stable")
            while True:
                found, count = joined(
                    (a[start:stop][left], b),
                    (c[begin:end][right], d),
                    (0, 1, self.other),
                    self.lows,
                    self.highs,
                    PAIRS // 2 if self.work > PAIRS else self.work,
                    room,
                )
                if count <= room:
                    break
                room = 2 * count
                if room > ROOM:
                    raise UnsettledError(f"{count} assignments meet the sums in one slab")
            for i, j, k, last in found.tolist():
                yield start + int(left[i]), j, int(begin + right[k]), last
            start = stop

    def _stop(self, start: int, pairs: Integers, others: Integers) -> int:
        """Return where the slab of A that begins at `start` ends: PAIRS pairs on both sides, by bisection."""
        a, c = self.sums[0], self.sums[2]
        before = pairs[start - 1] if start else 0
        low, high = start + 1, len(a)
        while low < high:
            middle = (low + high + 1) // 2
            begin = np.searchsorted(c[:, 2], self.ends[0] - a[middle - 1, 2])
            end = np.searchsorted(c[:, 2], self.ends[1] - a[start, 2], side="right")
            if pairs[middle - 1] - before + others[end] - others[begin] <= PAIRS:
                low = middle
            else:
                high = middle - 1
        return low
