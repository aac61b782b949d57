"""`prunegap ticket compare` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prunegap.cli import run
from prunegap.model.errors import BadInputError
from prunegap.nn import read_rival, read_ticket

QUICK = ["--steps", "5", "--epsilon", "0.05"]


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """A small state and data beside it, as arguments."""
    torch.manual_seed(0)
    save_file({"a.weight": 0.3 * torch.randn(8, 10), "b.weight": 0.3 * torch.randn(3, 8)}, tmp_path / "state")
    save_file({"x": torch.rand(60, 10), "y": torch.randint(0, 3, (60,))}, tmp_path / "data")
    return [str(tmp_path / "state"), "--spec", "a relu b", "--input", "10", "--data", str(tmp_path / "data")]


def test_the_table_and_its_files(given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "folder"
    assert run(["ticket", "compare", *given, *QUICK, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["fitted_on"], told["measured_on"], told["target_weights"]) == (45, 15, 104)
    methods = [(row["method"], row["granularity"]) for row in told["rows"]]
    assert methods == [
        ("subset sums", "weight"),
        ("neuron selection", "neuron"),
        ("edge-popup, labels", "weight"),
        ("edge-popup, labels", "2:4"),
        ("edge-popup, labels", "neuron"),
    ]
    for row in told["rows"]:
        assert row["status"] == "found"
        assert (out / row["file"]).stat().st_size == row["bytes"]
        (read_ticket if row["file"].endswith(".ticket") else read_rival)(out / row["file"])
    rival, cut = (str(out / told["rows"][place]["file"]) for place in (1, 0))
    assert run(["ticket", "show", rival]) == 2
    assert "network-rival, no network-ticket; read it with prunegap.nn.read_rival" in capsys.readouterr().err
    with pytest.raises(BadInputError, match="use prunegap ticket show"):
        read_rival(cut)


def test_lines_say_what_could_not_finish(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--widths", "2,own", "--seconds", "0", "--learned", "none"]
    assert run(["ticket", "compare", *given, *QUICK, *options]) == 0
    told = capsys.readouterr().out
    assert "width 2: impossible:" in told
    assert "neuron selection, neuron, width 2: undecided: time limit of 0 s" in told
    assert "measured on 15 others" in told


def test_finest_gives_each_width_its_best(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--widths", "4,32", "--finest", "--learned", "none", "--json"]
    assert run(["ticket", "compare", *given, *options]) == 0
    narrow, _, wide, _ = json.loads(capsys.readouterr().out)["rows"]
    assert wide["relative_error"] < 0.1 * narrow["relative_error"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--widths", "a"], "widths"),
        (["--finest"], "widths"),
        (["--learn", "nothing"], "learn"),
        (["--learned", "block:2"], "block:2"),
        (["--keep-fraction", "0"], "keep_fraction"),
        (["--steps", "0"], "steps"),
    ],
)
def test_bad_input_is_one_line(
    given: list[str], options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ticket", "compare", *given, *QUICK, *options]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said
