"""Pruning whole models: masks, exact removal, one-sample calibration, errors that fall as solvers get better."""

import numpy as np
import pytest
import torch

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Block, NOfM, Weight
from prunegap.trained.calibrate import Calibration
from prunegap.trained.finetune import finetune
from prunegap.trained.layer import layers, weight_matrix
from prunegap.trained.prune import prune_weights
from prunegap.trained.prune_units import prune_units
from prunegap.trained.solve import weight_solvers
from prunegap.trained.unit_groups import sequential_groups
from trained.prune.networks import chain, images, output_error, perceptron, vectors

MODELS = [(chain, images), (perceptron, vectors)]


@pytest.mark.parametrize(("make", "data"), MODELS)
@pytest.mark.parametrize("solver", weight_solvers())
@pytest.mark.parametrize(("granularity", "keep"), [(Weight(), 0.3), (NOfM(2, 4), 0.5), (Block(3), 0.4)], ids=str)
def test_every_layer_keeps_its_fraction_and_the_model_is_a_copy(make, data, solver, granularity, keep):
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = prune_weights(model, data(), granularity, keep, solver)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name, layer in layers(pruned.model).items():
        assert not layer.weight[~pruned.masks[name]].any()
        rows = pruned.masks[name].reshape(layer.weight.shape[0], -1).numpy()
        assert granularity._admits_rows(rows).all()
        if isinstance(granularity, Weight):
            assert int(rows.sum()) == round(keep * rows.size)
        assert 0.0 <= pruned.errors[name] < 2.0
    assert all(
        torch.isfinite(value).all() for value in pruned.model.state_dict().values() if value.is_floating_point()
    )


@pytest.mark.parametrize(("make", "data"), MODELS)
def test_solvers_that_repair_beat_those_that_do_not(make, data):
    errors = dict.fromkeys(weight_solvers(), 0.0)
    for seed in range(4):
        model = make(seed)
        calibration = Calibration(model, data(192))
        for solver in weight_solvers():
            pruned = prune_weights(model, data(192), Weight(), 0.3, solver, calibration=calibration)
            errors[solver] += output_error(pruned.model, model, data(96, seed=5))
    assert errors["admm"] < errors["second_order"] < errors["magnitude"]


def test_a_layer_left_out_stays_dense_and_its_inputs_errors_are_mended():
    model = perceptron()
    pruned = prune_weights(model, vectors(), Weight(), {"0": 0.3})
    assert set(pruned.masks) == {"0"}
    assert not torch.equal(pruned.model[2].weight, model[2].weight)
    alone = perceptron()
    alone[0].load_state_dict(pruned.model[0].state_dict())
    assert output_error(pruned.model, model, vectors(96, 5)) < output_error(alone, model, vectors(96, 5))


@pytest.mark.parametrize(("make", "data"), MODELS)
@pytest.mark.parametrize("solver", ["magnitude", "obs", "local"])
def test_removed_units_contribute_nothing(make, data, solver):
    model = make()
    groups = sequential_groups(model)
    keep = {group.name: group.units // 2 for group in groups}
    pruned = prune_units(model, data(), groups, keep, solver)
    state = pruned.model.state_dict()
    for group in groups:
        kept = pruned.kept[group.name]
        assert kept.sum() == keep[group.name]
        for member in group.members:
            gone = torch.from_numpy(np.asarray(member.indices)[~kept].ravel())
            assert not state[member.parameter].index_select(member.dim, gone).any()
    if solver != "magnitude":
        assert output_error(pruned.model, model, data(64, seed=7)) < 1.0


@pytest.mark.parametrize(("make", "data"), MODELS)
def test_unit_repair_beats_magnitude_and_full_width_is_exact(make, data):
    model = make()
    groups = sequential_groups(model)
    half = {group.name: group.units // 2 for group in groups}
    errors = [
        output_error(prune_units(model, data(192), groups, half, solver).model, model, data(96, seed=5))
        for solver in ("local", "magnitude")
    ]
    assert errors[0] < errors[1]
    whole = prune_units(model, data(), groups, {group.name: group.units for group in groups})
    assert output_error(whole.model, model, data()) == 0.0


def test_duplicated_units_go_without_loss():
    model = perceptron()
    with torch.no_grad():
        model[0].weight[12:] = model[0].weight[:12]
        model[0].bias[12:] = model[0].bias[:12]
    group = sequential_groups(model)[0]
    pruned = prune_units(model, vectors(200), [group], {group.name: 12})
    assert output_error(pruned.model, model, vectors(64, seed=9)) < 1e-4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_sample_leaves_the_model_sane(count):
    model = perceptron()
    pruned = prune_weights(model, vectors(count), Weight(), 0.5)
    assert output_error(pruned.model, model, vectors(64, seed=5)) < 2.0
    groups = sequential_groups(model)
    units = prune_units(model, vectors(count), groups, {group.name: group.units // 2 for group in groups})
    assert output_error(units.model, model, vectors(64, seed=5)) < 2.0


def test_same_seed_same_bits():
    pair = [prune_weights(chain(), images(), Weight(), 0.3).model.state_dict() for _ in range(2)]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])


def test_a_silent_layer_is_handled():
    model = perceptron()
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    pruned = prune_weights(model, vectors(), Weight(), 0.5)
    assert np.isfinite(weight_matrix(pruned.model[2])).all()


def test_bias_moves_into_the_batch_norm():
    """A convolution without a bias lets the batch norm behind it carry the mean that pruning took away."""
    model, batches = chain(), [batch + 1.0 for batch in images(96)]
    pruned = prune_weights(model, batches, Weight(), {"0": 0.3})
    with torch.no_grad():
        shift = model[:2](torch.cat(batches)).mean((0, 2, 3)) - pruned.model[:2](torch.cat(batches)).mean((0, 2, 3))
    assert float(shift.abs().max()) < 1e-3


def test_finetuning_keeps_the_mask_and_helps():
    model, batches = perceptron(), vectors(96)
    pruned = prune_weights(model, batches, Weight(), 0.3, "magnitude")
    tuned = finetune(pruned.model, model, batches, steps=30, learning_rate=1e-3, masks=pruned.masks)
    assert all(not tuned.get_submodule(n).weight[~mask].any() for n, mask in pruned.masks.items())
    assert output_error(tuned, model, batches) < output_error(pruned.model, model, batches)
    again = finetune(pruned.model, model, batches, steps=30, learning_rate=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(tuned.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_fine_tuning_in_half_precision_is_that_in_single_precision_rounded(precision):
    model, batches = perceptron().to(precision), [batch.to(precision) for batch in vectors()]
    pruned = prune_weights(model, batches, Weight(), 0.3, "magnitude")
    tuned = finetune(pruned.model, model, batches, steps=20, learning_rate=1e-3, masks=pruned.masks)
    assert {p.dtype for p in tuned.parameters()} == {precision}
    assert all(not tuned.get_submodule(n).weight[~mask].any() for n, mask in pruned.masks.items())
    single = finetune(
        pruned.model.float(), model.float(), [batch.float() for batch in batches], 20, 1e-3, masks=pruned.masks
    )
    assert all(torch.equal(a, b.to(precision)) for a, b in zip(tuned.parameters(), single.parameters(), strict=True))


def test_bad_names_are_named():
    with pytest.raises(BadInputError, match="nothing"):
        prune_weights(perceptron(), vectors(), Weight(), {"nothing": 0.5})
    with pytest.raises(BadInputError, match="nothing"):
        prune_units(perceptron(), vectors(), (), {"nothing": 3})
    with pytest.raises(BadInputError, match="fine-tuning"):
        finetune(perceptron(), perceptron(), [], steps=3)
    assert Calibration(perceptron(), vectors()).order == ["0", "2", "4"]
