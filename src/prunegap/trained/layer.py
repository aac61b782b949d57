"""A Linear or Conv layer as matrices: its weight (groups, out, in), its input rows and its output rows.

A convolution is a Linear layer over unfolded patches, in the order (channel, kernel position); each of its groups is
a layer of its own.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]
Layer = nn.Linear | nn.Conv1d | nn.Conv2d
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def layers(model: nn.Module) -> dict[str, Layer]:
    """Return the Linear, Conv1d and Conv2d layers by module name; a shared module under its first name only."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}


def shared(model: nn.Module) -> list[tuple[str, str]]:
    """Return each layer whose weight another module holds too (tied embeddings, twins), with that parameter's name.

    Such a weight serves two readers, so pruning or repairing it for one would change the other.
    """
    holders: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        holders.setdefault(id(parameter), []).append(name)
    found = layers(model)
    seen = {id(module): name for name, module in reversed(list(model.named_modules(remove_duplicate=False)))}
    told = []
    for name, layer in found.items():
        # The same module under two names is one layer that runs twice: its readers are one.
        others = [h for h in holders[id(layer.weight)] if seen[id(model.get_submodule(h.rpartition(".")[0]))] != name]
        if others:
            told.append((name, others[0]))
    return told


def groups_of(layer: Layer) -> int:
    """Return the number of groups of a convolution, 1 for Linear."""
    return 1 if isinstance(layer, nn.Linear) else layer.groups


def weight_matrix(layer: Layer) -> Array:
    """Return the weight as float64 of shape (groups, out / groups, in / groups * kernel)."""
    weight = layer.weight.detach().double().cpu().numpy()
    groups = groups_of(layer)
    return np.asarray(weight.reshape(groups, weight.shape[0] // groups, -1))


def set_weight(layer: Layer, matrix: NDArray[np.generic]) -> None:
    """Write a matrix (groups, out, in) back into the layer, in its dtype."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(matrix)).reshape(layer.weight.shape))


def columns_of(layer: Layer, channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the matrix columns that input channels (units, k) feed, (units, k * kernel); for one group only."""
    kernel = 1 if isinstance(layer, nn.Linear) else int(np.prod(layer.kernel_size))
    spread = channels[:, :, None] * kernel + np.arange(kernel)
    return np.asarray(spread.reshape(channels.shape[0], -1))


def input_rows(layer: Layer, value: torch.Tensor) -> torch.Tensor:
    """Return the layer's input as (samples, positions, groups, in): what each output position reads."""
    if isinstance(layer, nn.Linear):
        return value.reshape(value.shape[0], -1, 1, value.shape[-1])
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = nn.functional.pad(value, layer._reversed_padding_repeated_twice, mode=mode)
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if isinstance(layer, nn.Conv1d):
        padded = padded.unsqueeze(2)
        kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
    patches = nn.functional.unfold(padded, kernel, dilation=dilation, stride=stride)
    samples, _, positions = patches.shape
    return patches.reshape(samples, layer.groups, -1, positions).permute(0, 3, 1, 2)


def output_rows(layer: Layer, value: torch.Tensor) -> torch.Tensor:
    """Return the layer's output as (samples, positions, groups, out / groups)."""
    if isinstance(layer, nn.Linear):
        return value.reshape(value.shape[0], -1, 1, value.shape[-1])
    flat = value.reshape(value.shape[0], layer.groups, value.shape[1] // layer.groups, -1)
    return flat.permute(0, 3, 1, 2)
