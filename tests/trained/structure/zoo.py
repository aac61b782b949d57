"""Small models of every kind of coupling, for the laws of shrinking."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.inner = nn.Sequential(
            nn.Conv2d(12, 9, 3, padding=1, bias=False), nn.BatchNorm2d(9), nn.ReLU(inplace=True)
        )
        self.back = nn.Sequential(nn.Conv2d(9, 12, 1, bias=False), nn.BatchNorm2d(12))
        self.head = nn.Linear(12 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.stem(x))
        x = x + self.back(self.inner(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Depthwise(nn.Module):
    """Expansion, depthwise with a multiplier, squeeze and excitation, projection."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 10, 1)
        self.depth = nn.Conv2d(10, 20, 3, padding=1, groups=10)
        self.bn = nn.BatchNorm2d(20)
        self.down, self.up = nn.Conv2d(20, 6, 1), nn.Conv2d(6, 20, 1)
        self.project = nn.Conv2d(20, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.bn(self.depth(F.relu6(self.expand(x)))))
        scale = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))
        return self.project(x * scale).mean((2, 3))


class Grouped(nn.Module):
    """Grouped convolution, group norm, channel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 24, 1)
        self.two = nn.Conv2d(24, 32, 3, padding=1, groups=4)
        self.norm = nn.GroupNorm(8, 32)
        self.three = nn.Conv2d(32, 16, 1, groups=2)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.two(F.relu(self.one(x)))))
        x = self.three(x)
        b, c, h, w = x.shape
        x = x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)
        left, right = x.chunk(2, dim=1)
        return self.head(torch.cat([left.relu(), right], 1).amax((2, 3)))


class Dense(nn.Module):
    """Concatenation as in DenseNet, and slices of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1, self.c1 = nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3, padding=1)
        self.bn2, self.c2 = nn.BatchNorm2d(14), nn.Conv2d(14, 6, 3, padding=1)
        self.head = nn.Linear(15, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.c1(F.relu(self.bn1(x)))], 1)
        x = torch.cat([x, self.c2(F.relu(self.bn2(x)))], 1)
        return self.head(x[:, 5:].mean((2, 3)))


class Attention(nn.Module):
    """Pre-norm transformer block; heads from one fused or three separate projections."""

    def __init__(self, fused: bool, fast: bool) -> None:
        super().__init__()
        self.fused, self.fast, self.heads = fused, fast, 4
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        if fused:
            self.qkv = nn.Linear(16, 3 * 32)
        else:
            self.q, self.k, self.v = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(16, 32)
        self.out = nn.Linear(32, 16)
        self.ffn = nn.Sequential(nn.Linear(16, 40), nn.GELU(), nn.Dropout(0.1), nn.Linear(40, 16))
        self.scale = nn.Parameter(torch.randn(16))
        self.bias = nn.Parameter(torch.randn(4, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        y = self.norm1(x)
        if self.fused:
            q, k, v = self.qkv(y).reshape(b, n, 3, self.heads, 8).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (p(y).view(b, n, self.heads, 8).transpose(1, 2) for p in (self.q, self.k, self.v))
        if self.fast:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        else:
            y = ((q @ k.transpose(-2, -1)) * 8**-0.5 + self.bias).softmax(-1) @ v
        x = x + self.scale * self.out(y.transpose(1, 2).reshape(b, n, -1))
        return x + self.ffn(self.norm2(x))


class GroupedQueries(nn.Module):
    """Eight query heads share two heads of keys and values; a gated feed-forward layer."""

    def __init__(self, builtin: bool) -> None:
        super().__init__()
        self.builtin = builtin
        self.q, self.k, self.v, self.out = nn.Linear(16, 64), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(64, 16)
        self.gate, self.up, self.down = (
            nn.Linear(16, 24, bias=False),
            nn.Linear(16, 24, bias=False),
            nn.Linear(24, 16),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q = self.q(x).view(b, n, 8, 8).transpose(1, 2)
        k, v = (p(x).view(b, n, 2, 8).transpose(1, 2) for p in (self.k, self.v))
        if not self.builtin:
            k, v = (t[:, :, None].expand(b, 2, 4, n, 8).reshape(b, 8, n, 8) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=self.builtin)
        x = x + self.out(y.transpose(1, 2).reshape(b, n, 64))
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class Mixer(nn.Module):
    """An MLP along the tokens, an MLP along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.tokens = nn.Sequential(nn.Linear(6, 18), nn.GELU(), nn.Linear(18, 6))
        self.channels = nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return (x + self.channels(self.norm2(x))).mean(1)


class Tied(nn.Module):
    """Words in and out by one matrix; the same layer applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.twice = nn.Linear(8, 8)
        self.hidden = nn.Sequential(nn.Linear(8, 14), nn.Tanh(), nn.Linear(14, 8))
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        x = self.embed(ids)
        x = self.twice(self.twice(x).relu())
        return {"scores": self.head(x + self.hidden(x))}


class Torch(nn.Module):
    """torch's own encoder layer, batch second inside the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class InPlace(nn.Module):
    """Operations in place on views, PReLU, a transposed convolution, pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act = nn.Conv2d(3, 12, 3, padding=1), nn.PReLU(12)
        self.two = nn.ConvTranspose2d(12, 16, 2, stride=2)
        self.three = nn.Conv2d(4, 6, 1)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.one(x))
        x *= 2
        y = F.pixel_shuffle(self.two(x).relu_(), 2)
        y = self.three(F.pad(y, (0, 1, 0, 1)))
        y += 0.5
        return self.head(torch.clamp(y, 0, 3)).sum((2, 3))


class Places(nn.Module):
    """Places are added to words, as many as there are; the length stays free."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(9, 6), nn.Parameter(torch.randn(20, 6))
        self.hidden = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 4))

    def forward(self, ids: Tensor) -> Tensor:
        return self.hidden(self.words(ids) + self.places[: ids.shape[1]])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 20), nn.ReLU(), nn.Linear(20, 16), nn.Sigmoid(), nn.Linear(16, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 10, 3, padding=1), nn.BatchNorm2d(10), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(10, 14, 3, padding=1, bias=False), nn.BatchNorm2d(14), nn.ELU(),
        nn.Flatten(), nn.Linear(14 * 16, 5),
    )  # fmt: skip


def picture(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 8, 8)


def tokens(width: int) -> Callable[..., Tensor]:
    return lambda n=3: torch.randn(n, 6, width)


# name: (model, inputs for a batch of n, least number of prunable units)
Entry = tuple[Callable[[], nn.Module], Callable[..., Tensor], int]
ZOO: dict[str, Entry] = {
    "mlp": (mlp, lambda n=3: torch.randn(n, 7), 36),
    "cnn": (cnn, picture, 24),
    "residual": (Residual, picture, 21),
    "depthwise": (Depthwise, picture, 10 + 2 + 6),
    "grouped": (Grouped, picture, 6 + 4),
    "dense": (Dense, picture, 20),
    "fused heads": (lambda: Attention(True, True), tokens(16), 4 + 8 + 40),
    "separate heads": (lambda: Attention(False, False), tokens(16), 4 + 8 + 8 + 40),
    "grouped queries": (lambda: GroupedQueries(False), tokens(16), 2 + 4 + 8 + 8 + 24),
    "builtin grouped queries": (lambda: GroupedQueries(True), tokens(16), 2 + 4 + 8 + 8 + 24),
    "mixer": (Mixer, tokens(12), 38),
    "tied": (Tied, lambda n=3: torch.randint(0, 11, (n, 5)), 14 + 8),
    "places": (Places, lambda n=3: torch.randint(0, 9, (n, 7)), 16),
    "torch": (Torch, tokens(16), 4 + 24),
    "in place": (InPlace, picture, 12 + 4 + 6),
}


def stirred(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A model with nothing left at zero or one, in eval mode, with inputs: so that every entry counts."""
    torch.manual_seed(seed)
    make, draw, _ = ZOO[name]
    model, x = make().double(), draw()
    x = x.double() if x.is_floating_point() else x
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return model.eval(), x
