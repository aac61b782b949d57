"""Small networks with everything a ticket supports, and their modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunegap.nn import InputSet, Making, Target, make_ticket, trace


class Residual(nn.Module):
    """Convolutions with groups, stride, padding and BatchNorm, a residual sum, all poolings, two linear layers."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 4, (3, 1), padding=(1, 0), groups=2, bias=False)
        self.strided = nn.Conv2d(4, 6, 2, stride=2, dilation=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.mean = nn.AvgPool2d(2, 1)
        self.ends = nn.AdaptiveAvgPool2d((1, 2))
        self.dropout = nn.Dropout()
        self.linear = nn.Linear(12, 5)
        self.last = nn.Linear(5, 3, bias=False)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-0.2, 0.2)
            self.norm.running_var.uniform_(0.5, 2.0)
            self.norm.weight.uniform_(-1.5, 1.5)
            self.last.weight[0] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return three outputs for images of 2 x 11 x 12."""
        y = torch.relu(self.norm(self.first(x)))
        y = torch.relu(self.grouped(y) + y)
        y = self.mean(self.pool(torch.relu(self.strided(y))))
        y = self.dropout(torch.flatten(self.ends(y), 1))
        return self.last(torch.relu(self.linear(y)))


SHAPE = (2, 11, 12)


def residual_target(seed: int = 0) -> Target:
    """Return the traced network."""
    return trace(Residual(seed), SHAPE)


def dense_target(seed: int = 0, *, bias: bool = True) -> Target:
    """Return a network 6-9-4."""
    torch.manual_seed(seed)
    return trace(nn.Sequential(nn.Linear(6, 9, bias=bias), nn.ReLU(), nn.Linear(9, 4, bias=bias)), (6,))


def made(target: Target, epsilon: float = 0.02, inputs: str = "box:0:1", seed: int = 3) -> Making:
    """Return a ticket or a proof of impossibility."""
    return make_ticket(target, epsilon, seed, inputs=InputSet.parse(inputs), workers=2)


def samples(inputs: str, count: int, shape: tuple[int, ...]) -> Tensor:
    """Return points of an input set, corners and the sphere included."""
    generator = torch.Generator().manual_seed(1)
    allowed = InputSet.parse(inputs)
    uniform = torch.rand((count, *shape), dtype=torch.float64, generator=generator)
    if allowed.kind == "box":
        uniform[::2] = uniform[::2].round()
        return allowed.low + uniform * (allowed.high - allowed.low)
    points = torch.randn((count, *shape), dtype=torch.float64, generator=generator).flatten(1)
    return (allowed.radius * points / points.norm(dim=1, keepdim=True)).reshape(count, *shape)
