"""2:4 weights on the sparse tensor cores of a GPU, through torch.sparse.

Two of four weights are kept, so a weight is stored as the kept values and two bits for the place of each: 9/16 of the
dense bytes in half precision. What the GPU multiplies is made from these when it is first needed, since torch can
neither copy, pickle nor move its packed form. Elsewhere the layer computes the same with the dense weight.
"""

from __future__ import annotations

import warnings
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunegap.trained.execute.derived import Derived

KEPT, GROUP = 2, 4
ROWS, COLUMNS = 32, 64
"""The shape of a weight is a multiple of these, as the hardware wants it."""


class SemiStructuredWeight(Derived):
    """A matrix of shape (rows, columns) with at most two of four consecutive weights kept, columns a multiple of 8.

    `values` (rows, columns / 2) are the kept weights; `places` (rows, columns / 8) holds two bits for each, the first
    kept one lowest.
    """

    values: Tensor
    places: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        groups = matrix.detach().reshape(matrix.shape[0], -1, GROUP)
        chosen = (groups != 0).int().argsort(dim=-1, descending=True, stable=True)[..., :KEPT].sort(dim=-1).values
        halves = (chosen[..., 0] | chosen[..., 1] << 2).reshape(matrix.shape[0], -1, 2)
        self.register_buffer("values", groups.gather(-1, chosen).flatten(1).contiguous())
        self.register_buffer("places", (halves[..., 0] | halves[..., 1] << 4).to(torch.uint8))

    @classmethod
    def of(cls, values: Tensor, places: Tensor) -> SemiStructuredWeight:
        """Return the weight of these two parts."""
        weight = cls(values.new_zeros(1, 2 * GROUP))
        weight.values, weight.places = values, places
        return weight

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.values.shape[0], GROUP // KEPT * self.values.shape[1]

    @property
    def stored(self) -> int:
        """How many numbers are multiplied."""
        return self.values.numel()

    def dense(self) -> Tensor:
        """Return the matrix with its zeros."""
        bits = self.places[..., None] >> torch.arange(0, 8, 2, dtype=torch.uint8, device=self.places.device) & 3
        chosen = bits.reshape(self.shape[0], -1, KEPT).long()
        groups = self.values.new_zeros(self.shape[0], self.shape[1] // GROUP, GROUP)
        return groups.scatter_(-1, chosen, self.values.reshape(chosen.shape)).flatten(1)

    def matrix(self) -> Tensor:
        """Return the weight as the device multiplies it: packed for its tensor cores, or dense."""
        if "matrix" not in self.derived:
            matrix = self.dense()
            if self.values.is_cuda:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # "prototype stage", once a process
                    matrix = cast(Tensor, torch.sparse.to_sparse_semi_structured(matrix))
            self.derived["matrix"] = matrix
        return cast(Tensor, self.derived["matrix"])


class SemiStructuredLinear(nn.Module):
    """y = x W^T + b, the same function as the Linear it is made from, whose weight must be 2:4."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = SemiStructuredWeight(layer.weight)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of shape (..., out_features) for inputs of shape (..., in_features)."""
        return functional.linear(inputs, self.weight.matrix(), self.bias)


def two_of_four(layer: nn.Module) -> nn.Module | None:
    """Return the layer on sparse tensor cores, or None where it has no such form or is not on a GPU."""
    if type(layer) is not nn.Linear or not layer.weight.is_cuda or not is_two_of_four(layer.weight.detach()):
        return None
    return SemiStructuredLinear(layer)


def is_two_of_four(weight: Tensor) -> bool:
    """Whether a weight is in half precision, of a shape the hardware multiplies, with at most two of four kept."""
    fits = weight.dtype in (torch.float16, torch.bfloat16) and weight.ndim == 2
    if not fits or weight.shape[0] % ROWS or weight.shape[1] % COLUMNS:
        return False
    return int((weight.reshape(-1, GROUP) != 0).sum(dim=1).max()) <= KEPT
