"""Two random layers for a layer, every weight as it was drawn: what whole neurons and learned masks are cut from.

y = V relu(U [x; 1]). In a convolution U acts at every position, and V's columns of the constant input have no place
of their own: there its hidden neurons read only the constant, and add the same to every position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from prunegap.nn.graph import Step
from prunegap.nn.modules import linear_map, with_bias
from prunegap.nn.source import SourceLayer

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Pair:
    """U (hidden, inputs + constants), V (outputs, inputs width[, kh, kw]) and the constants' part of V or None."""

    first: Tensor
    second: Tensor
    constant: Tensor | None

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """The arrays that there are."""
        return (self.first, self.second) if self.constant is None else (self.first, self.second, self.constant)


def drawn_pair(source: SourceLayer) -> Pair:
    """Return the source's own weights, none masked, in float32, which holds them exactly."""
    constant = torch.from_numpy(source.constant_dense()) if source.constants else None
    return Pair(torch.from_numpy(source.first_dense()), torch.from_numpy(source.second_dense()), constant)


def pair_forward(step: Step, pair: Pair, x: Tensor, gate: Tensor | None = None) -> Tensor:
    """Return V relu(U [x; 1]); `gate` (hidden,) multiplies the hidden neurons."""
    inputs = x.shape[1]
    weight, shift = pair.first[:, :inputs], pair.first[:, inputs:].sum(1)
    if step.kind == "linear":
        hidden = torch.relu(functional.linear(x, weight, shift))
        second = pair.second if pair.constant is None else torch.cat([pair.second, pair.constant], 1)
        return functional.linear(hidden if gate is None else hidden * gate, second)
    channels = pair.first.shape[0] - (0 if pair.constant is None else pair.constant.shape[1])
    hidden = torch.relu(functional.conv2d(x, weight[:channels, :, None, None], shift[:channels]))
    if gate is not None:
        hidden = hidden * gate[:channels, None, None]
    y = linear_map(step, hidden, pair.second)
    if pair.constant is None:
        return y
    still = torch.relu(shift[channels:])
    return with_bias(step, y, pair.constant @ (still if gate is None else still * gate[channels:]))


class RandomPair(nn.Module):
    """A pair of random layers whose pruned weights are zeros; pruned neurons of a linear layer are left out."""

    def __init__(self, step: Step, pair: Pair) -> None:
        super().__init__()
        self.step = step
        first, second, constant = pair.first, pair.second, pair.constant
        if step.kind == "linear":
            second = second if constant is None else torch.cat([second, constant], 1)
            alive = (first != 0).any(1) & (second != 0).any(0)
            first, second, constant = first[alive], second[:, alive], None
        self.first = nn.Parameter(first, requires_grad=False)
        self.second = nn.Parameter(second, requires_grad=False)
        self.constant = None if constant is None else nn.Parameter(constant, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        return pair_forward(self.step, Pair(self.first, self.second, self.constant), x)
