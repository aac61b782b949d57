"""Calibration: matrices of layers equal what torch computes; moments equal direct sums; bad input is named."""

import numpy as np
import pytest
import torch
from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Calibration
from prunegap.trained.layer import columns_of, input_rows, output_rows, weight_matrix
from trained.prune.networks import chain, images, perceptron, vectors

LAYERS = [
    (nn.Linear(5, 3), (4, 5)),
    (nn.Linear(5, 3, bias=False), (4, 7, 5)),
    (nn.Conv2d(4, 6, 3, padding=1, stride=2), (3, 4, 7, 6)),
    (nn.Conv2d(4, 6, (3, 2), padding="same", dilation=2), (3, 4, 7, 6)),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (3, 4, 5, 5)),
    (nn.Conv2d(4, 8, 3, padding=(2, 1), padding_mode="circular", groups=4), (3, 4, 6, 6)),
    (nn.Conv1d(4, 6, 3, padding=2, stride=2), (3, 4, 9)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[str(layer) for layer, _ in LAYERS])
def test_rows_times_matrix_is_the_layer(layer, shape):
    value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = output_rows(layer, layer(value)).double().numpy()
    rows, matrix = input_rows(layer, value).double().numpy(), weight_matrix(layer)
    bias = 0.0 if layer.bias is None else layer.bias.detach().double().numpy().reshape(matrix.shape[0], -1)
    expected = np.einsum("spgi,goi->spgo", rows, matrix) + bias
    np.testing.assert_allclose(got, expected, atol=1e-5)
    if getattr(layer, "groups", 1) == 1:
        channel = columns_of(layer, np.array([[2]]))
        silent = value.clone()
        silent[(..., 2) if isinstance(layer, nn.Linear) else (slice(None), 2)] = 0.0
        silenced = input_rows(layer, silent).double().numpy()
        expected = rows.copy()
        expected[..., channel[0]] = 0.0
        np.testing.assert_array_equal(silenced, expected)


def test_inputs_come_from_the_pruned_model_and_targets_from_the_dense():
    dense, batches = perceptron(), vectors(20)
    pruned = perceptron()
    with torch.no_grad():
        pruned[0].weight[:10] = 0.0
    moments = Calibration(dense, batches).moments(pruned, ["2"])["2"]
    together = torch.cat(batches)
    with torch.no_grad():
        seen = torch.relu(pruned[0](together)).double().numpy()
        goal = dense[2](torch.relu(dense[0](together))).double().numpy()
    held = np.arange(20) % 4 == 3
    for part, chosen in ((moments.fit[0], ~held), (moments.held[0], held), (moments.all[0], held | ~held)):
        assert part.rows == chosen.sum()
        np.testing.assert_allclose(part.xx, seen[chosen].T @ seen[chosen], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(part.xy, seen[chosen].T @ goal[chosen], rtol=1e-6, atol=1e-5)


def test_order_stages_and_norms():
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.a, self.b = nn.Linear(4, 2), nn.Linear(3, 4), nn.Linear(3, 4)
            self.unused = nn.Linear(2, 2)

        def forward(self, x):
            return self.last(self.a(x) + self.b(x))

    calibration = Calibration(Fork(), [torch.randn(4, 3)])
    assert calibration.order == ["a", "b", "last"]
    assert calibration.stages == (("a", "b"), ("last",))
    assert calibration.chunks(1) == (("a", "b", "last"),)
    assert Calibration(chain(), images()).norms == {"0": "1"}


def test_the_model_and_its_modes_are_untouched():
    model = chain()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Calibration(model, images()).moments(model, ["3"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_many_positions_are_thinned_the_same_on_both_sides():
    model = nn.Sequential(nn.Conv2d(1, 2, 1)).eval()
    batches = [torch.randn(32, 1, 60, 60) for _ in range(2)]
    moments = Calibration(model, batches).moments(model, ["0"])["0"].all[0]
    assert 10_000 < moments.rows <= 20_000
    assert moments.relative_error(weight_matrix(model[0])[0], bias=True) < 1e-10


def poisoned(model):
    with torch.no_grad():
        model[2].weight[0, 0] = float("nan")
    return model


@pytest.mark.parametrize(
    ("model", "batches", "word"),
    [
        (perceptron(), [], "no batches"),
        (perceptron(), [torch.randn(4, 5)], "batch 0"),
        (perceptron(), [(torch.randn(4, 6), torch.zeros(4))], "without labels"),
        (poisoned(perceptron()), vectors(), "layer 2"),
        (perceptron(), [torch.full((4, 6), float("nan"))], "layer 0"),
    ],
)
def test_bad_input_is_named(model, batches, word):
    with pytest.raises(BadInputError, match=word):
        Calibration(model, batches)


def test_a_later_batch_with_nan_names_the_layer():
    model = perceptron()
    calibration = Calibration(model, [*vectors(32), torch.full((4, 6), float("inf"))])
    with pytest.raises(BadInputError, match="layer 0"):
        calibration.moments(model, ["0"])
