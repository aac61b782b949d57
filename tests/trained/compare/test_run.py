"""Laws of the comparison: equal budgets, an untouched model, saved models that are the measured ones, resume."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import prunegap
from prunegap.model.granularity import Neuron, Weight
from prunegap.trained.calibrate import Calibration
from prunegap.trained.compare import run as running
from prunegap.trained.compare.candidate import run_dense
from prunegap.trained.compare.hands import Hands
from prunegap.trained.compare.measure import accuracy
from prunegap.trained.compare.point import Comparison, PointStatus, as_object, from_text
from prunegap.trained.execute.choose import multiply_adds
from prunegap.trained.latency import Stopwatch
from prunegap.trained.timing import Span
from trained.compare.small import batches, cnn, mlp

QUICK = prunegap.CompareOptions(repeats=2, turns=2, threads=1)
BUDGETS = (0.6, 0.3)
GRANULARITIES = ("weight", "2:4", "block:4", "neuron")


@pytest.fixture(autouse=True)
def _brief_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stopwatch.__init__, "__defaults__", (None, 2, 0.0))


@pytest.fixture(scope="module", params=["mlp", "cnn"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Comparison, Path]:
    model, shape = (mlp(), (12,)) if request.param == "mlp" else (cnn(), (3, 8, 8))
    model.train()
    calibration, out = batches(4, shape), tmp_path_factory.mktemp(request.param)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.cat(batches(4, shape, seed=1))
    labels = copy.deepcopy(model).eval()(x).argmax(dim=1)
    found = prunegap.compare(model, calibration, accuracy(x, labels), BUDGETS, GRANULARITIES, out=out, options=QUICK)
    assert model.training, "the user's mode was changed"
    assert all(m.training for m in model.modules())
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the user's model was modified"
    return model, found, out


def test_every_point_is_done(made: tuple[nn.Module, Comparison, Path]) -> None:
    _, found, _ = made
    assert [(p.granularity, p.keep_fraction) for p in found.points] == [
        (g, b) for g in GRANULARITIES for b in BUDGETS
    ]
    assert [p.reason for p in found.points if not p.is_done] == []
    assert found.dense.quality is not None
    assert found.dense.quality.median == 1.0


def test_equal_budgets_are_equal(made: tuple[nn.Module, Comparison, Path]) -> None:
    _, found, _ = made
    whole = found.setting.prunable_weights
    for point in found.points:
        assert point.weights is not None
        budget = point.keep_fraction * whole
        # A layer's count is rounded to a whole unit, of at most 4 weights.
        assert point.weights <= budget + 4 * len(point.layers), point
        if point.granularity in ("weight", "block:4"):
            assert point.weights >= 0.98 * budget - 4 * len(point.layers), point
        if point.granularity == "neuron":
            # One channel of the widest group, at the width of its neighbours before pruning.
            assert point.weights >= 0.98 * budget - 12 * 9 - 16 * 9 - 4 * 5 - 72, point


def test_layers_add_up_to_the_point(made: tuple[nn.Module, Comparison, Path]) -> None:
    model, found, _ = made
    sizes = {name: m.weight.numel() for name, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    for point in found.done:
        total = sum(layer.keep_fraction * sizes[layer.layer] for layer in point.layers)
        assert total == pytest.approx(point.weights, abs=0.5)
        assert all(layer.reason for layer in point.layers)


def test_saved_models_are_the_measured_ones(made: tuple[nn.Module, Comparison, Path]) -> None:
    model, found, out = made
    held = batches(
        4, (12,) if len(found.dense.layers) == 3 and isinstance(model[0], nn.Linear) else (3, 8, 8), seed=1
    )
    labels = copy.deepcopy(model).eval()(torch.cat(held)).argmax(dim=1)
    evaluate = accuracy(torch.cat(held), labels)
    for point in found.done:
        loaded = prunegap.load(out / point.file)
        assert evaluate(loaded) == point.qualities[0], point.file
        if point.granularity == "neuron":
            names = {layer.layer for layer in point.layers}
            weights = [v for k, v in loaded.state_dict().items() if k.removesuffix(".weight") in names]
            # A smaller model that came out slower than dense is run, and saved, in its old shapes.
            is_small = not any("the smaller model was" in layer.reason for layer in point.layers)
            assert sum(v.numel() if is_small else int((v != 0).sum()) for v in weights) == point.weights


@pytest.mark.parametrize(("speedup", "is_run"), [(Span(0.8, 0.7, 0.9), False), (Span(0.8, 0.7, 1.1), True)])
def test_a_smaller_model_is_run_unless_surely_slower(speedup: Span, is_run: bool) -> None:
    prepared = running.Run(mlp(), batches(), lambda _: 1.0, None, QUICK)
    small = prepared._candidate(Neuron(), prepared._prune(Neuron(), 0.5)(prepared.calibration, {}))
    prepared.stopwatch = SimpleNamespace(measure=lambda *_, **__: SimpleNamespace(speedup=speedup))  # type: ignore[assignment]
    settled, _ = prepared._timed(small)
    assert small.is_shrunk
    assert (settled.run is small.run) == is_run
    assert is_run or (
        settled.run is small.masked and settled.multiply_adds == multiply_adds(small.masked, batches(1)[0])
    )
    assert is_run or all("0.80 times as fast" in layer.reason for layer in settled.layers)


def test_points_pruned_side_by_side_are_those_pruned_one_after_the_other() -> None:
    prepared = running.Run(mlp(), batches(), lambda _: 1.0, None, QUICK)
    asked = [(Weight(), 0.5), (Weight(), 0.2), (Neuron(), 0.5)]
    jobs = [prepared._prunings(*point) for point in asked]
    alone = [job(prepared.calibration).samples[0].model.state_dict() for job in jobs]
    hands = Hands(prepared.calibration, 2)
    together = [*hands.work(jobs[:2]), *hands.work(jobs[2:])]
    assert hands.count == 2
    for one, other in zip(alone, together, strict=True):
        found = other.result().samples[0].model.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in one.items())


def test_what_one_hand_raises_is_that_job_s_alone() -> None:
    def fail(_: Calibration) -> int:
        raise RuntimeError("no")

    hands = Hands(running.Run(mlp(), batches(), lambda _: 1.0, None, QUICK).calibration, 2)
    for jobs in ([fail, lambda _: 7], [lambda _: 7, fail]):
        results = hands.work(jobs)
        assert [future.exception() is not None for future in results] == [job is fail for job in jobs]
        assert [future.result() for future in results if future.exception() is None] == [7]


def test_what_runs_the_dense_operations_is_not_timed_against_them() -> None:
    """Its speed-up is 1, not the noise of the machine; here there is no stopwatch to ask."""
    prepared = running.Run(mlp(), batches(), lambda _: 1.0, None, QUICK)
    small = prepared._candidate(Neuron(), prepared._prune(Neuron(), 0.5)(prepared.calibration, {}))
    dense = run_dense(small, batches(1)[0], "")
    assert prepared._timed(dense) == (dense, Span(1.0, 1.0, 1.0))


def test_json_is_the_comparison(made: tuple[nn.Module, Comparison, Path]) -> None:
    _, found, out = made
    text = (out / "comparison.json").read_text()
    assert from_text(text) == found
    assert json.loads(text) == json.loads(json.dumps(as_object(found)))


def test_asked_again_nothing_is_computed(
    made: tuple[nn.Module, Comparison, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, found, out = made
    for name in ("prune_weights", "prune_units", "Stopwatch", "trace"):
        monkeypatch.setattr(running, name, None)
    shape = (12,) if isinstance(model[0], nn.Linear) else (3, 8, 8)

    def evaluate(_: nn.Module) -> float:
        raise AssertionError("evaluated again")

    options = prunegap.CompareOptions(repeats=2, turns=2, threads=1)
    again = prunegap.compare(model, batches(4, shape), evaluate, BUDGETS, GRANULARITIES, out=out, options=options)
    assert again == found


def test_another_setting_is_refused(made: tuple[nn.Module, Comparison, Path]) -> None:
    model, _, out = made
    shape = (12,) if isinstance(model[0], nn.Linear) else (3, 8, 8)
    options = prunegap.CompareOptions(repeats=2, turns=2, threads=1, seed=1)
    with pytest.raises(prunegap.BadInputError, match="another seed"):
        prunegap.compare(model, batches(4, shape), lambda m: 1.0, out=out, options=options)
    with pytest.raises(prunegap.BadInputError, match="another fingerprint"):
        prunegap.compare(model, batches(4, shape, seed=5), lambda m: 1.0, out=out, options=QUICK)


def test_interrupted_it_keeps_what_is_finished(tmp_path: Path) -> None:
    calls = []

    def evaluate(model: nn.Module) -> float:
        calls.append(model)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return 0.5

    ask = {"budgets": (0.6, 0.3), "granularities": ("weight",), "out": tmp_path}
    options = prunegap.CompareOptions(repeats=2, turns=1, threads=1)
    with pytest.raises(KeyboardInterrupt):
        prunegap.compare(mlp(), batches(), evaluate, options=options, **ask)  # type: ignore[arg-type]
    kept = from_text((tmp_path / "comparison.json").read_text())
    assert [p.keep_fraction for p in kept.points] == [0.6]
    whole = prunegap.compare(mlp(), batches(), evaluate, options=options, **ask)  # type: ignore[arg-type]
    assert whole.points[0] == kept.points[0]
    assert len(calls) == 6
    assert [p.status for p in whole.points] == [PointStatus.DONE, PointStatus.DONE]


def test_one_failed_budget_loses_no_other(tmp_path: Path) -> None:
    def evaluate(model: nn.Module) -> float:
        if int((model[0].weight != 0).sum()) < 300:  # type: ignore[index]
            raise RuntimeError("out of cheese")
        return 0.5

    options = prunegap.CompareOptions(repeats=1, turns=1, threads=1)
    found = prunegap.compare(mlp(), batches(), evaluate, (0.9, 0.1), ("weight",), out=tmp_path, options=options)
    assert [p.status for p in found.points] == [PointStatus.DONE, PointStatus.FAILED]
    assert "out of cheese" in found.points[1].reason
    assert "failed" in str(found)


def test_sparse_models_come_back_sparse(tmp_path: Path) -> None:
    from prunegap.trained.compare.model_file import save_model
    from prunegap.trained.execute.choose import _replaced
    from prunegap.trained.execute.forms import sparse_forms
    from prunegap.trained.structure import trace

    for model, shape in ((mlp(), (12,)), (cnn(), (3, 8, 8))):
        x = batches(1, shape)[0]
        structure = trace(model.eval(), (x,))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter[:, 4:8] = 0.0
        layers = {n: m for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
        forms = {name: sparse_forms(layer)["csr"] for name, layer in layers.items()}
        sparse = _replaced(model, forms)
        save_model(tmp_path / "m.safetensors", sparse, model, structure)
        loaded = prunegap.load(tmp_path / "m.safetensors")
        assert sum(type(m).__name__.startswith("Sparse") for m in loaded.children()) == len(layers)
        with torch.no_grad():
            assert torch.equal(loaded(x), sparse(x))
            assert torch.equal(loaded(x[:3]), sparse(x[:3]))
