"""Laws of layers in strips: the same function as the dense layer, whatever the inputs, copied, moved or saved."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import prunegap
from prunegap.trained.compare.model_file import save_model
from prunegap.trained.execute.choose import multiply_adds
from prunegap.trained.execute.striped_linear import StripedLinear, striped
from prunegap.trained.structure import trace


def thin(rows: int, columns: int, bias: bool = True, keep_fraction: float = 0.1) -> nn.Linear:
    torch.manual_seed(rows)
    layer = nn.Linear(columns, rows, bias).requires_grad_(False)
    layer.weight.data *= torch.rand(layer.weight.shape) < keep_fraction
    return layer.eval()


@pytest.mark.parametrize("shape", [(1, 40), (33, 40), (2, 5, 40), (40,), (0, 40)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("keep_fraction", [0.0, 0.1, 1.0])
def test_it_is_the_dense_layer(shape: tuple[int, ...], bias: bool, keep_fraction: float) -> None:
    layer, inputs = thin(24, 40, bias, keep_fraction), torch.randn(shape)
    found = StripedLinear(layer)(inputs)
    assert found.shape == layer(inputs).shape
    torch.testing.assert_close(found, layer(inputs), rtol=1e-5, atol=1e-5)


def test_inputs_of_every_layout_give_the_same() -> None:
    layer, inputs = thin(24, 40), torch.randn(50, 40)
    packed = StripedLinear(layer)
    expected = packed(inputs)
    for other in (inputs.t().contiguous().t(), torch.randn(50, 80)[:, ::2].copy_(inputs), inputs.clone()):
        assert torch.equal(packed(other), expected)


def test_gradients_and_other_precisions_take_the_dense_weight() -> None:
    layer, inputs = thin(24, 40), torch.randn(6, 40, requires_grad=True)
    packed = StripedLinear(layer)
    packed(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, layer.weight.sum(dim=0).expand(6, 40))
    double = copy.deepcopy(packed).double()(inputs.detach().double())
    torch.testing.assert_close(double, copy.deepcopy(layer).double()(inputs.detach().double()))


def test_it_can_be_copied_pickled_and_loaded() -> None:
    layer, inputs = thin(24, 40), torch.randn(6, 40)
    packed = StripedLinear(layer)
    expected = packed(inputs)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(other(inputs), expected)
    blank = StripedLinear(layer)
    blank.weight.values.zero_()
    assert not torch.equal(blank(inputs), expected)
    blank.load_state_dict(packed.state_dict())
    assert torch.equal(blank(inputs), expected)
    assert torch.equal(packed.weight.dense(), layer.weight)
    assert packed.weight.shape == (24, 40)
    assert multiply_adds(packed, (inputs,)) == 6 * int((layer.weight != 0).sum())


@pytest.mark.parametrize("layer", [nn.Linear(8, 8).double(), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Linear(8, 8).half()])
def test_it_exists_for_linear_layers_in_single_precision(layer: nn.Module) -> None:
    assert striped(layer) is None


def test_a_saved_model_comes_back_in_strips(tmp_path: Path) -> None:
    model = nn.Sequential(thin(64, 40), nn.ReLU(), thin(8, 64))
    x = torch.randn(5, 40)
    run = copy.deepcopy(model)
    run[0] = StripedLinear(model[0])
    save_model(tmp_path / "m.safetensors", run, model, trace(model, (x,)))
    loaded = prunegap.load(tmp_path / "m.safetensors")
    assert sum(isinstance(m, StripedLinear) for m in loaded.modules()) == 1
    with torch.no_grad():
        assert torch.equal(loaded(x), run(x))
