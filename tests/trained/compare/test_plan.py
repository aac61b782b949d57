"""Laws of the plans: budgets are kept, and what an n:m layer frees beyond need is given back."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from prunegap.model.granularity import NOfM
from prunegap.trained.budget import Curve
from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare.plan import WeightPlan


def test_no_layer_is_2_4_that_the_budget_would_leave_dense() -> None:
    """Layers of unequal sizes, errors at random: after the plan, none can be dense again within the budget."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    calibration = Calibration(model, [torch.randn(8, 8)])
    sizes = {name: model.get_submodule(name).weight.numel() for name in calibration.order}  # type: ignore[union-attr]
    total, draw = sum(sizes.values()), np.random.default_rng(0)
    for _ in range(100):
        errors, budget = draw.lognormal(0.0, 1.5, len(sizes)), draw.uniform(0.52, 0.97)
        curves = {n: Curve((0.25, 0.5, 1.0), (2.0 * e, e, 0.0)) for n, e in zip(sizes, errors, strict=True)}
        plan = WeightPlan(calibration, NOfM(2, 4), _curves=curves).fractions(budget)
        used = sum(plan[name] * size for name, size in sizes.items())
        assert used <= budget * total + 1e-6
        for name, size in sizes.items():
            assert plan[name] == 1.0 or plan[name] <= 0.5
            assert plan[name] == 1.0 or used + (1.0 - plan[name]) * size > budget * total
