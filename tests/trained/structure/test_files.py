"""Files and exports: the same bits back, nothing but aten from a stranger, other runtimes agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.execute.sparse_layers import SparseLinear
from prunegap.trained.structure import ShrunkModule, export_onnx, export_program, load, save, shrunk, trace
from trained.structure.test_shrink_laws import random_keep
from trained.structure.zoo import ZOO, stirred


def small_one(name: str, seed: int = 5) -> tuple[ShrunkModule, torch.Tensor]:
    model, x = stirred(name)
    structure = trace(model, x)
    return shrunk(model, structure, random_keep(structure, seed)), x


def leaves(module: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        return _pytree.tree_leaves(module(x))


@pytest.mark.parametrize("name", ZOO)
def test_round_trip_to_the_bit(name: str, tmp_path: Path) -> None:
    small, x = small_one(name)
    save(small, tmp_path / "model.safetensors")
    back = load(tmp_path / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(leaves(back, x), leaves(small, x), strict=True))
    assert [n for n, _ in back.named_parameters()] == [n for n, _ in small.named_parameters()]
    assert [n for n, _ in back.named_buffers()] == [n for n, _ in small.named_buffers()]
    save(back, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_mode_and_frozen_parameters_are_kept(tmp_path: Path) -> None:
    model, x = stirred("cnn")
    model[0].weight.requires_grad_(False)
    structure = trace(model, x)
    small = shrunk(model.train(), structure, {})
    assert small.training
    save(small, tmp_path / "m")
    back = load(tmp_path / "m")
    assert back.training
    assert {n for n, p in back.named_parameters() if not p.requires_grad} == {"0.weight"}


@pytest.mark.parametrize(
    "edit",
    [
        {"op": "call_function", "target": "os.system"},
        {"op": "call_function", "target": "aten.__class__.mro"},
        {"op": "call_module", "target": "act"},
        {"op": "get_attr", "target": "__class__"},
        {"op": "call_function", "target": "aten.relu.default", "name": "x=__import__('os')"},
    ],
)
def test_a_file_cannot_call_anything_but_aten(edit: dict[str, str], tmp_path: Path) -> None:
    small, _ = small_one("mlp")
    path = tmp_path / "m"
    save(small, path)
    with safetensors.safe_open(str(path), "pt") as file:
        header = json.loads(file.metadata()["prunegap"])
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    header["nodes"][-2] |= edit
    safetensors.torch.save_file(tensors, path, {"prunegap": json.dumps(header)})
    with pytest.raises(BadInputError, match="save it again"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", safetensors.torch.save({"a": torch.ones(1)})])
def test_a_foreign_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(BadInputError, match="save it again"):
        load(tmp_path / "m")
    with pytest.raises(BadInputError):
        load(tmp_path / "missing")


def test_only_shrunk_modules_are_saved(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a shrunk module"):
        save(torch.nn.Linear(2, 2), tmp_path / "m")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cnn", "depthwise", "separate heads", "tied"])
def test_export(name: str, tmp_path: Path) -> None:
    small, x = small_one(name)
    small = small.float()
    x = x.float() if x.is_floating_point() else x
    program = export_program(small, [x])
    more = torch.cat([x, x])
    assert all(
        torch.allclose(a, b, atol=1e-5)
        for a, b in zip(leaves(program.module(), more), leaves(small, more), strict=True)
    )


@pytest.mark.parametrize("name", ["residual", "fused heads"])
def test_onnx_agrees(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    small, x = small_one(name)
    small, x = small.float(), x.float()
    assert export_onnx(small, [x], tmp_path / "m.onnx") <= 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    more = torch.cat([x, x])
    (found,) = session.run(None, {session.get_inputs()[0].name: more.numpy()})
    assert torch.allclose(torch.from_numpy(found), leaves(small, more)[0], rtol=1e-3, atol=1e-4)


def test_sparse_layers_are_refused_by_the_exporters() -> None:
    sparse = nn.Sequential(SparseLinear(nn.Linear(8, 4)))
    with pytest.raises(BadInputError, match="sparse have no exported form"):
        export_program(sparse, [torch.randn(2, 8)])
