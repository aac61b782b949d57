"""Small networks with random weights, and batches for them."""

from __future__ import annotations

import torch
from torch import nn


def chain(seed: int = 0) -> nn.Sequential:
    """A convolutional chain with batch norms (one conv without bias, one grouped) and a linear head."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, padding="valid"),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12 * 9, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    )
    model(torch.randn(64, 2, 8, 8))
    return model.eval()


def perceptron(seed: int = 0) -> nn.Sequential:
    """6-24-16-4 with redundant hidden units."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


def images(count: int = 48, seed: int = 1) -> list[torch.Tensor]:
    """Batches of up to 16 images 2 x 8 x 8."""
    return list(torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(seed)).split(16))


def vectors(count: int = 96, seed: int = 1) -> list[torch.Tensor]:
    """Batches of up to 32 vectors of 6."""
    return list(torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)).split(32))


def output_error(model: nn.Module, dense: nn.Module, batches: list[torch.Tensor]) -> float:
    """Relative squared error of the outputs around their mean."""
    with torch.no_grad():
        goal, got = (torch.cat([m(b) for b in batches]) for m in (dense, model))
    return float(((got - goal) ** 2).sum() / ((goal - goal.mean(0)) ** 2).sum())
