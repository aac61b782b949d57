"""Laws of the table of latencies, and a comparison whose budgets are of it, end to end on one that is made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import prunegap
from prunegap.model.granularity import NOfM, Weight
from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare import latency_table
from prunegap.trained.compare.latency_table import KEEPS, WIDTHS, LatencyTable
from prunegap.trained.compare.plan import UnitPlan
from prunegap.trained.compare.point import PointStatus
from prunegap.trained.structure import trace
from trained.compare.small import data, mlp


class Mixed(nn.Module):
    """Linear, grouped and plain convolutions, and a layer that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.each = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
        self.last, self.idle = nn.Linear(8 * 16, 6), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.each(self.first(x)).flatten(1))


NAMES = ("first", "each", "last", "idle")


def test_times_never_fall_where_more_is_kept() -> None:
    """Measured with all noise: monotone in the fraction of weights, of outputs and of inputs."""
    table = LatencyTable(Mixed(), torch.randn(2, 3, 8, 8), NAMES)
    by_weights, by_widths, n_of_m = table.of_weights(Weight()), table.of_widths(), table.of_weights(NOfM(2, 4))
    grid = np.linspace(0.01, 1.0, 12)
    for name in NAMES:
        for price in (by_weights, n_of_m):
            assert (np.diff([price(name, keep) for keep in grid]) >= 0.0).all()
        assert by_weights(name, 1.0) > 0.0 or name == "idle"
        for fixed in (0.2, 1.0):
            assert (np.diff([by_widths(name, keep, fixed) for keep in grid]) >= 0.0).all()
            assert (np.diff([by_widths(name, fixed, keep) for keep in grid]) >= 0.0).all()


def test_at_measured_places_the_table_says_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that tells the number of a layer's weights: the table gives it back, at corners and between."""
    monkeypatch.setattr(
        latency_table,
        "_seconds",
        lambda forms, given, graphs: float(forms[""].weight.numel() if "" in forms else 4800),
    )
    layer = nn.Linear(80, 60)
    price = LatencyTable(nn.Sequential(layer), torch.randn(2, 80), ["0"]).of_widths()
    for outputs, inputs in itertools.product(WIDTHS, WIDTHS):
        assert price("0", outputs, inputs) == pytest.approx(60 * outputs * 80 * inputs)
    assert price("0", 0.875, 1.0) == pytest.approx(0.875 * 4800)


def test_budgets_of_latency_are_kept_by_the_table_or_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this clock zeros buy nothing and widths what they cost: no plan for the first, one for the second."""
    clock = {"dense": 100.0, "csr": 100.0, "bsr": 100.0, "strips": 100.0}

    def seconds(forms: dict[str, nn.Module], given: torch.Tensor, graphs: bool) -> float:
        known = [clock[kind] for kind in forms if kind in clock]
        if not known and "" not in forms:
            return 0.0  # an activation
        return min(known) if known else 1e-3 * forms[""].weight.numel()  # type: ignore[union-attr, operator, return-value]

    monkeypatch.setattr(latency_table, "_seconds", seconds)
    options = prunegap.CompareOptions(repeats=1, turns=1, threads=1, budget_of="latency")
    found = prunegap.compare(mlp(), *data(), budgets=(0.4,), granularities=("weight", "neuron"), options=options)  # type: ignore[arg-type]
    by_name = {point.granularity: point for point in found.points}
    assert by_name["weight"].status is PointStatus.OUT_OF_REACH
    assert "100.0% of the prunable layers' measured latency" in by_name["weight"].reason
    left = sum(
        layer.keep_fraction * size for layer, size in zip(by_name["neuron"].layers, (480, 1280, 128), strict=True)
    )
    assert by_name["neuron"].is_done
    assert left <= 0.4 * 1888
    assert "budgets are of latency" in str(found)
    assert found.setting.budget_of == "latency"


def test_what_runs_behind_a_layer_counts_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which only norms and activations take time: zeros buy nothing, widths their part."""
    clock = {"BatchNorm2d": 8.0, "ReLU": 2.0}

    def seconds(forms: dict[str, nn.Module], given: torch.Tensor, graphs: bool) -> float:
        return sum(clock.get(type(form).__name__, 0.0) for form in forms.values())

    monkeypatch.setattr(latency_table, "_seconds", seconds)
    model = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU())
    table = LatencyTable(model.eval(), torch.randn(2, 3, 9, 9), ["1", "4"])
    assert table.of_weights(Weight())("1", 0.1) == 10.0
    assert table.of_weights(Weight())("4", 1.0) == 2.0
    assert table.of_widths()("1", 0.5, 1.0) == 5.0
    assert table.of_widths()("4", 0.25, 0.1) == 0.5


def test_budgets_of_both_are_kept_by_weights_and_by_the_table() -> None:
    """Time goes by the first layer's outputs here, weights sit in the second: a budget of either leaves the other."""
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 200), nn.ReLU(), nn.Linear(200, 2)).eval()
    x = torch.randn(64, 8)
    calibration, structure = Calibration(model, [x]), trace(model, (x,))

    def price(name: str, outputs: float, inputs: float) -> float:
        return outputs if name == "0" else 0.0

    left = {}
    for budget_of, plan in {
        "weights": UnitPlan(calibration, structure),
        "latency": UnitPlan(calibration, structure, price=price),
        "both": UnitPlan(calibration, structure, price=price, counted=True),
    }.items():
        first, second = plan.counts(0.5).values()
        left[budget_of] = (8 * first + first * second + 2 * second) / 8720, first / 40
    assert left["both"][0] <= 0.5
    assert left["both"][1] <= 0.5
    assert left["latency"][1] <= 0.5
    assert left["weights"][0] <= 0.5
    assert max(left["weights"][1], left["latency"][0]) > 0.5


def test_keeps_and_widths_begin_with_the_whole() -> None:
    """Everything is interpolated between the whole layer and the least one."""
    assert KEEPS[0] == WIDTHS[0] == 1.0
    assert list(KEEPS) == sorted(KEEPS, reverse=True)
    assert list(WIDTHS) == sorted(WIDTHS, reverse=True)
