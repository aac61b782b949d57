"""Rivals of the weight ticket: masks obey their granularity, files hold what the table says, bits repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nn.small import SHAPE, dense_target, residual_target
from prunegap.kernels.mask_bits import decode_bits, encode_bits
from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, Neuron, NOfM, Weight, parse_granularity
from prunegap.model.outcome import Status
from prunegap.nn import (
    Comparison,
    InputSet,
    Rival,
    RivalLayer,
    SourceLayer,
    Target,
    Training,
    compare_rivals,
    dense,
    finest_ticket,
    load,
    read_rival,
    save_rival,
    select_neurons,
)
from prunegap.nn.edge_popup import hard_mask
from prunegap.nn.rival import mask_shapes

X = torch.rand((120, 6), generator=torch.Generator().manual_seed(5))
Y = (X.sum(1) * 4 / 6).long()


def sources(target: Target, width: int = 6, seed: int = 3) -> dict[str, SourceLayer]:
    """Return sources at scale 1."""
    return {step.name: SourceLayer(step.shape, seed, k, width, 0) for k, step in enumerate(target.graph.layers)}


def random_rival(target: Target, granularity: str, seed: int = 0) -> Rival:
    """Return random masks of a granularity."""
    generator, kind = torch.Generator().manual_seed(seed), parse_granularity(granularity)
    layers = {}
    for name, source in sources(target).items():
        shapes = mask_shapes(source, kind)
        masks = tuple(hard_mask(torch.rand(s, generator=generator), kind, 0.4).numpy() for s in shapes)
        layers[name] = RivalLayer(source, kind, masks)
    return Rival(target.graph, layers, "chance", target.digest())


@pytest.fixture(scope="module")
def table() -> Comparison:
    """Return a small table with everything in it."""
    return compare_rivals(
        dense_target(), X, Y, epsilon=0.05, learn=("labels", "target"), training=Training(steps=20, batch=32)
    )


@pytest.mark.parametrize("group", [1, 4, 7])
@pytest.mark.parametrize("chance", [0.0, 0.03, 0.5, 1.0])
def test_bits_survive_their_code_and_take_their_entropy(group: int, chance: float) -> None:
    bits = (np.random.default_rng(1).random(7000) < chance).astype(np.uint8)
    code = np.zeros(2 * bits.size + 16, dtype=np.uint8)
    length = encode_bits(bits, group, code)
    back = np.zeros_like(bits)
    decode_bits(code[:length].copy(), group, back)
    assert (back == bits).all()
    kept = bits.mean()
    entropy = 0.0 if kept in (0.0, 1.0) else -(kept * np.log2(kept) + (1 - kept) * np.log2(1 - kept))
    assert 8 * length <= 1.02 * entropy * bits.size + 200


def test_two_of_four_take_the_bits_of_their_choices() -> None:
    bits = hard_mask(torch.rand((50, 400), generator=torch.Generator().manual_seed(0)), NOfM(2, 4), 0.5)
    flat = bits.numpy().astype(np.uint8).reshape(-1)
    code = np.zeros(2 * flat.size + 16, dtype=np.uint8)
    assert 8 * encode_bits(flat, 4, code) <= 1.02 * np.log2(6) / 4 * flat.size + 200


@pytest.mark.parametrize("granularity", ["weight", "2:4", "1:3", "neuron"])
@pytest.mark.parametrize("target", [dense_target(), residual_target()])
def test_a_file_gives_back_every_bit(tmp_path: Path, target: Target, granularity: str) -> None:
    rival = random_rival(target, granularity)
    size = save_rival(tmp_path / "r", rival)
    back = read_rival(tmp_path / "r")
    assert (tmp_path / "r").stat().st_size == size
    assert (back.granularity, back.target_digest) == (rival.granularity, target.digest())
    for name, layer in rival.layers.items():
        assert layer.source == back.layers[name].source
        assert all((a == b).all() for a, b in zip(layer.masks, back.layers[name].masks, strict=True))


@pytest.mark.parametrize("granularity", ["weight", "2:4", "neuron"])
@pytest.mark.parametrize("target", [dense_target(), residual_target()])
def test_masked_weights_are_the_sources_own_or_0(target: Target, granularity: str) -> None:
    rival = random_rival(target, granularity)
    kept = 0
    for layer in rival.layers.values():
        source, pair = layer.source, layer.pair()
        drawn = [source.first_dense(), source.second_dense()]
        drawn += [source.constant_dense()] if source.constants else []
        for mine, own in zip(pair.arrays, drawn, strict=True):
            part = mine.numpy()
            assert ((part == own) | (part == 0)).all()
            kept += np.count_nonzero(part)
        if granularity == "neuron":
            first = (pair.first != 0).numpy()
            assert (first.all(axis=1) == first.any(axis=1)).all()
            channels = source.shape.inputs * source.width
            alive = first.any(axis=1)
            columns = source.shape.widened(source.width).columns(pair.second.numpy()) != 0
            assert (columns.all(axis=1) == alive[:channels]).all()
            assert (columns.any(axis=1) == alive[:channels]).all()
        elif granularity == "2:4":
            assert NOfM(2, 4)._admits_rows(pair.first.numpy() != 0).all()
            assert NOfM(2, 4)._admits_rows(pair.second.flatten(1).numpy() != 0).all()
    # A draw is never 0, so what is counted is what is there.
    assert kept == rival.kept_weights
    assert rival.kept_weights < rival.source_weights == sum(s.source_weights for s in sources(target).values())


def test_a_masked_pair_is_two_layers_written_out() -> None:
    rival = random_rival(dense_target(), "weight")
    x = X.double()
    for step in rival.graph.steps:
        if step.is_layer:
            first, second, constant = (part.double() for part in rival.layers[step.name].pair().arrays)
            ones = torch.ones(x.shape[0], 1, dtype=torch.float64)
            x = torch.relu(torch.cat([x, ones], 1) @ first.T) @ torch.cat([second, constant], 1).T
        else:
            x = torch.relu(x)
    assert torch.allclose(rival.module()(X).double(), x, rtol=1e-4, atol=1e-5)


def test_the_tables_numbers_are_those_of_its_files(tmp_path: Path, table: Comparison) -> None:
    table.save(tmp_path)
    target = dense_target()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    held = order[:30].sort().values
    wanted = dense(target, torch.float32)(X[held]).double()
    assert [row.status for row in table.rows] == [Status.FOUND] * 8
    assert {path.name for path in tmp_path.iterdir()} == {row.file for row in table.rows}
    for row in table.rows:
        path = tmp_path / row.file
        assert path.stat().st_size == row.bytes
        module = load(path) if row.method == "subset sums" else read_rival(path).module()
        apart = module(X[held]).double() - wanted
        assert row.relative_error == pytest.approx(float(apart.norm() / wanted.norm()), rel=1e-5)
        assert row.greatest_error == pytest.approx(float(apart.abs().max()), rel=1e-5)
        assert row.accuracy == float((module(X[held]).argmax(1) == Y[held]).double().mean())
        if row.method != "subset sums":
            rival = read_rival(path)
            assert row.granularity == rival.granularity.name
            assert row.kept_fraction == rival.kept_weights / rival.source_weights
            assert row.width == max(layer.source.width for layer in rival.layers.values())
    assert json.loads(json.dumps(table.as_object()))["rows"][1]["method"] == "neuron selection"


def test_one_source_serves_every_row_and_the_proof_covers_what_is_measured(table: Comparison, tmp_path: Path) -> None:
    table.save(tmp_path)
    widths = {row.width for row in table.rows}
    assert len(widths) == 1
    drawn = {
        layer.source.first_dense().tobytes()
        for row in table.rows[1:]
        for layer in [read_rival(tmp_path / row.file).layers["0"]]
    }
    assert len(drawn) == 1
    assert table.rows[0].greatest_error <= table.rows[0].proven_error
    assert table.rows[0].relative_error < min(row.relative_error for row in table.rows[1:])


def test_the_same_seed_gives_the_same_files(table: Comparison) -> None:
    again = compare_rivals(
        dense_target(), X, Y, epsilon=0.05, learn=("labels", "target"), training=Training(steps=20, batch=32)
    )
    assert again.files == table.files


def test_what_cannot_finish_is_a_status() -> None:
    rows = compare_rivals(dense_target(), X, Y, epsilon=1e-4, widths=(2,), seconds=0.0).rows
    assert [row.status for row in rows] == [Status.IMPOSSIBLE] + [Status.UNDECIDED] * 4
    assert all(row.reason and row.bytes is None and row.relative_error is None for row in rows)


def test_the_finest_ticket_of_a_width_gets_finer_with_width() -> None:
    made = [finest_ticket(dense_target(), width, 3, InputSet()).ticket for width in (1, 8, 40)]
    assert all(ticket is not None for ticket in made)
    assert made[0].epsilon > made[1].epsilon > made[2].epsilon
    assert {layer.source.width for layer in made[1].layers.values()} == {8}


def test_damage_and_bad_input_are_named(tmp_path: Path) -> None:
    target = dense_target()
    save_rival(tmp_path / "r", random_rival(target, "neuron"))
    content = bytearray((tmp_path / "r").read_bytes())
    for place in range(0, len(content), 37):
        damaged = content.copy()
        damaged[place] ^= 1
        (tmp_path / "d").write_bytes(damaged)
        with pytest.raises(BadInputError, match=r"d"):
            read_rival(tmp_path / "d")
    (tmp_path / "d").write_bytes(content[:-3])
    with pytest.raises(BadInputError):
        read_rival(tmp_path / "d")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_rival(tmp_path / "none")
    layer = next(iter(random_rival(target, "neuron").layers.values()))
    with pytest.raises(BadInputError, match="does not fit"):
        replace(layer, masks=(layer.masks[0][1:],))
    with pytest.raises(BadInputError, match="block:2"):
        mask_shapes(layer.source, Block(2))
    for options in ({"learn": ("nothing",)}, {"held_out": 1.0}, {"learned": ("block:2",)}):
        with pytest.raises(BadInputError):
            compare_rivals(target, X, Y, epsilon=0.5, training=Training(steps=1), **options)
    with pytest.raises(BadInputError, match="labels"):
        compare_rivals(target, X, Y[1:])
    assert mask_shapes(layer.source, Weight())[0] == (layer.source.hidden, layer.source.blocks)


def test_neurons_of_convolutions_are_fitted_as_they_run() -> None:
    target, images = residual_target(), torch.rand((40, *SHAPE), generator=torch.Generator().manual_seed(2))
    found = select_neurons(target, sources(target, 12), images, rows=400)
    assert found.rival is not None
    assert isinstance(found.rival.granularity, Neuron)
    # Recompute the first layer's fit from all positions of the running network: a sample must come near it.
    wanted = dense(target, torch.float32).activations(images)["first"]
    given = found.rival.module().activations(images)["first"]
    assert float((given - wanted).norm() / wanted.norm()) == pytest.approx(found.fits[0].error, rel=0.1)
