"""What a plan counts is what the shrunk model has, also where heads and the units inside them share a dimension."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.trained.budget import unit_cost, unit_counts
from prunegap.trained.structure import shrunk, trace
from trained.structure.zoo import ZOO, stirred

KEEPS = (0.8, 0.5, 0.25)


@pytest.mark.parametrize("name", ZOO)
def test_the_cost_of_a_plan_is_the_size_of_what_it_makes(name: str) -> None:
    model, x = stirred(name)
    structure = trace(model, (x,))
    random = np.random.default_rng(0)
    cost = unit_cost(model, structure.groups)
    for _ in range(4):
        keep = {group.name: float(random.choice(KEEPS)) for group in structure.groups}
        counts = unit_counts(structure.groups, keep)
        kept = {g.name: random.permutation(np.arange(g.units) < counts[g.name]) for g in structure.groups}
        small = shrunk(model, structure, kept)
        assert cost(keep) == sum(parameter.numel() for parameter in small.parameters())
