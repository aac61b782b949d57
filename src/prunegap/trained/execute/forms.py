"""All executions of a layer that leave its zeros out: sparse matrices, and the sparse tensor cores of a GPU."""

from __future__ import annotations

from torch import nn

from prunegap.trained.execute.semi_structured import two_of_four
from prunegap.trained.execute.sparse_layers import matrix_forms


def sparse_forms(layer: nn.Module) -> dict[str, nn.Module]:
    """Return the executions that can replace `layer`: `csr`, `bsr` where whole blocks are zero, `2:4` on a GPU."""
    packed = two_of_four(layer)
    return matrix_forms(layer) if packed is None else {**matrix_forms(layer), "2:4": packed}
