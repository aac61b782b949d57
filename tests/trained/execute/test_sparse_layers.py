"""Laws of the sparse layers: the same function as the dense layer, whatever the shape, copied, moved or saved."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from prunegap.trained.execute.sparse_layers import SparseConv2d, SparseLinear, matrix_forms


def thinned(layer: nn.Module, keep_fraction: float, seed: int = 0, block: int = 1) -> nn.Module:
    """Return the layer with all but `keep_fraction` of its square blocks set to zero."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    draw = torch.Generator().manual_seed(seed)
    flat = weight.data.flatten(1)
    coarse = torch.rand(-(-flat.shape[0] // block), -(-flat.shape[1] // block), generator=draw) < keep_fraction
    kept = coarse.repeat_interleave(block, 0).repeat_interleave(block, 1)[: flat.shape[0], : flat.shape[1]]
    weight.data = (flat * kept).reshape(weight.shape)
    return layer.eval().requires_grad_(False)


LINEAR_INPUTS = [(1, 24), (7, 24), (2, 5, 24), (24,)]


@pytest.mark.parametrize("shape", LINEAR_INPUTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("keep_fraction", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("block", [1, 4])
def test_sparse_linear_is_the_dense_layer(
    shape: tuple[int, ...], bias: bool, keep_fraction: float, block: int
) -> None:
    torch.manual_seed(1)
    layer = thinned(nn.Linear(24, 16, bias), keep_fraction, block=block)
    inputs = torch.randn(shape)
    sparse = SparseLinear(layer, block)
    torch.testing.assert_close(sparse(inputs), layer(inputs), rtol=1e-5, atol=1e-5)


CONVOLUTIONS = [
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 1, "padding": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 5), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("block", [1, 4])
def test_sparse_convolution_is_the_dense_layer(options: dict[str, object], block: int) -> None:
    torch.manual_seed(2)
    layer = thinned(nn.Conv2d(8, 12, **options), 0.2)  # type: ignore[arg-type]
    inputs = torch.randn(3, 8, 11, 9)
    found = SparseConv2d(layer, block)(inputs)
    torch.testing.assert_close(found, layer(inputs), rtol=1e-5, atol=1e-5)
    assert found.is_contiguous()


def test_a_sparse_layer_can_be_copied_moved_and_saved() -> None:
    layer, inputs = thinned(nn.Linear(12, 8), 0.3), torch.randn(5, 12)
    sparse = SparseLinear(layer)
    expected = sparse(inputs)
    assert torch.equal(copy.deepcopy(sparse)(inputs), expected)
    assert copy.deepcopy(sparse).double()(inputs.double()).dtype == torch.float64
    file = io.BytesIO()
    torch.save(sparse.state_dict(), file)
    file.seek(0)
    other = SparseLinear(layer)
    other.weight.values.zero_()
    other(inputs)
    other.load_state_dict(torch.load(file))
    assert torch.equal(other(inputs), expected)


def test_the_layer_stores_only_what_is_kept() -> None:
    layer = thinned(nn.Linear(64, 64), 0.1)
    assert SparseLinear(layer).weight.stored == int((layer.weight != 0).sum())


@pytest.mark.parametrize(
    ("layer", "forms"),
    [
        (thinned(nn.Linear(16, 16), 0.1, block=4), {"csr", "bsr"}),
        (thinned(nn.Linear(16, 16), 0.9), {"csr"}),
        (thinned(nn.Linear(15, 16), 0.1), {"csr"}),
        (nn.Conv2d(8, 8, 3, groups=2), set()),
        (nn.Conv2d(8, 8, 3, padding="same"), set()),
        (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), set()),
        (nn.Linear(16, 16).half(), set()),
        (nn.ReLU(), set()),
    ],
    ids=["blocks", "spread", "odd", "groups", "same", "reflect", "half", "relu"],
)
def test_forms_exist_only_where_they_compute_the_same(layer: nn.Module, forms: set[str]) -> None:
    assert set(matrix_forms(layer)) == forms
