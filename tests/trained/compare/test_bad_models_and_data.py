"""Everything an engineer may hand in by mistake is named, with the layer and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import prunegap
from prunegap.model.errors import BadInputError
from prunegap.trained.compare.dry_run import dry_run
from prunegap.trained.compare.point import PointStatus
from prunegap.trained.latency import Stopwatch
from trained.compare.small import Branching, Halving, Overflow, Tied, batches, mlp

QUICK = prunegap.CompareOptions(repeats=1, turns=1, threads=1)


@pytest.fixture(autouse=True)
def _brief_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stopwatch.__init__, "__defaults__", (None, 1, 0.0))


def broken(_: nn.Module) -> float:
    raise RuntimeError("no labels here")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"budgets": (0.5, 1.0)}, "budget 1: must lie between 0 and 1"),
    ({"budgets": (-0.1,)}, "budget -0.1: must lie between"),
    ({"budgets": (float("nan"),)}, "budget nan: must lie between"),
    ({"budgets": ()}, "budgets: are empty"),
    ({"granularities": ("row",)}, "granularity 'row'"),
    ({"granularities": ()}, "granularities: are empty"),
    ({"calibration": []}, "holds no batches"),
    ({"calibration": [torch.randn(4, 11)]}, "calibration batch 0 .*the model fails at layer 0"),
    ({"calibration": [torch.randn(4, 12), torch.randn(4, 11)]}, "calibration batch 1 .*at layer 0"),
    ({"model": Halving()}, "model: changes its inputs in place"),
    ({"calibration": [torch.full((4, 12), float("nan"))]}, "calibration batch 0: holds NaN"),
    ({"calibration": [torch.randn(4, 12), "text"]}, "calibration batch 1: is a str without tensors"),
    ({"model": Overflow()}, "layer second: gives NaN"),
    ({"model": nn.Sequential(nn.ReLU())}, "calls no Linear or Conv layer"),
    ({"model": len}, "is no torch.nn.Module"),
    ({"evaluate": broken}, "evaluate: raised RuntimeError on the dense model: no labels here"),
    ({"evaluate": lambda m: float("nan")}, "quality must be finite"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED, ids=[words[:24] for _, words in REFUSED])
def test_it_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    asked: dict[str, Any] = {
        "model": mlp(), "calibration": batches(2), "evaluate": lambda m: 1.0, "budgets": (0.5,),
        "granularities": ("weight",), "options": QUICK, **change,
    }  # fmt: skip
    with pytest.raises(BadInputError, match=words):
        prunegap.compare(**asked)


@pytest.mark.parametrize(
    "option",
    [{"repeats": 0}, {"turns": 0}, {"threads": 0}, {"finetune_steps": -1}, {"seed": -1}, {"budget_of": "time"}],
)
def test_bad_options(option: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=next(iter(option)).replace("_", " ")):
        prunegap.CompareOptions(**option)


def test_what_is_named_twice_is_measured_once() -> None:
    found = prunegap.compare(mlp(), batches(2), None, (0.5, 0.5), ("weight", "weight"), options=QUICK)
    assert len(found.points) == 1


def test_a_model_that_cannot_be_traced_keeps_its_other_granularities(tmp_path: Path) -> None:
    found = prunegap.compare(Branching(), batches(2), None, (0.5,), ("weight", "neuron"), out=tmp_path, options=QUICK)
    assert [p.status for p in found.points] == [PointStatus.DONE, PointStatus.OUT_OF_REACH]
    assert "cannot be traced" in found.points[1].reason
    assert "all neurons" in dict(found.not_shrunk)
    with pytest.raises(BadInputError, match="load_state_dict"):
        prunegap.load(tmp_path / found.points[0].file)


def test_a_weight_with_two_readers_is_left_alone_and_named(tmp_path: Path) -> None:
    ids = [torch.randint(0, 20, (8, 6), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    model = Tied()
    found = prunegap.compare(model, ids, None, (0.5,), ("weight", "neuron"), out=tmp_path, options=QUICK)
    assert [p.reason for p in found.points if not p.is_done] == []
    assert "shared with words.weight" in dict(found.not_shrunk)["read"]
    for point in found.done:
        assert "read" not in {layer.layer for layer in point.layers}
        state = prunegap.load(tmp_path / point.file).state_dict()
        assert any(torch.equal(value, model.words.weight) for value in state.values()), point.granularity


def test_one_sample_is_enough_to_go_on() -> None:
    found = prunegap.compare(mlp(), [torch.randn(1, 12)], None, (0.5,), ("weight", "2:4", "neuron"), options=QUICK)
    assert [p.reason for p in found.points if not p.is_done] == []
    assert "calibration batch itself" in found.setting.measure


def test_n_of_m_above_its_own_fraction_leaves_layers_dense() -> None:
    found = prunegap.compare(mlp(), batches(2), None, (0.8,), ("2:4",), options=QUICK)
    (point,) = found.points
    assert point.weights is not None
    assert point.weights <= 0.8 * found.setting.prunable_weights
    assert {round(layer.keep_fraction, 2) for layer in point.layers if layer.keep_fraction > 0.5} <= {1.0}


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model")
    for path in (bad, tmp_path / "none.safetensors"):
        with pytest.raises(BadInputError, match="cannot be read"):
            prunegap.load(path)


def test_a_damaged_comparison_is_named(tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('{"schema": 1}')
    with pytest.raises(BadInputError, match="damaged"):
        prunegap.compare(mlp(), batches(2), None, (0.5,), ("weight",), out=tmp_path, options=QUICK)


def test_a_dry_run_lists_and_prunes_nothing() -> None:
    model = mlp()
    plan = dry_run(model, batches(2), None, (0.5, 0.1), ("weight", "neuron"))
    assert [name for name, _, _ in plan.layers] == ["0", "2", "4"]
    assert [units for _, units, _, _ in plan.groups] == [40, 32]
    sizes = {b: 12 * w["0"] + w["0"] * w["2"] + 4 * w["2"] for b, w in plan.widths.items()}
    whole = 12 * 40 + 40 * 32 + 4 * 32
    assert 0.4 * whole < sizes["0.5"] <= 0.5 * whole
    assert sizes["0.1"] <= 0.1 * whole
    assert "40 units, read by 2" in str(plan)
    assert plan.seconds > 0.0
    untraced = dry_run(Branching(), batches(2), None, (0.5,), ("neuron",))
    assert "cannot be traced" in untraced.untraced
    assert "cannot be traced" in str(untraced)
