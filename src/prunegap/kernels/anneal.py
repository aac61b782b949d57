"""Simulated annealing of a kept set: flips, swaps, and pairs, each tried by walking once over a table of inputs.

The energy of a kept set is sum_k max(0, low_k - s_k, s_k - high_k)^2 for the sums s = table^T kept. Pure functions of
bare arrays; floats drift, so callers recompute the sums before they believe them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled, inlined

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@inlined
def _moved_energy(
    sums: Floats, first: Floats, a: float, second: Floats, b: float, low: Floats, high: Floats
) -> float:
    """Return the energy of the sums + a first + b second."""
    total = 0.0
    for k in range(sums.size):
        value = sums[k] + a * first[k] + b * second[k]
        excess = max(0.0, max(low[k] - value, value - high[k]))
        total += excess * excess
    return total


@compiled
def anneal(
    table: Floats,
    sums: Floats,
    low: Floats,
    high: Floats,
    kept: Flags,
    partners: Integers,
    hot: float,
    cold: float,
    moves: int,
    seed: int,
) -> float:
    """Change `kept` (n,) and its `sums` (k,) in place; return the energy reached, 0 where every condition is met.

    `table` (n, k) holds what neuron i adds at input k; `partners` (n, m) whose kinks lie near those of i: a third of
    the moves flip i, a third exchange a kept for a dropped neuron, a third flip i with a partner. Temperatures fall
    from `hot` to `cold` geometrically over `moves` moves.
    """
    # Numba has no Generator that a seed alone sets up inside a kernel; its legacy stream is private to the thread.
    np.random.seed(seed)  # noqa: NPY002
    count = table.shape[0]
    energy = _moved_energy(sums, table[0], 0.0, table[0], 0.0, low, high)
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
        a = -1.0 if kept[i] else 1.0
        b = 0.0 if i == j else (-1.0 if kept[j] else 1.0)
        moved = _moved_energy(sums, table[i], a, table[j], b, low, high)
        chance = np.random.random()  # noqa: NPY002
        if moved <= energy or chance < np.exp((energy - moved) / temperature):
            for k in range(sums.size):
                sums[k] += a * table[i, k] + b * table[j, k]
            kept[i] = not kept[i]
            if i != j:
                kept[j] = not kept[j]
            energy = moved
    return energy
