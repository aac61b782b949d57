"""Groups found by tracing feed the unit solvers, and what they leave can be shrunk."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from prunegap.trained import budget
from prunegap.trained.calibrate import Calibration
from prunegap.trained.prune_units import prune_units
from prunegap.trained.structure import agreement, shrunk, trace
from trained.prune.networks import output_error


class Residual(nn.Module):
    """A stem, one residual block, a head: the stem's channels have four readers' worth of coupling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner, self.outer = nn.Conv2d(8, 16, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.stem(x)))
        x = functional.relu(x + self.outer(functional.relu(self.inner(x))))
        return self.head(x.mean((2, 3)))


def test_traced_groups_are_pruned_repaired_and_shrunk():
    torch.manual_seed(0)
    model = Residual()
    images = torch.randn(96, 1, 6, 6)
    model(images)
    model.eval()
    structure = trace(model, (images[:2],))
    calibration = Calibration(model, list(images.split(32)))
    curves = budget.unit_curves(calibration, structure.groups)
    groups = tuple(group for group in structure.groups if group.name in curves)
    cost = budget.unit_cost(model, groups)
    target = 0.6 * cost({})
    keep = budget.unit_counts(groups, budget.allocate(curves, cost, target))
    pruned = prune_units(model, [], groups, keep, calibration=calibration)
    small = shrunk(pruned.model, structure, pruned.kept)
    assert sum(parameter.numel() for parameter in small.parameters()) <= target
    assert agreement(small, pruned.model, (images[:8],)) < 1e-4
    naive = prune_units(model, [], groups, keep, "magnitude", calibration=calibration)
    fresh = list(torch.randn(96, 1, 6, 6, generator=torch.Generator().manual_seed(5)).split(32))
    assert output_error(pruned.model, model, fresh) < output_error(naive.model, model, fresh)
    assert all(np.isfinite(error) for error in pruned.errors.values())
