"""Laws of 2:4 layers: the same function, 9/16 of the bytes, copied, pickled, saved; packed only on a GPU."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import prunegap
from prunegap.trained.compare.candidate import size_in_bytes
from prunegap.trained.compare.model_file import save_model
from prunegap.trained.execute.choose import agrees, fastest, multiply_adds
from prunegap.trained.execute.forms import sparse_forms
from prunegap.trained.execute.semi_structured import (
    SemiStructuredLinear,
    SemiStructuredWeight,
    is_two_of_four,
    two_of_four,
)
from prunegap.trained.structure import trace
from prunegap.trained.timed_call import timed_call

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def halved(rows: int, columns: int, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> nn.Linear:
    """Return a Linear of which the two greatest of each four weights are kept."""
    torch.manual_seed(rows + columns)
    layer = nn.Linear(columns, rows, device=device, dtype=dtype).requires_grad_(False)
    groups = layer.weight.data.view(-1, 4)
    groups.scatter_(1, groups.abs().argsort(dim=1)[:, :2], 0.0)
    return layer.eval()


@given(st.lists(st.sampled_from([0.0, 0.5, -2.0, 3.0]), min_size=8, max_size=8))
@settings(max_examples=200, deadline=None)
def test_the_stored_parts_are_the_weight(row: list[float]) -> None:
    weight = torch.tensor([row, row[::-1]])
    kept = (weight.view(-1, 4) != 0).sum(dim=1).max() <= 2
    if kept:
        stored = SemiStructuredWeight(weight)
        assert torch.equal(stored.dense(), weight)
        assert torch.equal(SemiStructuredWeight.of(stored.values, stored.places).dense(), weight)
        assert (stored.shape, stored.stored) == ((2, 8), 8)


def test_it_computes_the_same_after_every_way_of_moving_it() -> None:
    layer = halved(64, 128)
    inputs = torch.randn(3, 5, 128).bfloat16()
    packed = SemiStructuredLinear(layer)
    expected = layer(inputs)
    assert torch.equal(packed(inputs), expected)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(other(inputs), expected)
    blank = SemiStructuredLinear(halved(64, 128))
    blank.weight.values.zero_()
    blank(inputs)
    blank.load_state_dict(packed.state_dict())
    assert torch.equal(blank(inputs), expected)
    assert copy.deepcopy(packed).float()(inputs.float()).dtype == torch.float32


def test_it_takes_nine_sixteenths_of_the_bytes_and_half_the_work() -> None:
    layer, inputs = halved(64, 128), torch.randn(2, 128).bfloat16()
    packed = SemiStructuredLinear(layer)
    assert size_in_bytes(packed.weight) * 16 == layer.weight.numel() * layer.weight.element_size() * 9
    assert multiply_adds(packed, (inputs,)) == 2 * 64 * 64


@pytest.mark.parametrize(
    ("weight", "fits"),
    [
        (halved(32, 64).weight, True),
        (halved(32, 64, torch.float16).weight, True),
        (halved(32, 64, torch.float32).weight, False),
        (halved(24, 64).weight, False),
        (halved(32, 96).weight, False),
        (torch.ones(32, 64).bfloat16(), False),
        (torch.zeros(32, 64, 1, 1).bfloat16(), False),
    ],
    ids=["bfloat16", "float16", "float32", "rows", "columns", "dense", "convolution"],
)
def test_what_the_hardware_multiplies(weight: Tensor, fits: bool) -> None:
    assert is_two_of_four(weight.detach()) == fits


def test_without_a_gpu_there_is_no_such_form() -> None:
    assert two_of_four(halved(32, 64)) is None
    assert sparse_forms(halved(32, 64)) == {}


def test_a_saved_model_comes_back_packed(tmp_path: Path) -> None:
    model = nn.Sequential(halved(64, 64), nn.ReLU(), halved(32, 64))
    x = torch.randn(4, 64).bfloat16()
    structure = trace(model, (x,))
    run = copy.deepcopy(model)
    run[0] = SemiStructuredLinear(model[0])
    save_model(tmp_path / "m.safetensors", run, model, structure)
    loaded = prunegap.load(tmp_path / "m.safetensors")
    assert sum(isinstance(m, SemiStructuredLinear) for m in loaded.modules()) == 1
    assert torch.equal(loaded(x), model(x))
    names = {name for name, _ in loaded.named_buffers()}
    assert any(name.endswith("places") for name in names)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_roundings_are_allowed_and_other_numbers_are_not(dtype: torch.dtype) -> None:
    expected = torch.linspace(-2.0, 2.0, 64).to(dtype)
    nudged = torch.nextafter(expected, torch.full_like(expected, 9.0))
    assert agrees(nudged, expected)
    wrong = expected.clone()
    wrong[10] += 0.1
    assert not agrees(wrong, expected)
    assert not agrees(expected[:10], expected)


def test_a_timed_call_on_the_processor_is_the_call() -> None:
    called: list[int] = []
    timed_call(lambda: called.append(1), [torch.zeros(1)], graphs=True)()
    assert called == [1]


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 64, 1000])
def test_on_a_gpu_it_is_packed_and_computes_the_same(dtype: torch.dtype, rows: int) -> None:
    layer = halved(256, 512, dtype, "cuda")
    inputs = torch.randn(rows, 512, device="cuda", dtype=dtype)
    form = sparse_forms(layer)["2:4"]
    assert type(form.weight.matrix()) is not Tensor
    assert agrees(form(inputs), layer(inputs))
    again = pickle.loads(pickle.dumps(form))
    assert agrees(again(inputs), layer(inputs))
    assert agrees(form.cpu()(inputs.cpu()).cuda(), layer(inputs))


@needs_gpu
def test_a_captured_call_is_the_call() -> None:
    layer = halved(256, 512, torch.float16, "cuda")
    form, inputs = SemiStructuredLinear(layer), torch.randn(32, 512, device="cuda", dtype=torch.float16)
    out = torch.zeros(32, 256, device="cuda", dtype=torch.float16)

    def call() -> None:
        out.copy_(form(inputs))

    with torch.inference_mode():
        replay = timed_call(call, [inputs], graphs=True)
        out.zero_()
        replay()
        assert agrees(out, layer(inputs))


@needs_gpu
@pytest.mark.parametrize("graphs", [False, True])
def test_on_a_gpu_the_fastest_execution_computes_the_same(graphs: bool) -> None:
    model = nn.Sequential(halved(1024, 1024, torch.float16, "cuda"), nn.ReLU(), nn.Linear(1024, 64).half().cuda())
    inputs = torch.randn(512, 1024, device="cuda", dtype=torch.float16)
    execution = fastest(model, (inputs,), turns=5, graphs=graphs)
    assert "2:4" in execution.choices[0].seconds
    assert agrees(execution.model(inputs), model(inputs))
