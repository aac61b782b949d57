"""Linear and convolution layers whose zeros cost nothing: the sparse weight times features first.

torch multiplies a sparse matrix by a dense one several times faster as W x^T (features first) than as x W^T, so the
layers here transpose their input, not their weight. The weight lives in three plain buffers; the sparse tensor over
them is made when it is first needed, since torch can neither copy nor move one.
"""

from __future__ import annotations

import warnings
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunegap.trained.execute.derived import Derived

BLOCK = 4
"""Side of the square blocks of the block layout."""
MOST_BLOCKS_KEPT = 0.7
"""Fraction of blocks with a kept weight above which the block layout is not tried."""


class SparseWeight(Derived):
    """A matrix of shape (rows, columns) in CSR or, with `block` > 1, in square blocks (BSR); index type int32."""

    crow: Tensor
    col: Tensor
    values: Tensor

    def __init__(self, matrix: Tensor, block: int = 1) -> None:
        super().__init__()
        self.shape, self.block = (matrix.shape[0], matrix.shape[1]), block
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "beta state", once a process
            dense = matrix.detach()
            sparse = dense.to_sparse_csr() if block == 1 else dense.to_sparse_bsr((block, block))
        self.register_buffer("crow", sparse.crow_indices().to(torch.int32))
        self.register_buffer("col", sparse.col_indices().to(torch.int32))
        self.register_buffer("values", sparse.values().clone())

    @property
    def stored(self) -> int:
        """How many numbers are multiplied: stored zeros inside blocks count."""
        return self.values.numel()

    def matrix(self) -> Tensor:
        """Return the sparse tensor over the buffers."""
        if "matrix" not in self.derived:
            make = torch.sparse_csr_tensor if self.block == 1 else torch.sparse_bsr_tensor
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                self.derived["matrix"] = make(self.crow, self.col, self.values, self.shape, check_invariants=False)
        return cast(Tensor, self.derived["matrix"])

    def forward(self, features: Tensor) -> Tensor:
        """Return W @ features for features of shape (columns, count)."""
        return self.matrix() @ features


class SparseLinear(nn.Module):
    """y = x W^T + b, the same function as the Linear it is made from."""

    def __init__(self, layer: nn.Linear, block: int = 1) -> None:
        super().__init__()
        self.weight = SparseWeight(layer.weight, block)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of shape (..., out_features) for inputs of shape (..., in_features)."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        outputs = self.weight(rows.t().contiguous())
        if self.bias is not None:
            outputs = outputs.add_(self.bias[:, None])
        return cast(Tensor, outputs.t().reshape(*inputs.shape[:-1], outputs.shape[0]))


class SparseConv2d(nn.Module):
    """The same function as the ungrouped, zero-padded Conv2d it is made from: W times patches as columns."""

    def __init__(self, layer: nn.Conv2d, block: int = 1) -> None:
        super().__init__()
        self.weight = SparseWeight(layer.weight.flatten(1), block)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
        self.kernel_size = cast(tuple[int, int], layer.kernel_size)
        self.stride = cast(tuple[int, int], layer.stride)
        self.padding = cast(tuple[int, int], layer.padding)
        self.dilation = cast(tuple[int, int], layer.dilation)

    def _size(self, inputs: Tensor) -> tuple[int, int]:
        height, width = (
            (inputs.shape[2 + i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel_size[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return height, width

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of shape (count, out_channels, height, width)."""
        height, width = self._size(inputs)
        if self.kernel_size == (1, 1) and self.padding == (0, 0):
            patches = inputs[:, :, :: self.stride[0], :: self.stride[1]].flatten(2)
        else:
            patches = functional.unfold(inputs, self.kernel_size, self.dilation, self.padding, self.stride)
        columns = patches.transpose(0, 1).reshape(patches.shape[1], -1)
        outputs = self.weight(columns)
        if self.bias is not None:
            outputs = outputs.add_(self.bias[:, None])
        return cast(Tensor, outputs.reshape(-1, inputs.shape[0], height, width).transpose(0, 1).contiguous())


def matrix_forms(layer: nn.Module) -> dict[str, nn.Module]:
    """Return the sparse executions that can replace `layer`: `csr`, and `bsr` where whole blocks are zero."""
    if not isinstance(layer, (nn.Linear, nn.Conv2d)) or not _has_sparse_form(layer):
        return {}
    matrix = layer.weight.detach().flatten(1)
    blocks = [1]
    if matrix.shape[0] % BLOCK == 0 and matrix.shape[1] % BLOCK == 0:
        squares = matrix.reshape(matrix.shape[0] // BLOCK, BLOCK, -1, BLOCK)
        if float((squares != 0).any(dim=3).any(dim=1).double().mean()) <= MOST_BLOCKS_KEPT:
            blocks.append(BLOCK)
    return {"csr" if block == 1 else "bsr": _sparse(layer, block) for block in blocks}


def _has_sparse_form(layer: nn.Linear | nn.Conv2d) -> bool:
    """Whether the layer is exactly torch's own, single or double precision, and without groups or odd padding."""
    if type(layer) not in (nn.Linear, nn.Conv2d) or layer.weight.dtype not in (torch.float32, torch.float64):
        return False
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return True


def _sparse(layer: nn.Linear | nn.Conv2d, block: int) -> nn.Module:
    return SparseLinear(layer, block) if isinstance(layer, nn.Linear) else SparseConv2d(layer, block)
