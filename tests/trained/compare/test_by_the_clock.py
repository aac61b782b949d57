"""Laws of widths that the clock checks: the budget is met by the clock, by the quickest plan where none meets it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import prunegap
from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare import latency_table
from prunegap.trained.compare.by_the_clock import NEAR, PLANS, first_units, planned_widths
from prunegap.trained.compare.plan import OutOfReachError, UnitPlan
from prunegap.trained.latency import Latency, Stopwatch
from prunegap.trained.structure import Structure, trace
from prunegap.trained.timing import Span


def planned(counted: bool = False, table: bool = True) -> tuple[UnitPlan, Structure]:
    """Return the plan of a chain whose table says that seconds are multiply-adds."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 4)).eval()
    x = torch.randn(32, 8)
    sizes = {"0": 320.0, "2": 2400.0, "4": 240.0}
    structure = trace(model, (x,))

    def price(name: str, outputs: float, inputs: float) -> float:
        return sizes[name] * outputs * inputs

    return UnitPlan(Calibration(model, [x]), structure, None, price if table else None, counted), structure


def widths(model: nn.Module) -> float:
    """Return the part of the multiply-adds that is left."""
    return sum(p.numel() for p in model.parameters() if p.dim() == 2) / 2960


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("slower", [0.5, 1.0, 1.6])
def test_the_budget_is_met_by_the_clock_and_no_further(counted: bool, slower: float) -> None:
    """The model takes `slower` times what the table says."""
    plan, structure = planned(counted)
    counts = planned_widths(plan, structure, 0.5, lambda small: slower * widths(small))
    left = widths(first_units(plan.calibration.model, structure, counts))
    assert slower * left <= NEAR * 0.5
    assert left <= 0.5
    assert left >= 0.5 / max(1.0, slower) - 0.06


def test_the_quickest_plan_stands_where_none_meets_the_budget() -> None:
    plan, structure = planned()
    asked: list[float] = []

    def clock(small: nn.Module) -> float:
        asked.append(0.8 + 0.1 * widths(small))
        return asked[-1]

    counts = planned_widths(plan, structure, 0.5, clock)
    assert 1 < len(asked) <= PLANS
    assert 0.8 + 0.1 * widths(first_units(plan.calibration.model, structure, counts)) == min(asked)


def test_budgets_of_weights_ask_no_clock() -> None:
    plan, structure = planned(table=False)

    def clock(_: nn.Module) -> float:
        raise AssertionError

    assert planned_widths(plan, structure, 0.5, clock) == plan.counts(0.5)


def test_what_the_plan_cannot_meet_is_out_of_reach() -> None:
    plan, structure = planned()
    with pytest.raises(OutOfReachError):
        planned_widths(plan, structure, 1e-9, widths)


@pytest.mark.parametrize("budget_of", ["latency", "both"])
def test_a_comparison_plans_by_the_clock_of_its_speedups(budget_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stopwatch on which a model takes a third longer than its weights say, as long as something is removed."""

    def measure(self: Stopwatch, small: nn.Module, undecided: bool = False) -> Latency:
        part = min(1.0, 4.0 / 3.0 * widths(small))
        quick = Span(1.0 / part, 1.0 / part, 1.0 / part)
        return Latency(Span(part, part, part), quick, 32, 1, "cpu", 1, True)

    def seconds(forms: dict[str, nn.Module], given: torch.Tensor, graphs: bool) -> float:
        return sum(float(p.numel()) for form in forms.values() for p in form.parameters())

    monkeypatch.setattr(Stopwatch, "measure", measure)
    monkeypatch.setattr(latency_table, "_seconds", seconds)
    plan, _ = planned()
    options = prunegap.CompareOptions(repeats=1, turns=1, threads=1, budget_of=budget_of)
    model, batches = plan.calibration.model, [torch.randn(32, 8) for _ in range(4)]
    found = prunegap.compare(model, batches, budgets=(0.5,), granularities=("neuron",), options=options)
    assert found.points[0].speedup is not None, found.points[0].reason
    assert found.points[0].speedup.median >= 2.0 / NEAR
