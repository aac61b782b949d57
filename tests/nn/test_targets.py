"""Targets from modules and from words: what is supported computes the same, what is not is named at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from nn.small import SHAPE, Residual
from prunegap.model.errors import BadInputError
from prunegap.nn import InputSet, dense, read_target, target_of, trace

WORDS = (
    "first(padding=1) bn:norm relu save:a grouped(padding=1x0, groups=2) add:a relu strided(stride=2,dilation=2) "
    "relu maxpool(3,stride=2,padding=1) avgpool(2,stride=1) adaptiveavgpool(1x2) flatten linear relu last"
)


def test_words_and_trace_give_the_same_network(tmp_path: Path) -> None:
    module = Residual()
    path = tmp_path / "state.safetensors"
    save_file({name: value for name, value in module.state_dict().items() if value.ndim}, path)
    read, traced = read_target(path, WORDS, SHAPE), trace(module, SHAPE)
    assert read.digest() == traced.digest()
    x = torch.rand((3, *SHAPE), dtype=torch.float64)
    assert torch.equal(dense(read)(x), dense(traced)(x))
    assert torch.allclose(dense(read)(x), module.double().eval()(x), rtol=1e-12, atol=1e-12)


class Functions(nn.Module):
    """Functions and methods instead of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 3, 3), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return two outputs for images of 6 x 6."""
        y = functional.max_pool2d(functional.relu(self.conv(x)), 2)
        y += functional.dropout(y, training=self.training)
        return self.linear(y.view(y.size(0), -1) if False else torch.flatten(y, 1).relu())


def test_functions_are_followed_and_training_mode_is_left_alone() -> None:
    module = Functions().double().train()
    target = trace(module, (1, 6, 6))
    assert module.training
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    assert torch.allclose(dense(target)(x), module.eval()(x), rtol=1e-12, atol=1e-12)


def test_everything_unsupported_is_named_before_any_work() -> None:
    module = nn.Sequential(
        nn.BatchNorm1d(4), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4), nn.LayerNorm(4), nn.Sequential(nn.Tanh())
    )
    with pytest.raises(BadInputError) as caught:
        trace(module, (4,))
    for part in ("2 (GELU)", "4 (LayerNorm)", "5.0 (Tanh)", "0 (BatchNorm that does not follow"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (nn.Conv2d(1, 1, 3, padding="same"), "same"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), "reflect"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d(3, 1, 1, count_include_pad=False), "padding"),
        (nn.Flatten(2), "flatten"),
        (nn.BatchNorm2d(1, track_running_stats=False), "BatchNorm"),
    ],
)
def test_variants_that_are_not_supported_are_named(module: nn.Module, named: str) -> None:
    with pytest.raises(BadInputError, match=named):
        trace(nn.Sequential(nn.Conv2d(1, 1, 1), module), (1, 6, 6))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights_are_named_with_their_place(value: float) -> None:
    module = nn.Sequential(nn.Linear(3, 2))
    module[0].weight.data[1, 2] = value
    with pytest.raises(BadInputError, match=r"layer 0: weight\[1, 2\]"):
        trace(module, (3,))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("a gelu b", "gelu"), ("a relu c", "c "), ("a a", "twice"), ("a(stride=2)", "stride"),
        ("a add:x", "'x'"),
        ("relu bn:a", "does not follow"), ("", "without layers"), ("relu", "without layers"),
        ("b relu a", "does not fit"), ("a maxpool", "size"), ("a maxpool(1x2x3)", "sizes"),
        ("a maxpool(u)", "invalid"),
    ],
)  # fmt: skip
def test_bad_words_are_named(words: str, named: str) -> None:
    state = {"a.weight": torch.ones(4, 3), "b.weight": torch.ones(2, 4)}
    with pytest.raises(BadInputError, match=named):
        target_of(state, words, (3,))


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no tensors")
    for name in ("x", "y"):
        with pytest.raises(BadInputError, match=name):
            read_target(tmp_path / name, "a", (3,))


@pytest.mark.parametrize(
    "text", ["box", "box:1:0", "box:0:inf", "ball:0", "ball:-1", "ball:x", "cube:1", "box:nan:1"]
)
def test_bad_input_sets_are_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="input set"):
        InputSet.parse(text)
    assert str(InputSet.parse("box:-1:0.5")) == "box:-1:0.5"
