"""Small models that can be imported by name, and data for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prunegap.trained.compare.measure import accuracy


def batches(count: int = 4, shape: tuple[int, ...] = (12,), seed: int = 0) -> list[Tensor]:
    """Return batches of 16 rows."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(16, *shape, generator=generator) for _ in range(count)]


def mlp() -> nn.Sequential:
    """Return a chain of three Linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 4))


def cnn() -> nn.Sequential:
    """Return two convolutions, one with batch norm, and a Linear layer; activations in place."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16 * 4, 5),
    )  # fmt: skip


def data() -> tuple[list[Tensor], object]:
    """Return calibration and evaluate, as the command line takes them."""
    x = torch.cat(batches(4, seed=1))
    return batches(), accuracy(x, mlp()(x).argmax(dim=1))


def unlabelled() -> tuple[list[Tensor], None]:
    """Return calibration without a measure."""
    return batches(), None


def failing_data() -> tuple[list[Tensor], object]:
    """Return an evaluate that fails on every pruned model of fewer than half the weights."""

    def evaluate(model: nn.Module) -> float:
        kept = sum(int((p != 0).sum()) for p in model.parameters())
        if kept < 1000:
            raise RuntimeError("out of cheese")
        return 0.5

    return batches(), evaluate


class Tied(nn.Module):
    """A language model in small: the readout's weight is the embedding's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.hidden = nn.Embedding(20, 16), nn.Linear(16, 32)
        self.back, self.read = nn.Linear(32, 16), nn.Linear(16, 20, bias=False)
        self.read.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.read(self.back(torch.relu(self.hidden(self.words(ids)))))


class Branching(nn.Module):
    """A forward pass that looks at values cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(12, 32), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return self.second(hidden) if float(hidden.sum()) > 0 else self.second(-hidden)


class Overflow(nn.Module):
    """A layer in the middle divides by zero."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) / 0.0)


class Halving(nn.Module):
    """Writes to its input, so that it gives other outputs when it is run on it again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x *= 0.5
        return self.second(torch.relu(self.first(x)))
