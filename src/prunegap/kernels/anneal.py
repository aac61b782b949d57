"""Simulated annealing of a kept set: flips, swaps, and pairs, each tried by walking once over a table of inputs.

The energy of a kept set is sum_k max(0, low_k - s_k, s_k - high_k)^2 for the sums s = table^T kept. Of the columns
that share an owner at most one is kept: keeping another drops it in the same move. Pure functions of bare arrays;
floats drift, so callers recompute the sums before they believe them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

STRIDE = 32
"""Inputs between two looks at whether a move is refused already."""


@inlined
def _moved_energy(sums: Floats, change: Floats, low: Floats, high: Floats, most: float) -> float:
    """Return the energy of sums + change, or something above `most` as soon as it is known to be above."""
    total = 0.0
    for begin in range(0, sums.size, STRIDE):
        for k in range(begin, min(begin + STRIDE, sums.size)):
            value = sums[k] + change[k]
            excess = max(0.0, max(low[k] - value, value - high[k]))
            total += excess * excess
        if total > most:
            break
    return total


@inlined
def _toggle(
    i: int, kept: Flags, holders: Integers, owners: Integers, moved: Integers, signs: Floats, count: int
) -> int:
    """Append the columns that change when i is flipped, and how; return the new count."""
    if not kept[i] and holders[owners[i]] >= 0:
        moved[count], signs[count] = holders[owners[i]], -1.0
        count += 1
    moved[count], signs[count] = i, -1.0 if kept[i] else 1.0
    return count + 1


@compiled
def anneal(
    table: Floats,
    sums: Floats,
    low: Floats,
    high: Floats,
    kept: Flags,
    owners: Integers,
    partners: Integers,
    hot: float,
    cold: float,
    moves: int,
    seed: int,
) -> float:
    """Change `kept` (c,) and its `sums` (k,) in place; return the energy reached, 0 where every condition is met.

    `table` (c, k) holds what column i adds at input k; `owners` (c,) its neuron, of which at most one column is kept;
    `partners` (c, m) whose kinks lie near those of i: a third of the moves flip i, a third exchange a kept for a
    dropped column, a third flip i with a partner. Temperatures fall from `hot` to `cold` geometrically over `moves`
    moves.
    """
    # Numba has no Generator that a seed alone sets up inside a kernel; its legacy stream is private to the thread.
    np.random.seed(seed)  # noqa: NPY002
    count = table.shape[0]
    holders = np.full(owners.max() + 1, -1, dtype=np.int64)
    for i in range(count):
        if kept[i]:
            holders[owners[i]] = i
    change = np.zeros(sums.size)
    moved, signs = np.zeros(4, dtype=np.int64), np.zeros(4)
    energy = _moved_energy(sums, change, low, high, np.inf)
    temperature = hot
    cooling = (cold / hot) ** (1.0 / moves)
    for _ in range(moves):
        if energy == 0.0:
            break
        temperature *= cooling
        i = np.random.randint(count)  # noqa: NPY002
        j = i
        kind = np.random.randint(3)  # noqa: NPY002
        if kind == 1:
            j = np.random.randint(count)  # noqa: NPY002
            if kept[i] == kept[j]:
                continue
        elif kind == 2:
            j = partners[i, np.random.randint(partners.shape[1])]  # noqa: NPY002
        if owners[i] == owners[j] and kept[i]:
            # Two columns of one neuron: the one that is dropped takes the place of the one that is kept.
            i, j = j, i
        toggled = _toggle(i, kept, holders, owners, moved, signs, 0)
        if owners[i] != owners[j]:
            toggled = _toggle(j, kept, holders, owners, moved, signs, toggled)
        row, sign = table[moved[0]], signs[0]
        for k in range(sums.size):
            change[k] = sign * row[k]
        for t in range(1, toggled):
            row, sign = table[moved[t]], signs[t]
            for k in range(sums.size):
                change[k] += sign * row[k]
        most = energy - temperature * np.log(np.random.random())  # noqa: NPY002
        reached = _moved_energy(sums, change, low, high, most)
        if reached <= most:
            for k in range(sums.size):
                sums[k] += change[k]
            for t in range(toggled):
                kept[moved[t]] = signs[t] > 0.0
                if signs[t] < 0.0:
                    holders[owners[moved[t]]] = -1
            for t in range(toggled):
                if signs[t] > 0.0:
                    holders[owners[moved[t]]] = moved[t]
            energy = reached
    return energy
