"""Laws of timing: order statistics that cover, turns that alternate, processes that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.trained.latency import measure_latency
from prunegap.trained.timing import Span, timed_in_turns


class Sleeper(nn.Module):
    """A model whose latency is known."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, inputs: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return inputs


class Loud(nn.Module):
    """A model that prints where answers are expected."""

    def forward(self, inputs: Tensor) -> Tensor:
        os.write(1, b"noise" * 10)
        return inputs


def test_the_interval_of_the_median_covers_it_at_least_95_times_in_100() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        span = Span.of(list(draw.lognormal(0.0, 1.0, 31)))
        covered += span.low <= 1.0 <= span.high
    assert covered >= 950


@pytest.mark.parametrize("count", range(1, 12))
def test_a_span_is_ordered_whatever_the_count(count: int) -> None:
    span = Span.of([float(i) for i in range(count)])
    assert span.low <= span.median <= span.high


def test_calls_take_turns() -> None:
    order: list[str] = []
    calls = {"a": lambda: (order.append("a"), time.sleep(1e-3)), "b": lambda: (order.append("b"), time.sleep(1e-3))}
    seconds = timed_in_turns(calls, turns=4, warm_up=0.0)
    assert {name: len(times) for name, times in seconds.items()} == {"a": 4, "b": 4}
    assert "".join(order).endswith("aabb" * 4), "each turn warms its caches first"


def test_a_model_twice_as_slow_shows_half_the_speed() -> None:
    found = measure_latency({"dense": Sleeper(0.03), "slow": Sleeper(0.06)}, (torch.zeros(3, 2),), threads=1, turns=7)
    assert found["slow"].isolated
    assert found["slow"].batch == 3
    assert found["dense"].speedup == Span(1.0, 1.0, 1.0)
    assert found["slow"].speedup.median == pytest.approx(0.5, rel=0.2)
    assert found["slow"].seconds.median >= 0.06


def test_a_model_that_prints_does_not_spoil_its_answers(capfd: pytest.CaptureFixture[str]) -> None:
    assert measure_latency({"dense": Loud()}, (torch.zeros(1),), threads=1, turns=3, warm_up=0.0)["dense"].isolated
    assert "noise" in capfd.readouterr().err


def test_a_class_that_cannot_be_imported_is_timed_in_this_process() -> None:
    class Local(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs

    found = measure_latency({"dense": Local()}, (torch.zeros(1),), turns=3, warm_up=0.0)
    assert not found["dense"].isolated


def test_bad_input_is_named() -> None:
    with pytest.raises(BadInputError, match="baseline"):
        measure_latency({"a": nn.ReLU()}, (torch.zeros(1),))
    with pytest.raises(BadInputError, match="fails on the given inputs"):
        measure_latency({"dense": nn.Linear(2, 2)}, (torch.zeros(1, 3),), threads=1)


def test_a_worker_ends_with_its_parent() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "prunegap.trained.latency_worker", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert worker.stdin is not None
    worker.communicate(b"", timeout=60)
    assert worker.returncode == 0
