"""Laws of choosing executions: the same function, the user's model untouched, dense where nothing wins."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from prunegap.trained.execute import choose
from prunegap.trained.execute.choose import DENSE, fastest, multiply_adds
from prunegap.trained.timing import Span


def thin(model: nn.Module, keep_fraction: float) -> nn.Module:
    draw = torch.Generator().manual_seed(3)
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layer.weight.data *= torch.rand(layer.weight.shape, generator=draw) < keep_fraction
    return model


class Shared(nn.Module):
    """One layer used twice, one whose weight is used without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(256, 256)
        self.again = self.first
        self.silent = nn.Linear(256, 256)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.again(torch.relu(self.first(inputs)))
        return nn.functional.linear(hidden, self.silent.weight)


def by_the_clock(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
    """Let the clock show the given times, so that the choice and not the machine is tested."""

    def timed(calls: dict[str, object], turns: int = 0) -> dict[str, list[float]]:
        return {name: [seconds[name]] for name in calls}

    class Clock:
        """Whole models: the sparse one against the dense one."""

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> Clock:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def measure(self, model: nn.Module, undecided: bool = False) -> SimpleNamespace:
            return SimpleNamespace(speedup=Span.of([seconds[DENSE] / seconds["sparse"]]))

    monkeypatch.setattr(choose, "timed_in_turns", timed)
    monkeypatch.setattr(choose, "timed_turn", lambda call, calls: 1.0)
    monkeypatch.setattr(choose, "Stopwatch", Clock)


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 8)), (5, 64)),
    "cnn": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 1), nn.Flatten(1)), (2, 4, 5, 5)),
    "shared": (Shared, (4, 256)),
    "one layer": (lambda: nn.Linear(32, 32), (3, 32)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_chosen_model_computes_the_same_and_the_given_one_is_untouched(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_the_clock(monkeypatch, {DENSE: 1.0, "csr": 0.5, "bsr": 2.0, "strips": 2.0, "sparse": 0.5})
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = thin(make(), 0.1)
    before = copy.deepcopy(model.state_dict())
    inputs = torch.randn(shape)
    execution = fastest(model, (inputs,))
    assert not execution.is_dense
    torch.testing.assert_close(execution.model(inputs), model.eval()(inputs), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_layer_that_is_never_called_stays_dense_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    by_the_clock(monkeypatch, {DENSE: 1.0, "csr": 0.5, "bsr": 0.6, "strips": 0.7, "sparse": 0.5})
    execution = fastest(thin(Shared(), 0.1), (torch.randn(2, 256),))
    kinds = {c.layer: c.kind for c in execution.choices}
    assert kinds == {"first": "csr", "silent": DENSE}
    assert "never called" in next(c.reason for c in execution.choices if c.layer == "silent")


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        ({DENSE: 1.0, "csr": 0.99, "strips": 1.2, "sparse": 0.5}, "1.01 (1.01 to 1.01) times"),
        ({DENSE: 1.0, "csr": 3.0, "strips": 4.0, "sparse": 0.5}, "0.33 times"),
        ({DENSE: 1.0, "csr": 0.5, "strips": 0.6, "sparse": 1.5}, "the whole model was 0.67"),
    ],
)
def test_dense_where_nothing_wins(seconds: dict[str, float], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    by_the_clock(monkeypatch, seconds)
    execution = fastest(thin(nn.Linear(30, 30), 0.1), (torch.randn(2, 30),))
    assert execution.is_dense
    assert reason in execution.choices[0].reason


def test_a_gain_that_the_noise_may_explain_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faster in most turns, by half in the median, but not surely."""

    def timed(calls: dict[str, object], turns: int = 0) -> dict[str, list[float]]:
        noisy = [0.5] * 9 + [1.2] * 6
        return {name: noisy if name == "csr" else [1.0] * 15 for name in calls}

    monkeypatch.setattr(choose, "timed_in_turns", timed)
    monkeypatch.setattr(choose, "timed_turn", lambda call, calls: 1.0)
    execution = fastest(thin(nn.Linear(30, 30), 0.1), (torch.randn(2, 30),))
    assert execution.is_dense
    assert "2.00 (0.83 to 2.00) times" in execution.choices[0].reason


def test_a_dense_layer_is_not_timed() -> None:
    execution = fastest(nn.Linear(30, 30), (torch.randn(2, 30),))
    assert execution.choices[0].seconds == {}
    assert execution.choices[0].keep_fraction == 1.0


def test_multiply_adds_count_kept_weights_times_places() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.Flatten(), nn.Linear(27, 4))
    convolution, linear = model[0], model[2]
    convolution.weight.data[0] = 0.0
    linear.weight.data[:, 5:] = 0.0
    assert multiply_adds(model, (torch.randn(6, 2, 5, 5),)) == 6 * (2 * 18 * 9 + 4 * 5)


def test_sparse_layers_count_what_they_store(monkeypatch: pytest.MonkeyPatch) -> None:
    by_the_clock(monkeypatch, {DENSE: 1.0, "csr": 0.5, "bsr": 2.0, "strips": 2.0, "sparse": 0.5})
    model, inputs = thin(nn.Linear(64, 64), 0.1), (torch.randn(3, 64),)
    assert multiply_adds(fastest(model, inputs).model, inputs) == multiply_adds(model, inputs)


def test_a_hopeless_form_is_called_twice_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which CSR takes four times as long at once, no turn is taken at all."""
    seconds = iter([1.0, 1.0, 4.0, 4.0, 5.0, 5.0])
    monkeypatch.setattr(choose, "timed_turn", lambda call, calls: next(seconds))
    monkeypatch.setattr(choose, "timed_in_turns", None)
    (choice,) = fastest(thin(nn.Linear(30, 30), 0.1), (torch.randn(2, 30),)).choices
    assert (choice.kind, choice.reason) == (DENSE, "csr is 0.25 times as fast as dense")


def test_a_form_that_a_library_refuses_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    by_the_clock(monkeypatch, {DENSE: 1.0, "csr": 0.5, "sparse": 0.5})

    class Refused(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            raise RuntimeError("no kernel for this shape\nand more")

    monkeypatch.setattr(choose, "sparse_forms", lambda layer: {"bsr": Refused()})
    (choice,) = fastest(thin(nn.Linear(30, 30), 0.1), (torch.randn(2, 30),)).choices
    assert (choice.kind, choice.reason) == (DENSE, "its bsr form cannot be run (no kernel for this shape)")
