"""What the unit solvers need to know about a group of coupled dimensions, however it was found.

prunegap.trained.structure.trace finds groups in any model; `sequential_groups` lists those of a plain chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.trained.layer import LAYERS, Layer, columns_of, groups_of, layers

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]


class Member(Protocol):
    """Unit u owns `indices[u]` along `dim` of the state entry `parameter`; role is out, in or along."""

    @property
    def parameter(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def indices(self) -> Indices: ...
    @property
    def role(self) -> str: ...


class Group(Protocol):
    """Coupled dimensions whose units are removed together."""

    @property
    def name(self) -> str: ...
    @property
    def units(self) -> int: ...
    @property
    def members(self) -> Sequence[Member]: ...


@dataclass(frozen=True, eq=False)
class UnitMember:
    """One place where a group's units live; see Member."""

    parameter: str
    dim: int
    indices: Indices
    role: str


@dataclass(frozen=True, eq=False)
class UnitGroup:
    """A group given by hand; see Group."""

    name: str
    units: int
    members: tuple[UnitMember, ...]


def reading_columns(group: Group, found: Mapping[str, Layer]) -> dict[str, Indices]:
    """Return, for each Linear or Conv layer (one conv group) that reads the units, their columns (units, k)."""
    columns: dict[str, list[Indices]] = {}
    for member in group.members:
        name = member.parameter.removesuffix(".weight")
        layer = found.get(name)
        if member.role == "in" and member.dim == 1 and layer is not None and groups_of(layer) == 1:
            columns.setdefault(name, []).append(columns_of(layer, np.asarray(member.indices)))
    return {name: np.concatenate(parts, axis=1) for name, parts in columns.items()}


def remove_units(model: nn.Module, group: Group, kept: Bools) -> None:
    """Zero every entry of the removed units in the model's parameters and buffers, in place."""
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for member in group.members:
            gone = torch.from_numpy(np.asarray(member.indices)[~kept].ravel())
            if member.parameter in state and gone.numel():
                value = state[member.parameter]
                value.index_fill_(member.dim, gone.to(value.device), 0.0)


def sequential_groups(model: nn.Sequential) -> tuple[UnitGroup, ...]:
    """Return one group for every Linear or Conv output of a plain chain that a later Linear or Conv reads.

    Batch norms between belong to the group; a flattened channel owns as many features as it has positions.
    """
    groups: list[UnitGroup] = []
    made: tuple[str, int, list[UnitMember]] | None = None
    for name, module in layers_and_norms(model):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            if made is not None:
                each = np.arange(made[1])[:, None]
                names = ("weight", "bias", "running_mean", "running_var")
                made[2].extend(UnitMember(f"{name}.{entry}", 0, each, "along") for entry in names)
            continue
        assert isinstance(module, LAYERS)
        outputs, inputs = module.weight.shape[:2]
        if made is not None:
            read = np.arange(inputs).reshape(made[1], -1)
            members = (*made[2], UnitMember(f"{name}.weight", 1, read, "in"))
            groups.append(UnitGroup(made[0], made[1], members))
        each = np.arange(outputs)[:, None]
        entries = ["weight"] + (["bias"] if module.bias is not None else [])
        made = (
            name,
            outputs,
            [UnitMember(f"{name}.{e}", 0, each, "out" if e == "weight" else "along") for e in entries],
        )
    return tuple(groups)


def layers_and_norms(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers and batch norms by name, in module order."""
    found = layers(model)
    return [(n, m) for n, m in model.named_modules() if n in found or isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
