"""Laws of shrinking: for any masks small and masked agree, removed units are gone, the model is untouched."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from prunegap.trained.structure import Structure, agreement, count, masked, round_keep, shrunk, trace
from trained.structure.zoo import ZOO, stirred


def random_keep(structure: Structure, seed: int) -> dict[str, np.ndarray]:
    """Masks that keep from one unit to all but one, some groups whole."""
    rng = np.random.default_rng(seed)
    keep = {}
    for group in structure.groups:
        kept = rng.permutation(group.units)[: rng.integers(1, group.units + 1)]
        keep[group.name] = np.isin(np.arange(group.units), kept)
    return keep


@pytest.mark.parametrize("name", ZOO)
def test_small_agrees_with_masked(name: str) -> None:
    model, x = stirred(name)
    structure = trace(model, x)
    for seed in range(4):
        keep = random_keep(structure, seed)
        small, twin = shrunk(model, structure, keep), masked(model, structure, keep)
        assert agreement(small, twin, [x]) < 1e-10
        more = ZOO[name][1](5)
        more = more.double() if more.is_floating_point() else more
        assert agreement(small, twin, [more]) < 1e-10, "another batch size"


@pytest.mark.parametrize("name", ZOO)
def test_everything_that_can_go_is_found(name: str) -> None:
    model, x = stirred(name)
    assert sum(group.units for group in trace(model, x).groups) >= ZOO[name][2]


@pytest.mark.parametrize("name", ZOO)
def test_parameters_shrink_by_exactly_the_removed_indices(name: str) -> None:
    model, x = stirred(name)
    structure = trace(model, x)
    keep = random_keep(structure, 7)
    small = dict(shrunk(model, structure, keep).named_parameters())
    for parameter, tensor in model.named_parameters():
        stay = [torch.ones(n, dtype=torch.bool) for n in tensor.shape]
        for group in structure.groups:
            for member in group.members:
                if member.parameter == parameter:
                    stay[member.dim][member.indices[~keep[group.name]].ravel()] = False
        wanted = tensor
        for dim, kept in enumerate(stay):
            wanted = wanted.index_select(dim, kept.nonzero().ravel())
        assert torch.equal(small[parameter], wanted)


@pytest.mark.parametrize("name", ZOO)
def test_each_unit_alone_is_worth_something(name: str) -> None:
    """Masking one unit changes the output: groups are no wider than they need be, and the law above can fail."""
    model, x = stirred(name)
    structure = trace(model, x)
    for group in structure.groups:
        mask = np.ones(group.units, dtype=bool)
        mask[0] = False
        assert agreement(masked(model, structure, {group.name: mask}), model, [x]) > 1e-9, group.name


@pytest.mark.parametrize("name", ["cnn", "fused heads", "tied"])
def test_the_model_is_never_modified(name: str) -> None:
    model, x = stirred(name)
    model.train()
    before = copy.deepcopy(model.state_dict())
    structure = trace(model, x)
    keep = random_keep(structure, 1)
    shrunk(model, structure, keep)
    masked(model, structure, keep)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", ZOO)
def test_keeping_all_changes_nothing(name: str) -> None:
    model, x = stirred(name)
    structure = trace(model, x)
    small = shrunk(model, structure, {})
    assert agreement(small, model, [x]) < 1e-12
    assert count(small, [x]) == count(structure)


def test_shared_weights_stay_shared() -> None:
    model, x = stirred("tied")
    structure = trace(model, x)
    small = shrunk(model, structure, random_keep(structure, 3))
    assert [n for n, _ in small.named_parameters() if "head" in n or "embed" in n] == ["embed.weight"]
    assert small.embed.weight.shape[1] < 8 or small.hidden._modules["0"].weight.shape[0] < 14


def test_widths_are_rounded_up_by_score() -> None:
    model, x = stirred("mlp")
    structure = trace(model, x)
    first, second = structure.groups
    keep = {first.name: np.arange(20) < 9, second.name: np.arange(16) < 1}
    score = {first.name: np.arange(20.0), second.name: np.arange(16.0)}
    rounded = round_keep(structure, keep, 8, score)
    assert [int(rounded[g.name].sum()) for g in structure.groups] == [16, 8]
    assert rounded[first.name][:9].all()
    assert rounded[first.name][13:].all()
    assert not round_keep(structure, keep, 1)[first.name][9:].any()


def test_heads_of_eight_need_no_rounding() -> None:
    model, x = stirred("separate heads")
    structure = trace(model, x)
    heads = next(g for g in structure.groups if g.units == 4)
    keep = {heads.name: np.array([True, False, True, True])}
    assert int(round_keep(structure, keep)[heads.name].sum()) == 3
