"""Groups of coupled dimensions: units that live at the same places of the same parameters form one group.

A unit's *signature* is the list of (parameter, dimension, how often) where it occurs. The channels of one layer
share a signature, wherever they flow; two layers whose outputs are concatenated do not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.trained.structure import rules_algebra, rules_pointwise, rules_shape
from prunegap.trained.structure.graph import Flat, flatten
from prunegap.trained.structure.labels import Propagation
from prunegap.trained.structure.units import Label

Keep = Mapping[str, NDArray[np.bool_]]
_RULES = (rules_algebra, rules_pointwise, rules_shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """Unit u owns `indices[u]` (units, per_unit) along dimension `dim` of the state entry `parameter`.

    role: "out" rows produce the unit, "in" columns read it, "along" is a bias, norm, scale or buffer.
    """

    parameter: str
    dim: int
    indices: NDArray[np.int64]
    role: str


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Units that can be removed one by one, each at all of its places at once."""

    name: str
    units: int
    members: tuple[Member, ...]
    ids: NDArray[np.int64]

    @property
    def producers(self) -> tuple[str, ...]:
        return tuple(m.parameter.rpartition(".")[0] for m in self.members if m.role == "out")

    @property
    def consumers(self) -> tuple[str, ...]:
        return tuple(m.parameter.rpartition(".")[0] for m in self.members if m.role == "in")


@dataclasses.dataclass(frozen=True)
class Fixed:
    """A dimension of a parameter that keeps (some of) its width, and why."""

    parameter: str
    dim: int
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class Structure:
    """A traced model: its graph, the groups that can be pruned and what is fixed."""

    flat: Flat
    labels: Propagation
    groups: tuple[Group, ...]
    fixed: tuple[Fixed, ...]
    inputs: tuple[torch.Tensor, ...]
    named: Mapping[str, torch.Tensor]

    @property
    def free_batch(self) -> bool:
        return self.flat.free_batch

    def removed(self, keep: Keep) -> NDArray[np.bool_]:
        """Whether each unit number is removed; BadInputError for a mask that fits no group or keeps nothing."""
        groups = {group.name: group for group in self.groups}
        gone = np.zeros(self.labels.units.count, dtype=np.bool_)
        for name, mask in keep.items():
            if name not in groups:
                raise BadInputError(
                    f"keep[{name!r}]", "names no prunable group", "see structure.groups for the names"
                )
            mask = np.asarray(mask)
            if mask.dtype != np.bool_ or mask.shape != (groups[name].units,):
                rule = f"is {mask.dtype} of shape {mask.shape}, not bool of shape ({groups[name].units},)"
                raise BadInputError(f"keep[{name!r}]", rule, "give one truth value a unit")
            if not mask.any():
                raise BadInputError(f"keep[{name!r}]", "keeps nothing", "keep at least one unit of every group")
            gone[groups[name].ids[~mask]] = True
        return gone

    def kept(self, label: Label, size: int, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which indices of a dimension of this size stay."""
        units = self.labels.units.resolve(label)
        return np.ones(size, dtype=np.bool_) if units is None else np.logical_not(gone[units].any(axis=0))


def trace(
    model: nn.Module,
    inputs: torch.Tensor | Sequence[torch.Tensor],
    named: Mapping[str, torch.Tensor] | None = None,
    free_dims: Sequence[int] = (0,),
) -> Structure:
    """Find the prunable groups of model(*inputs, **named) in eval mode; the model is not modified.

    inputs: example tensors; their dimensions `free_dims` stay free in the shrunk model where the code allows it.
    Guaranteed: units of different groups can be removed in any combination that keeps one unit a group. Raises
    BadInputError naming the layer when the model cannot be traced.
    """
    given = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    flat = flatten(model, given, free_dims, named)
    labels = Propagation(flat)
    return Structure(flat, labels, _groups(labels), _fixed(flat, labels), given, dict(named or {}))


def _groups(labels: Propagation) -> tuple[Group, ...]:
    places = [
        _Place(name, d, *_owners(units))
        for name, dims in labels.parameters.items()
        for d, label in enumerate(dims.labels)
        if (units := labels.units.resolve(label)) is not None
    ]
    alike = _alike(places, labels.units.count)
    members: dict[int, list[tuple[_Place, NDArray[np.int64]]]] = {}
    for place in places:
        kinds = alike[place.units]
        for kind in np.unique(kinds).tolist():
            members.setdefault(kind, []).append((place, np.flatnonzero(kinds == kind)))
    groups, used = [], dict[str, int]()
    for found in members.values():
        ids = found[0][0].units[found[0][1]]
        first = found[0][0]
        unread = len(found) == 1 and (first.name, first.dim) not in labels.roles
        if len(ids) > 1 and not unread:  # a single unit is all there is; unread rows of a table serve other inputs
            groups.append(_group(labels, ids, found, used))
    return tuple(groups)


@dataclasses.dataclass(frozen=True, eq=False)
class _Place:
    """One dimension of one tensor: unit units[k] owns indices[starts[k] : starts[k] + counts[k]].

    `layers` tells the factors of a product apart, which may have equal counts (4 heads of 4).
    """

    name: str
    dim: int
    units: NDArray[np.int64]
    indices: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    layers: NDArray[np.int64]


def _owners(label: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The units of a label with their indices, in the order of units."""
    size = label.shape[1]
    pairs = np.unique(label * size + np.arange(size))
    owner, index = pairs // size, pairs % size
    owner, index = owner[owner > 0], index[owner > 0]
    units, starts, counts = np.unique(owner, return_index=True, return_counts=True)
    present, first = np.unique(label, return_index=True)
    return units, index, starts, counts, first[present > 0] // size


def _alike(places: Sequence[_Place], count: int) -> NDArray[np.int64]:
    """A number for each unit, equal for units with equal signatures."""
    kind = np.zeros(count, dtype=np.int64)
    for place in places:
        seen = np.stack([kind[place.units], place.counts, place.layers])
        _, inverse = np.unique(seen, axis=1, return_inverse=True)
        kind[place.units] = int(kind.max()) + 1 + inverse
    return kind


def _group(
    labels: Propagation,
    ids: NDArray[np.int64],
    found: Sequence[tuple[_Place, NDArray[np.int64]]],
    used: dict[str, int],
) -> Group:
    members = []
    for place, rows in found:
        where = place.starts[rows][:, None] + np.arange(place.counts[rows[0]])
        role = labels.roles.get((place.name, place.dim), "along")
        members.append(Member(place.name, place.dim, place.indices[where], role))
    name = next((m for m in members if m.role == "out"), members[0]).parameter.removesuffix(".weight")
    used[name] = used.get(name, 0) + 1
    return Group(name if used[name] == 1 else f"{name}#{used[name]}", len(ids), tuple(members), ids)


def _fixed(flat: Flat, labels: Propagation) -> tuple[Fixed, ...]:
    out = []
    for name, dims in labels.parameters.items():
        for d, label in enumerate(dims.labels):
            reason = labels.units.reason(label)
            if name in flat.parameters and reason and "slides along" not in reason:
                units = labels.units.resolve(label)
                part = "" if units is None else f"{int((units == 0).all(axis=0).sum())} of {dims.shape[d]}: "
                if units is None or (units == 0).all(axis=0).any():
                    out.append(Fixed(name, d, part + reason))
    return tuple(out)


def round_keep(
    structure: Structure, keep: Keep, multiple: int = 8, scores: Mapping[str, NDArray[np.floating]] | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Raise kept widths to the next multiple of `multiple` indices (8: what vector units and tensor cores like).

    Removed units come back in the order of `scores` (largest first; else in index order). A unit that owns a run of s
    neighbouring indices, say a head of 64, counts s, so heads need no rounding.
    """
    if multiple < 1:
        raise BadInputError(f"multiple={multiple}", "is not positive", "use 1 for no rounding")
    out = {name: np.array(mask, dtype=np.bool_) for name, mask in keep.items()}
    structure.removed(keep)
    for group in structure.groups:
        if group.name in out:
            mask = out[group.name]
            step = multiple // np.gcd(multiple, _run(group))
            wanted = min(group.units, int(-(-int(mask.sum()) // step) * step))
            score = np.zeros(group.units) if scores is None else np.asarray(scores[group.name], dtype=np.float64)
            back = np.flatnonzero(~mask)
            back = back[np.argsort(-score[back], kind="stable")][: wanted - int(mask.sum())]
            mask[back] = True
    return out


def _run(group: Group) -> int:
    """The shortest run of neighbouring indices that a unit owns in a weight: 64 for a head, 1 for a channel."""
    weights = [m for m in group.members if m.role != "along"] or group.members
    return min(int(np.argmax(np.r_[np.diff(m.indices[0]) != 1, True])) + 1 for m in weights)
