"""`prunegap compare` from end to end on a small model: table, JSON, page, dry run, bad input, resume."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import prunegap
from prunegap.cli import run

SMALL = ["--granularity", "weight,neuron", "--budgets", "0.5,0.2", "--repeats", "1", "--threads", "1"]
MODEL = "trained.compare.small:mlp"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compare")
    assert run(["compare", MODEL, "--data", "trained.compare.small:data", *SMALL, "--out", str(out)]) == 0
    return out


def test_asked_again_it_answers_from_the_directory(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "comparison.json").read_text()
    assert run(["compare", MODEL, "--data", "trained.compare.small:data", *SMALL, "--out", str(made), "--json"]) == 0
    out = capsys.readouterr().out
    found, stored = json.loads(out), json.loads(before)
    assert found["points"] == stored["points"]
    assert found["setting"]["measure"] == "evaluate"
    assert {p["granularity"] for p in found["points"]} == {"weight", "neuron"}
    for point in found["points"]:
        prunegap.load(made / point["file"])


def test_the_table_and_the_page_tell_the_same_numbers(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", MODEL, "--data", "trained.compare.small:data", *SMALL, "--out", str(made)]) == 0
    out = capsys.readouterr().out
    assert out.strip().endswith(str(made / "compare.html"))
    page = (made / "compare.html").read_text(encoding="utf-8")
    stored = json.loads((made / "comparison.json").read_text())
    block = re.search(r'<script type="application/json" id="comparison-data">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    assert json.loads(block[1]) == stored
    for point in [stored["dense"], *stored["points"]]:
        quality = f"{point['quality']['median']:.4f}"
        assert quality in out
        assert quality in page
        assert f"{point['speedup']['median']:.2f}" in page
    assert (made / "figures" / "front-weights.svg").is_file()


def test_a_report_of_the_directory_is_the_same_page(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "compare.html").read_text(encoding="utf-8")
    (made / "compare.html").unlink()
    assert run(["report", str(made)]) == 0
    assert capsys.readouterr().out.strip() == str(made / "compare.html")
    assert (made / "compare.html").read_text(encoding="utf-8") == before


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "none"
    line = ["compare", MODEL, "--data", "trained.compare.small:data", *SMALL, "--out", str(out), "--dry-run"]
    assert run(line) == 0
    assert "3 layers can be pruned, 1888 weights" in capsys.readouterr().out
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers"][0] == ["0", [40, 12], 480]
    assert not out.exists()


def test_data_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    np.savez(tmp_path / "labelled.npz", x=x, y=np.arange(40) % 4)
    save_file({"x": x}, tmp_path / "bare.safetensors")
    for name, words in (("labelled.npz", "accuracy"), ("bare.safetensors", "fidelity")):
        out = tmp_path / name.partition(".")[0]
        line = ["compare", MODEL, "--data", str(tmp_path / name), "--granularity", "weight", "--budgets", "0.5",
                "--repeats", "1", "--threads", "1", "--batch", "8", "--out", str(out)]  # fmt: skip
        assert run(line) == 0
        assert f"{MODEL}: {words}, 1 repeat; cpu, batch 8, 1 thread" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["a file", "a function"])
def test_the_data_follow_the_model(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Single-precision data reach a model in half precision as such, else its first layer would refuse them."""
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32))
    data = str(tmp_path / "x.npz") if source == "a file" else "trained.compare.small:unlabelled"
    asked = ["--granularity", "weight,neuron", "--budgets", "0.5", "--repeats", "1", "--threads", "1"]
    where = ["--precision", "bfloat16", "--device", "cpu", "--out", str(tmp_path / "o"), "--json"]
    line = ["compare", MODEL, "--data", data, *asked, *where]
    assert run(line) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [p["status"] for p in points] == ["done", "done"]
    saved = prunegap.load(tmp_path / "o" / points[1]["file"])
    assert {p.dtype for p in saved.parameters()} == {torch.bfloat16}


BAD = [
    (["nothing", "--data", "x.npz"], "module:name"),
    ([MODEL, "--data", "missing.npz"], "cannot be read"),
    (["trained.compare.small:absent", "--data", "x.npz"], "cannot be made"),
    ([MODEL, "--data", "trained.compare.small:mlp"], "returned no pair"),
    ([MODEL, "--data", "trained.compare.small:data", "--budgets", "half"], "must be a number"),
    ([MODEL, "--data", "trained.compare.small:data", "--budgets", "2"], "must lie between"),
    ([MODEL, "--data", "trained.compare.small:data", "--granularity", "row"], "granularity 'row'"),
    ([MODEL, "--data", "trained.compare.small:data", "--measure", "beauty"], "must be one of agreement, fidelity"),
    ([MODEL, "--data", "trained.compare.small:data", "--precision", "int8"], "must be one of float32, float16"),
    ([MODEL, "--data", "trained.compare.small:data", "--device", "tpu"], "device 'tpu'"),
    ([MODEL, "--data", "trained.compare.small:data", "--device", "cpu", "--cuda-graphs"], "data on a GPU"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    line: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *line, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
