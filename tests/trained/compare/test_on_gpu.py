"""The comparison on a GPU: every granularity is done, whatever the precision, the budget and the timing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import prunegap
from prunegap.cli import run
from trained.compare.small import batches, cnn, mlp

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("budget_of", ["weights", "latency"])
def test_every_point_is_done_or_out_of_reach(
    precision: torch.dtype, graphs: bool, budget_of: str, tmp_path: Path
) -> None:
    for model, shape in ((mlp(), (12,)), (cnn(), (3, 8, 8))):
        model = model.eval().to("cuda", precision)
        data = [batch.to("cuda", precision) for batch in batches(4, shape)]
        options = prunegap.CompareOptions(
            repeats=1, turns=3, threads=2, finetune_steps=2, cuda_graphs=graphs, budget_of=budget_of
        )
        out = tmp_path / type(model[0]).__name__
        found = prunegap.compare(model, data, budgets=(0.5,), out=out, options=options)
        assert {(p.granularity, p.reason) for p in found.points if p.failed} == set()
        assert found.setting.device == "cuda:0"
        for point in found.done:
            loaded = prunegap.load(out / point.file)
            assert loaded(data[0].cpu()).shape == model(data[0]).shape


def test_the_command_moves_model_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["compare", "trained.compare.small:mlp", "--data", "trained.compare.small:unlabelled", "--budgets", "0.5"]
    where = ["--device", "cuda", "--precision", "float16", "--cuda-graphs", "--repeats", "1", "--threads", "2"]
    assert run([*line, *where, "--out", str(tmp_path / "out")]) == 0
    assert "cuda:0 as CUDA graphs" in capsys.readouterr().out
