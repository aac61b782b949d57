"""Edge-popup: masks obey their granularity, beat chance, repeat by seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nn.small import SHAPE, dense_target, residual_target
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import NOfM, parse_granularity
from prunegap.nn import Rival, RivalLayer, SourceLayer, Target, Training, dense, learn_masks
from prunegap.nn.edge_popup import hard_mask

X = torch.rand((300, 6), generator=torch.Generator().manual_seed(5))


def sources(target: Target, width: int) -> dict[str, SourceLayer]:
    """Return sources at scale 1."""
    return {step.name: SourceLayer(step.shape, 3, k, width, 0) for k, step in enumerate(target.graph.layers)}


def learned(granularity: str, labels: torch.Tensor | None = None, **options: float) -> Rival:
    """Return masks learned on the small network."""
    target = dense_target()
    training = Training(steps=120, batch=64, **options)
    rival = learn_masks(target, sources(target, 16), X, labels, parse_granularity(granularity), training)
    assert rival is not None
    return rival


def error(rival: Rival) -> float:
    """Return the relative output error."""
    wanted = dense(dense_target(), torch.float32)(X)
    return float((rival.module()(X) - wanted).norm() / wanted.norm())


def by_chance(rival: Rival, seed: int) -> Rival:
    """Return random masks of the same granularity, kept fraction and scales."""
    generator, kind = torch.Generator().manual_seed(seed), rival.granularity
    layers = {}
    for name, layer in rival.layers.items():
        fractions = [mask.mean() for mask in layer.masks]
        masks = tuple(
            hard_mask(torch.rand(mask.shape, generator=generator), kind, fraction).numpy()
            for mask, fraction in zip(layer.masks, fractions, strict=True)
        )
        layers[name] = RivalLayer(layer.source, kind, masks)
    return replace(rival, layers=layers)


@pytest.mark.parametrize("granularity", ["weight", "2:4", "neuron"])
def test_learned_masks_beat_random_masks_of_the_same_kept_fraction(granularity: str) -> None:
    rival = learned(granularity)
    chance = [by_chance(rival, seed) for seed in range(10)]
    if granularity == "weight":
        assert all(other.kept_weights == rival.kept_weights for other in chance)
    assert error(rival) < 0.7 * min(error(other) for other in chance)


def test_labels_are_learned() -> None:
    classes = (X[:, 0] > X[:, 1]).long() + 2 * (X[:, 2] > X[:, 3]).long()
    rival = learned("weight", classes)
    right = float((rival.module()(X).argmax(1) == classes).double().mean())
    assert right > 0.7
    assert right > max(
        float((by_chance(rival, s).module()(X).argmax(1) == classes).double().mean()) for s in range(10)
    )


@pytest.mark.parametrize("granularity", ["weight", "2:4", "3:8", "neuron"])
def test_masks_keep_what_their_granularity_allows(granularity: str) -> None:
    rival = learned(granularity, keep_fraction=0.3)
    for layer in rival.layers.values():
        for mask in layer.masks:
            if isinstance(rival.granularity, NOfM):
                assert rival.granularity._admits_rows(mask).all()
                full = mask[:, : mask.shape[1] // rival.granularity.group * rival.granularity.group]
                assert full.sum() == full.size * rival.granularity.kept // rival.granularity.group
            else:
                assert mask.sum() == max(1, round(0.3 * mask.size))


def test_hard_masks_take_the_largest() -> None:
    sizes = torch.rand((7, 10), generator=torch.Generator().manual_seed(0))
    kept = hard_mask(sizes, parse_granularity("weight"), 0.3)
    assert sizes[kept].min() > sizes[~kept].max()
    grouped = hard_mask(sizes, NOfM(1, 4), 0.5).numpy()
    for row in range(7):
        for start in (0, 4, 8):
            part = slice(start, min(start + 4, 10))
            assert np.flatnonzero(grouped[row, part]).tolist() == [int(sizes[row, part].argmax())]


def test_the_same_seed_gives_the_same_masks_and_another_seed_others() -> None:
    one, two, other = (learned("weight", seed=seed) for seed in (1, 1, 2))
    for name, layer in one.layers.items():
        assert all((a == b).all() for a, b in zip(layer.masks, two.layers[name].masks, strict=True))
    assert any((a != b).any() for a, b in zip(one.layers["0"].masks, other.layers["0"].masks, strict=True))


@pytest.mark.parametrize("granularity", ["weight", "2:4", "neuron"])
def test_convolutions_with_groups_and_residual_sums_are_learned_too(granularity: str) -> None:
    target, x = residual_target(), torch.rand((32, *SHAPE), generator=torch.Generator().manual_seed(1))
    training = Training(steps=3, batch=16)
    rival = learn_masks(target, sources(target, 4), x, None, parse_granularity(granularity), training)
    assert rival is not None
    assert rival.module()(x).shape == (32, 3)


@pytest.mark.parametrize(
    "options", [{"keep_fraction": 0.0}, {"keep_fraction": 1.5}, {"steps": 0}, {"step_size": -1.0}]
)
def test_bad_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(BadInputError):
        Training(**options)


def test_out_of_time_is_no_mask() -> None:
    target = dense_target()
    assert learn_masks(target, sources(target, 4), X, None, parse_granularity("weight"), seconds=0.0) is None
