"""A limit is kept: by a clock that moves one unit with every step that may take long, and not otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from prunegap.model.granularity import Weight
from prunegap.search import assignment, base, isolated, signs, staged, walk
from prunegap.study.cell import Cell
from prunegap.study.width import Effort, minimal_width

STEPS = (
    (signs, "listed_class"),
    (staged, "listed_few"),
    (staged, "few_of_many"),
    (walk, "count_pairs"),
    (walk, "joined"),
    (isolated, "leave_out"),
    (assignment, "mend"),
    (assignment, "linprog"),
    (base, "_certified"),
)
AT_ONCE = 4
"""Steps that belong together: the sums of one input, the lists of four classes."""


@pytest.mark.parametrize(("dimension", "epsilon"), [(2, 1e-3), (3, 1e-3), (4, 1e-4), (64, 1e-5), (8, 1e-8)])
@pytest.mark.parametrize("limit", [1, 7, 25])
def test_no_step_begins_after_the_limit(
    dimension: int, epsilon: float, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def counting(step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            clock[0] += 1.0
            return step(*arguments)

        return counted

    for module, name in STEPS:
        step = getattr(module, name)
        if name == "linprog":
            # It takes options by keyword.
            monkeypatch.setattr(
                module, name, lambda *given, call=step, **options: counting(lambda: call(*given, **options))()
            )
        else:
            monkeypatch.setattr(module, name, counting(step))
    monkeypatch.setattr("prunegap.search.base.time.monotonic", lambda: clock[0])
    minimal_width(Cell(dimension, epsilon, Weight(), 0), Effort(float(limit), 600))
    assert clock[0] <= limit + AT_ONCE
