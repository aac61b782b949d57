"""2:4 weights on tensor cores, through torch.sparse: CUDA only, half precision, shapes as the hardware wants them."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn


def two_of_four(layer: nn.Module) -> nn.Module | None:
    """Return a Linear whose 2:4 weight runs on sparse tensor cores, or None where it cannot."""
    if type(layer) is not nn.Linear or not layer.weight.is_cuda:
        return None
    weight = layer.weight.detach()
    fits = weight.dtype in (torch.float16, torch.bfloat16) and weight.shape[0] % 32 == 0 and weight.shape[1] % 64 == 0
    if not fits or int((weight.reshape(-1, 4) != 0).sum(dim=1).max()) > 2:
        return None
    copy = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, weight.device, weight.dtype)
    copy.load_state_dict(layer.state_dict())
    packed = torch.sparse.to_sparse_semi_structured(weight)
    copy.weight = nn.Parameter(cast(torch.Tensor, packed), requires_grad=False)
    return copy.requires_grad_(False)
