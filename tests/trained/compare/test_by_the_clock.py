"""Laws of widths that the clock checks: the budget is met by the clock, by the quickest plan where none meets it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare import by_the_clock
from prunegap.trained.compare.by_the_clock import NEAR, PLANS, latency_left, planned_widths
from prunegap.trained.compare.plan import OutOfReachError, UnitPlan
from prunegap.trained.structure import Structure, trace


def planned(counted: bool = False, table: bool = True) -> tuple[UnitPlan, Structure, torch.Tensor]:
    """Return the plan of a chain whose table says that seconds are multiply-adds."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 4)).eval()
    x = torch.randn(32, 8)
    sizes = {"0": 320.0, "2": 2400.0, "4": 240.0}
    structure = trace(model, (x,))

    def price(name: str, outputs: float, inputs: float) -> float:
        return sizes[name] * outputs * inputs

    return UnitPlan(Calibration(model, [x]), structure, None, price if table else None, counted), structure, x


def widths(counts: dict[str, int]) -> float:
    """Return the part of the multiply-adds that is left."""
    first, second = counts.values()
    return (8 * first + first * second + 4 * second) / 2960


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("slower", [0.5, 1.0, 1.6])
def test_the_budget_is_met_by_the_clock_and_no_further(
    counted: bool, slower: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model takes `slower` times what the table says."""
    plan, structure, x = planned(counted)
    monkeypatch.setattr(by_the_clock, "latency_left", lambda model, structure, counts, *_: slower * widths(counts))
    left = widths(planned_widths(plan, structure, x, 0.5))
    assert slower * left <= NEAR * 0.5
    assert left <= 0.5
    assert left >= 0.5 / max(1.0, slower) - 0.06


def test_the_quickest_plan_stands_where_none_meets_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, structure, x = planned()
    asked: list[float] = []

    def clock(model: nn.Module, structure: Structure, counts: dict[str, int], *_: object) -> float:
        asked.append(0.8 + 0.1 * widths(counts))
        return asked[-1]

    monkeypatch.setattr(by_the_clock, "latency_left", clock)
    left = widths(planned_widths(plan, structure, x, 0.5))
    assert 1 < len(asked) <= PLANS
    assert 0.8 + 0.1 * left == min(asked)


def test_budgets_of_weights_ask_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, structure, x = planned(table=False)
    monkeypatch.setattr(by_the_clock, "latency_left", None)
    assert planned_widths(plan, structure, x, 0.5) == plan.counts(0.5)


def test_what_the_plan_cannot_meet_is_out_of_reach() -> None:
    plan, structure, x = planned()
    with pytest.raises(OutOfReachError):
        planned_widths(plan, structure, x, 1e-9)


def test_the_clock_compares_with_the_dense_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which every call is made once and the dense model takes 4 s, the small one 1 to 3 s."""

    def timed(calls: dict[str, Callable[[], None]], turns: int) -> dict[str, list[float]]:
        for call in calls.values():
            call()
        return {"dense": [4.0, 4.0, 4.0], "small": [1.0, 3.0, 2.0]}

    monkeypatch.setattr(by_the_clock, "timed_in_turns", timed)
    plan, structure, x = planned()
    assert latency_left(plan.calibration.model, structure, plan.counts(0.5), x) == 0.5
