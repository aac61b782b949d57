"""Scores of units equal sums taken entry by entry; Taylor without a loss is the gradient of the output energy."""

import numpy as np
import pytest
import torch

from prunegap.model.errors import BadInputError
from prunegap.trained.prune_units import prune_units
from prunegap.trained.unit_groups import sequential_groups
from prunegap.trained.unit_scores import magnitude_scores, taylor_scores
from trained.prune.networks import output_error, perceptron, vectors


def test_magnitude_sums_every_entry_of_a_unit():
    model = perceptron()
    scores = magnitude_scores(model, sequential_groups(model))["0"]
    unit = 5
    with torch.no_grad():
        parts = (model[0].weight[unit], model[0].bias[unit], model[2].weight[:, unit])
        assert scores[unit] == pytest.approx(float(sum((part.double() ** 2).sum() for part in parts)))


def test_taylor_is_the_gradient_of_the_output_energy_by_differences():
    model, batch = perceptron().double(), vectors()[0].double()
    groups = sequential_groups(model)
    scores = taylor_scores(model, groups[1:], [batch])["2"]
    unit, step, total = 3, 1e-6, 0.0
    for tensor, places in ((model[2].weight, [(unit, i) for i in range(24)]), (model[2].bias, [(unit,)])):
        total += sum(slope(model, batch, tensor, place, step) for place in places)
    total += sum(slope(model, batch, model[4].weight, (i, unit), step) for i in range(4))
    assert scores[unit] == pytest.approx(total, rel=1e-3)


def slope(model, batch, tensor, place, step):
    """(weight * central difference of the mean squared output)^2."""
    with torch.no_grad():
        before, values = float(tensor[place]), []
        for sign in (1, -1):
            tensor[place] = before + sign * step
            values.append(float((model(batch) ** 2).mean()))
        tensor[place] = before
    return (before * (values[0] - values[1]) / (2 * step)) ** 2


def test_the_solvers_use_the_scores():
    model, batches = perceptron(), vectors(96)
    groups = sequential_groups(model)
    keep = {group.name: group.units // 2 for group in groups}
    scores = taylor_scores(model, groups, batches)
    pruned = {name: prune_units(model, batches, groups, keep, name, scores) for name in ("taylor", "taylor_repair")}
    for group in groups:
        best = np.sort(np.argsort(-scores[group.name])[: keep[group.name]])
        for result in pruned.values():
            np.testing.assert_array_equal(np.flatnonzero(result.kept[group.name]), best)
    errors = {name: output_error(result.model, model, vectors(96, 5)) for name, result in pruned.items()}
    assert errors["taylor_repair"] < errors["taylor"]


def test_a_poisoned_loss_is_named():
    model = perceptron()
    with pytest.raises(BadInputError, match="gradient"):
        taylor_scores(model, sequential_groups(model), vectors(), lambda m, b: m(b).sum() * float("nan"))
