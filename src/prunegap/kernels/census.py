"""Estimate how many kept sets a half-circle walk would visit, from a sample that stays small.

The kinks are passed one after the other by a population of partial kept sets; where it outgrows its room, a uniform
part goes on and stands for the rest. The expected count is exact (Chen 1992, heterogeneous sampling), the cost is
linear in the number of kinks, and the counts at every kink come at once: they say where to cut the circle.
"""

from __future__ import annotations

import numpy as np

from prunegap.kernels.half_circle import enter, leads_outward, push, survives
from prunegap.kernels.jit import compiled


@compiled
def census(
    cosines,
    sines,
    strengths,
    is_b,
    two_sided,
    forced,
    first,
    inner,
    table,
    begin,
    outward,
    tube,
    slope_limit,
    polygons,
    counts,
    sums,
    room,
    seed,
):
    """Return (nodes, alive): the kept sets ending at each kink, and those alive after it, both estimated.

    Slot 0 of polygons, counts and sums holds the root; they need 2 room + 2 slots.
    """
    np.random.seed(seed)  # noqa: NPY002 (a compiled kernel has its own stream)
    n = cosines.size
    nodes, alive = np.zeros(n), np.zeros(n)
    population, weight = 1, 1.0
    for j in range(n):
        if j == first:
            i = 0
            while i < population:
                if enter(polygons, counts, sums, i, i, inner, tube):
                    i += 1
                else:
                    population -= 1
                    _move(polygons, counts, sums, population, i)
        c, s, kappa = cosines[j], sines[j], strengths[j]
        old, grown = population, population
        i = 0
        while i < old:
            skip, keep = True, True
            if two_sided[j]:
                skip, keep = survives(polygons, counts, sums, i, c, s, kappa, table, j, tube, slope_limit)
            if keep and push(polygons, counts, sums, i, grown, c, s, kappa, is_b[j], two_sided[j], tube):
                nodes[j] += weight
                grown += leads_outward(polygons, counts, grown, begin, outward, tube, slope_limit)
            if skip and not forced[j]:
                i += 1
                continue
            # The last old slot moves into the gap and the last new one into its place.
            old -= 1
            _move(polygons, counts, sums, old, i)
            grown -= 1
            _move(polygons, counts, sums, grown, old)
        population = grown
        if population > room:
            weight *= population / room
            for k in range(room):
                other = k + int(np.random.random() * (population - k))  # noqa: NPY002
                if other != k:
                    spare = polygons.shape[0] - 2
                    _move(polygons, counts, sums, k, spare)
                    _move(polygons, counts, sums, other, k)
                    _move(polygons, counts, sums, spare, other)
            population = room
        alive[j] = weight * population
        if population == 0:
            break
    return nodes, alive


@compiled
def _move(polygons, counts, sums, source, to):
    counts[to] = counts[source]
    for i in range(counts[source]):
        polygons[to, 0, i] = polygons[source, 0, i]
        polygons[to, 1, i] = polygons[source, 1, i]
    for k in range(4):
        sums[to, k] = sums[source, k]
