"""Every execution of a layer that leaves its zeros out: torch's sparse matrices, strips, sparse tensor cores."""

from __future__ import annotations

from torch import nn

from prunegap.trained.execute.semi_structured import two_of_four
from prunegap.trained.execute.sparse_layers import matrix_forms
from prunegap.trained.execute.striped_linear import striped


def sparse_forms(layer: nn.Module) -> dict[str, nn.Module]:
    """Return the executions that can replace `layer`, by name.

    `csr`; `bsr` where whole blocks are zero; `strips` (prunegap's own product) on the processor; `2:4` on a GPU.
    """
    others = {"strips": striped(layer), "2:4": two_of_four(layer)}
    return matrix_forms(layer) | {name: form for name, form in others.items() if form is not None}
