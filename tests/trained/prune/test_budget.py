"""Budgets: the plan fits, is near the best of all plans, and measured curves say which layer can be spared."""

from itertools import product

import numpy as np
import pytest
import torch

from prunegap.model.errors import BadInputError
from prunegap.model.granularity import Weight
from prunegap.trained.budget import (
    Curve,
    OutputError,
    allocate,
    unit_cost,
    unit_counts,
    unit_curves,
    weight_cost,
    weight_curves,
)
from prunegap.trained.calibrate import Calibration
from prunegap.trained.layer import layers
from prunegap.trained.prune_units import prune_units
from prunegap.trained.unit_groups import sequential_groups
from trained.prune.networks import chain, output_error, perceptron, vectors


def random_curves(seed, names="abc"):
    generator = np.random.default_rng(seed)
    keeps = (0.1, 0.3, 0.6, 1.0)
    curves = {}
    for name in names:
        falls = np.sort(generator.uniform(0.0, 1.0, 3))[::-1] ** 3
        curves[name] = Curve(keeps, (*falls, 0.0))
    return curves


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.25])
def test_the_plan_spends_the_budget_and_is_near_the_best(seed, fraction):
    curves, sizes = random_curves(seed), {"a": 100.0, "b": 300.0, "c": 50.0}

    def cost(keep):
        return sum(size * keep[name] for name, size in sizes.items())

    budget = fraction * 450.0
    keep = allocate(curves, cost, budget, least=0.1)
    assert budget - 0.01 <= cost(keep) <= budget
    spent = sum(curves[name].at(keep[name]) for name in curves)
    best = min(
        sum(curves[name].at(value) for name, value in zip("abc", values, strict=True))
        for values in product(np.linspace(0.1, 1.0, 19), repeat=3)
        if cost(dict(zip("abc", values, strict=True))) <= budget
    )
    assert spent <= best + 0.02


def test_a_table_with_plateaus_is_crossed():
    """Latency falls in stairs: a step that saves nothing is never the end of the plan."""
    curves = {"a": Curve((0.0, 1.0), (1.0, 0.0)), "b": Curve((0.0, 1.0), (3.0, 0.0))}
    table = {"a": np.array([1.0, 1.0, 4.0, 4.0]), "b": np.array([2.0, 2.0, 2.0, 6.0])}

    def milliseconds(keep):
        return sum(float(stairs[int(keep[name] * 3)]) for name, stairs in table.items())

    keep = allocate(curves, milliseconds, 7.0)
    assert milliseconds(keep) <= 7.0
    with pytest.raises(BadInputError, match="raise the budget"):
        allocate(curves, milliseconds, 2.0)


def test_the_cheaper_layer_is_spent_first():
    curves = {"a": Curve((0.5, 1.0), (0.1, 0.0)), "b": Curve((0.5, 1.0), (0.2, 0.0))}
    keep = allocate(curves, lambda k: 10 * k["a"] + 10 * k["b"], 15.0, least=0.5)
    assert keep == pytest.approx({"a": 0.5, "b": 1.0}, abs=1e-5)


def test_curves_are_convex_and_never_forget_the_ends():
    curve = Curve((0.1, 0.5, 0.8, 1.0), (1.0, 0.9, 0.1, 0.0))
    values = [curve.at(keep) for keep in np.linspace(0.0, 1.0, 50)]
    assert (np.diff(values, 2) >= -1e-12).all()
    assert curve.at(1.0) == 0.0
    assert curve.at(0.1) == 1.0
    assert curve.at(0.0) > 1.0
    with pytest.raises(BadInputError, match="ascend"):
        Curve((0.5, 0.1), (0.0, 1.0))


@pytest.mark.parametrize("make", [chain, perceptron])
def test_the_parameter_count_is_that_of_the_shrunk_model(make):
    model = make()
    groups = sequential_groups(model)
    cost = unit_cost(model, groups)
    assert cost({}) == sum(p.numel() for p in model.parameters())
    keep = {group.name: 0.4 for group in groups}
    counts = unit_counts(groups, keep)
    state = {name: value.clone() for name, value in model.named_parameters()}
    for group in groups:
        for member in group.members:
            if member.parameter in state:
                left = torch.from_numpy(np.asarray(member.indices)[: counts[group.name]].ravel())
                state[member.parameter] = state[member.parameter].index_select(member.dim, left)
    assert cost(keep) == sum(value.numel() for value in state.values())
    names = list(layers(model))
    assert weight_cost(model, names)({names[0]: 0.5}) == pytest.approx(
        sum(layer.weight.numel() for layer in layers(model).values()) - 0.5 * layers(model)[names[0]].weight.numel()
    )


def test_measured_curves_find_the_redundant_layer():
    model, batches = perceptron(), vectors(96)
    with torch.no_grad():
        model[0].weight[6:] = model[0].weight[:6].repeat(3, 1)
        model[0].bias[6:] = model[0].bias[:6].repeat(3)
    calibration = Calibration(model, batches)
    groups = sequential_groups(model)
    curves = unit_curves(calibration, groups, keeps=(0.5, 0.25))
    assert curves["0"].at(0.25) < 0.01 < curves["2"].at(0.25)
    keep = allocate(curves, unit_cost(model, groups), 0.6 * sum(p.numel() for p in model.parameters()), least=0.1)
    assert keep["0"] < keep["2"]
    pruned = prune_units(model, batches, groups, unit_counts(groups, keep), calibration=calibration)
    assert output_error(pruned.model, model, vectors(96, seed=8)) < 0.5


def test_weight_curves_fall_with_the_keep_fraction_and_leave_the_model_alone():
    model = perceptron()
    before = [value.clone() for value in model.parameters()]
    calibration = Calibration(model, vectors(96))
    curves = weight_curves(calibration, Weight(), keeps=(0.6, 0.1))
    assert set(curves) == {"0", "2", "4"}
    for curve in curves.values():
        assert curve.errors[0] > curve.errors[1] > curve.errors[2] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert OutputError(calibration)(model) == 0.0
