"""Which indices of a dimension go together when one of them is removed.

Every index of every tensor dimension carries a set of *units*; it is removed when any of its units is. Equal sets
are forced by a union-find. A unit may later turn out to be a product: once a dimension of 768 is viewed as 12 heads
x 64, its 768 units become "head i or position j". Then the unit is *refined*: it stands for both from there on,
everywhere, also in tensors that were labelled before. A *label* of a dimension of size n is an array (layers, n) of
unit numbers, 0 for "never removed"; None is a label of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Label = Ids | None


class Units:
    """Union-find over units with refinement and freezing: indices with equal labels are removed together."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, dtype=np.int64)
        self._left = np.full(1, -1, dtype=np.int64)
        self._right = np.full(1, -1, dtype=np.int64)
        self._why = np.zeros(1, dtype=np.int64)
        self._count = 1
        self._reasons: list[str] = [""]

    @property
    def count(self) -> int:
        """One more than the largest unit number."""
        return self._count

    def fresh(self, n: int) -> Ids:
        """A label of n units that nothing else carries."""
        first, self._count = self._count, self._count + n
        if self._count > len(self._parent):
            room = 2 * self._count
            self._left, self._right, self._why = (
                np.concatenate([a, np.full(room - len(a), fill, dtype=np.int64)])
                for a, fill in ((self._left, -1), (self._right, -1), (self._why, 0))
            )
            self._parent = np.concatenate([self._parent, np.arange(len(self._parent), room)])
        return np.arange(first, self._count, dtype=np.int64)[None, :]

    def _find(self, ids: Ids) -> Ids:
        root = self._parent[ids]
        while True:
            above = self._parent[root]
            if np.array_equal(above, root):
                self._parent[ids] = root
                return root
            root = above

    def _root(self, unit: int) -> int:
        while (above := int(self._parent[unit])) != unit:
            unit = above
        return unit

    def leaves(self, label: Label) -> Label:
        """The label in units that are neither merged nor refined any more, frozen ones included."""
        if label is None:
            return None
        todo = [label[i] for i in range(len(label) - 1, -1, -1)]
        rows: list[Ids] = []
        while todo:
            row = self._find(todo.pop())
            left = self._left[row]
            if (refined := left >= 0).any():
                todo += [np.where(refined, self._right[row], 0), np.where(refined, left, row)]
            elif row.any() and not any(np.array_equal(row, other) for other in rows):
                rows.append(row)
        return np.stack(rows) if rows else None

    def resolve(self, label: Label) -> Label:
        """The label in removable units: like `leaves`, with 0 for what is frozen; None when nothing is left."""
        leaves = self.leaves(label)
        if leaves is None:
            return None
        free = np.where(self._why[leaves] > 0, 0, leaves)
        free = free[free.any(axis=1)]
        return free if len(free) else None

    def freeze(self, label: Label, reason: str) -> None:
        """No unit of the label can be removed; the first reason given to a unit stays."""
        leaves = self.leaves(label)
        if leaves is not None:
            if reason not in self._reasons:
                self._reasons.append(reason)
            open_units = leaves[(self._why[leaves] == 0) & (leaves > 0)]
            self._why[open_units] = self._reasons.index(reason)

    def reason(self, label: Label) -> str:
        """Why the label has frozen units; empty when it has none."""
        leaves = self.leaves(label)
        whys = np.zeros(1, dtype=np.int64) if leaves is None else self._why[leaves]
        return self._reasons[int(whys.max())]

    def unify(self, one: Label, two: Label, reason: str) -> Label:
        """From now on both labels (equal length) are removed at the same indices; returns the common label."""
        if one is two:
            return one
        a, b = self.resolve(one), self.resolve(two)
        if a is None or b is None:
            self.freeze(a if b is None else b, reason)
            return None
        if len(a) > len(b):
            a, b = b, a
        if len(a) == 1 and len(b) == 1 and a.all() and b.all():
            for u, v in zip(a[0].tolist(), b[0].tolist(), strict=True):
                self._parent[self._root(v)] = self._root(u)
        elif len(a) == 1 and len(b) == 2 and a.all() and b.all() and _all_new(a, b):
            self._left[a[0]], self._right[a[0]] = b
        else:
            for k in range(a.shape[1]):
                self._equate(tuple(a[:, k].tolist()), tuple(b[:, k].tolist()), reason)
        return one

    def _equate(self, one: tuple[int, ...], two: tuple[int, ...], reason: str) -> None:
        """Two sets of units go together: merge 1 with 1, refine 1 by many, merge many in order, or freeze."""
        ones, twos = self._open(one), self._open(two)
        common = set(ones) & set(twos)
        left, right = [u for u in ones if u not in common], [u for u in twos if u not in common]
        if len(left) > len(right):
            left, right = right, left
        if len(left) == len(right):
            for u, v in zip(left, right, strict=True):
                self._parent[self._root(v)] = self._root(u)
        elif len(left) == 1:
            self._refine(left[0], right)
        else:
            self.freeze(np.array([left + right], dtype=np.int64), reason)

    def _open(self, units: tuple[int, ...]) -> list[int]:
        label = self.resolve(np.array(units, dtype=np.int64)[:, None])
        return [] if label is None else list(dict.fromkeys(u for u in label[:, 0].tolist() if u))

    def _refine(self, unit: int, factors: Sequence[int]) -> None:
        while len(factors) > 1:
            *rest, last = factors
            self._left[unit], self._right[unit] = (rest[0] if len(rest) == 1 else int(self.fresh(1)[0, 0])), last
            unit, factors = int(self._left[unit]), rest

    def split(self, label: Label, sizes: Sequence[int], reason: str) -> list[Label]:
        """Labels of the factors of a dimension seen as a product, outermost first: size n = prod(sizes)."""
        found: list[list[Ids]] = [[] for _ in sizes]
        label = self.resolve(label)
        for row in [] if label is None else label:
            box = row.reshape(sizes)
            varies = [i for i in range(len(sizes)) if sizes[i] > 1 and (box != box.take([0], axis=i)).any()]
            if len(varies) > 1:
                parts = [self.fresh(size) if i in varies else None for i, size in enumerate(sizes)]
                self.unify(self.merge(parts, sizes), row[None, :], reason)
                for i in varies:
                    found[i] += [p for p in parts if p is parts[i] and p is not None]
            elif varies:
                found[varies[0]].append(np.moveaxis(box, varies[0], 0).reshape(sizes[varies[0]], -1)[:, 0])
            else:
                self._constant(row, sizes, found, reason)
        return [self.resolve(np.concatenate([np.atleast_2d(r) for r in rows])) if rows else None for rows in found]

    def _constant(self, row: Ids, sizes: Sequence[int], found: list[list[Ids]], reason: str) -> None:
        """One unit owns the whole dimension: it goes to the widest factor."""
        widest = int(np.argmax(sizes))
        found[widest].append(np.full(sizes[widest], row[0], dtype=np.int64))

    def merge(self, labels: Sequence[Label], sizes: Sequence[int]) -> Label:
        """The label of the flattened product of dimensions with these labels, outermost first."""
        rows = []
        for i, label in enumerate(labels):
            if label is not None:
                shape = [len(label)] + [1] * len(sizes)
                shape[i + 1] = sizes[i]
                rows.append(np.broadcast_to(label.reshape(shape), (len(label), *sizes)).reshape(len(label), -1))
        return np.concatenate(rows) if rows else None

    def concatenate(self, labels: Sequence[Label], sizes: Sequence[int]) -> Label:
        """The label of dimensions laid one after the other."""
        labels = [self.resolve(label) for label in labels]
        layers = max((len(label) for label in labels if label is not None), default=0)
        if layers == 0:
            return None
        out = np.zeros((layers, sum(sizes)), dtype=np.int64)
        start = 0
        for label, size in zip(labels, sizes, strict=True):
            if label is not None:
                out[: len(label), start : start + size] = label
            start += size
        return out


def _all_new(one: Ids, two: Ids) -> bool:
    """Whether the units of `one` are distinct and none of them is in `two`."""
    return len(np.unique(one)) == one.size and not np.isin(one, two).any()
