"""A Linear layer whose zeros cost nothing on the processor, by prunegap's own product (`kernels.sparse_product`).

torch's sparse product fetches each sample row from the second cache; here it comes from the first. One thread, single
precision; anything else that is asked of the layer (gradients, other devices or precisions, tracing) is computed with
the dense weight.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from prunegap.kernels.sparse_product import LANES, Strips, product, strips_of, tiled_columns, tiled_rows, whole_matrix
from prunegap.trained.execute.derived import Derived


class StripedWeight(Derived):
    """A matrix of shape (rows, columns), cut into strips of columns; index type int32."""

    starts: Tensor
    places: Tensor
    values: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        parts = strips_of(np.ascontiguousarray(matrix.detach().numpy(), dtype=np.float32))
        for name, part in zip(("starts", "places", "values"), parts, strict=True):
            self.register_buffer(name, torch.from_numpy(part))
        self.columns = matrix.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.starts.shape[1] - 1, self.columns

    @property
    def stored(self) -> int:
        """How many numbers are multiplied."""
        return self.values.numel()

    def strips(self) -> Strips:
        """Return the parts as arrays in single precision."""
        if "strips" not in self.derived:
            values = self.values.detach().float().cpu().numpy()
            self.derived["strips"] = self.starts.cpu().numpy(), self.places.cpu().numpy(), values
        return cast(Strips, self.derived["strips"])

    def dense(self) -> Tensor:
        """Return the matrix with its zeros, made when it is first needed."""
        if "dense" not in self.derived:
            self.derived["dense"] = torch.from_numpy(whole_matrix(self.strips(), self.columns)).to(self.values)
        return cast(Tensor, self.derived["dense"])


class StripedLinear(nn.Module):
    """y = x W^T + b, the same function as the Linear it is made from."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = StripedWeight(layer.weight)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of shape (..., out_features) for inputs of shape (..., in_features)."""
        if not self._is_plain(inputs):
            return functional.linear(inputs, self.weight.dense(), self.bias)
        rows = inputs.reshape(-1, inputs.shape[-1])
        samples, columns = rows.shape
        padded = -(-samples // LANES) * LANES
        tiles = np.empty(padded * columns, dtype=np.float32)
        if rows.is_contiguous() or not rows.t().is_contiguous():
            tiled_rows(rows.contiguous().numpy(), tiles)
        else:
            tiled_columns(rows.t().numpy(), tiles)
        strips, bias = self._arrays()
        outputs = torch.empty(bias.size, padded)
        product(*strips, tiles, bias, outputs.numpy())
        return outputs[:, :samples].t().reshape(*inputs.shape[:-1], bias.size)

    def _arrays(self) -> tuple[Strips, NDArray[np.float32]]:
        """Return the weight and the bias as the kernel takes them; views, so that they follow what is loaded."""
        strips = self.weight.strips()
        return strips, np.zeros(self.weight.shape[0], np.float32) if self.bias is None else self.bias.detach().numpy()

    def _is_plain(self, inputs: Tensor) -> bool:
        """Whether the kernel may have these inputs."""
        if type(inputs) is not Tensor or inputs.dtype != torch.float32 or self.weight.values.dtype != torch.float32:
            return False
        if inputs.is_cuda or inputs.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        return not (torch.is_grad_enabled() and inputs.requires_grad) and inputs.numel() > 0


def striped(layer: nn.Module) -> nn.Module | None:
    """Return the layer as its strips, or None where it has no such form: other kinds, precisions or devices."""
    if type(layer) is not nn.Linear or layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu":
        return None
    return StripedLinear(layer)
