"""What cannot be shrunk is named with its reason; what cannot be traced with its layer and a remedy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from prunegap.model.errors import BadInputError
from prunegap.trained.structure import agreement, masked, shrunk, trace
from trained.structure.zoo import stirred


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.line(x)
        return y if float(y.sum()) > 0 else -y


class Softmax(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).softmax(-1))


class Mean(Softmax):
    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) + self.one(x).mean(-1, keepdim=True)


class Sorted(Softmax):
    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.sort(self.one(x), -1).values)


class Offset(Softmax):
    """Removed entries would be exp(0) = 1 in the sum."""

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x)) + self.one(x).exp().sum(-1, keepdim=True)


class Noise(Softmax):
    def forward(self, x: Tensor) -> Tensor:
        return self.two(F.dropout(self.one(x), 0.5, True))


def test_the_layer_that_cannot_be_traced_is_named() -> None:
    with pytest.raises(BadInputError) as found:
        trace(nn.Sequential(nn.Linear(4, 4), Branch()), torch.randn(2, 4))
    assert "cannot be traced" in found.value.rule
    assert "the trouble is in 1;" in found.value.remedy


@pytest.mark.parametrize(
    ("make", "reason"),
    [(Softmax, "compete"), (Mean, "averaged or summed"), (Sorted, "sort"), (Offset, "averaged or summed")],
)
def test_what_cannot_shrink_is_named_with_its_reason(make: type[nn.Module], reason: str) -> None:
    structure = trace(make(), torch.randn(2, 4))
    assert structure.groups == ()
    reasons = {f"{f.parameter}.{f.dim}": f.reason for f in structure.fixed}
    assert reason in reasons["one.weight.0"]


def test_a_norm_fixes_the_stream() -> None:
    model, x = stirred("mixer")
    reasons = {f"{f.parameter}.{f.dim}": f.reason for f in trace(model, x).fixed}
    assert "a norm runs over it in norm1" in reasons["norm1.weight.0"]


def test_a_model_that_rolls_dice_is_refused() -> None:
    model = Noise().eval()
    structure = trace(model, torch.randn(2, 4))
    with pytest.raises(BadInputError, match="the same output twice"):
        shrunk(model, structure, {"one": np.arange(6) > 0})


@pytest.mark.parametrize(
    ("keep", "rule"),
    [
        ({"nowhere": np.ones(3, bool)}, "names no prunable group"),
        ({"0": np.ones(3, bool)}, "of shape"),
        ({"0": np.ones(20)}, "not bool"),
        ({"0": np.zeros(20, bool)}, "keeps nothing"),
    ],
)
def test_masks_that_fit_no_group(keep: dict[str, np.ndarray], rule: str) -> None:
    model, x = stirred("mlp")
    with pytest.raises(BadInputError, match=rule):
        shrunk(model, trace(model, x), keep)


def test_another_model_is_refused() -> None:
    model, x = stirred("mlp")
    structure = trace(model, x)
    with pytest.raises(BadInputError, match="pass the traced model"):
        masked(nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 3)), structure, {})


def test_inputs_must_be_tensors() -> None:
    with pytest.raises(BadInputError, match="not a tensor"):
        trace(stirred("mlp")[0], [3])  # type: ignore[list-item]


def test_one_sample_does_not_fix_the_batch() -> None:
    model, x = stirred("cnn")
    structure = trace(model, x[:1])
    assert structure.free_batch
    small = shrunk(model, structure, {})
    assert agreement(small, model, [torch.randn(7, 3, 8, 8).double()]) < 1e-12


def test_fine_tuning_follows_the_original() -> None:
    """Same loss, same gradients, same running statistics as the model it came from, in train mode."""
    model, x = stirred("residual")
    small = shrunk(model, trace(model, x), {})
    copied = copy.deepcopy(small)
    for module in (model, copied):
        module.train()
        module(x).square().sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters()}
    assert all(torch.allclose(p.grad, gradients[n]) for n, p in copied.named_parameters())
    buffers = dict(model.named_buffers())
    assert all(torch.allclose(b, buffers[n]) for n, b in copied.named_buffers())
    assert all(p.grad is None for p in small.parameters())


def test_the_length_stays_free_where_asked() -> None:
    """Rows of a table beyond the example's length belong to longer inputs: they are no units."""
    model, x = stirred("places")
    structure = trace(model, x, free_dims=(0, 1))
    assert sorted(g.units for g in structure.groups) == [6, 10]
    keep = {g.name: np.arange(g.units) % 3 > 0 for g in structure.groups}
    longer = torch.randint(0, 9, (2, 15))
    assert agreement(shrunk(model, structure, keep), masked(model, structure, keep), [longer]) < 1e-12
