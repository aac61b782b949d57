"""`prunegap ticket` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunegap.cli import run
from prunegap.cli.ticket import _up

MADE = ["--spec", "a relu b", "--input", "30"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A small state, and data beside it."""
    torch.manual_seed(0)
    arrays = {"a.weight": 0.2 * torch.randn(40, 30), "a.bias": torch.randn(40), "b.weight": 0.2 * torch.randn(5, 40)}
    save_file(arrays, tmp_path / "state")
    save_file({"x": torch.rand(50, 30), "y": torch.randint(0, 5, (50,))}, tmp_path / "data")
    return tmp_path / "state"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that succeeds and return what it printed."""
    assert run([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_make_show_verify_load(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, data = tmp_path / "t", ["--data", tmp_path / "data"]
    told = json.loads(said(capsys, "ticket", "make", state, *MADE, "--out", out, *data, "--json"))
    assert told["status"] == "found"
    assert told["weights"] == 40 * 30 + 40 + 200
    assert told["bytes"] == out.stat().st_size
    assert told["certificate"]["weight_error"] <= 0.01
    assert told["measured"]["greatest_error"] <= told["certificate"]["output_error"]
    shown = json.loads(said(capsys, "ticket", "show", out, "--json"))
    assert shown == {key: value for key, value in told.items() if key not in ("status", "seconds")}
    text = said(capsys, "ticket", "show", out)
    assert "bits a weight" in text
    assert "proven on box:0:1" in text
    assert "undamaged" in said(capsys, "ticket", "verify", out)
    again = ["ticket", "verify", out, "--target", state, "--spec", "a relu b"]
    assert "verified" in said(capsys, *again)
    assert json.loads(said(capsys, *again, *data, "--json"))["measured"] == told["measured"]
    assert "3 arrays" in said(capsys, "ticket", "load", out, "--out", tmp_path / "s")
    loaded, wanted = load_file(tmp_path / "s"), load_file(state)
    assert loaded.keys() == wanted.keys()
    assert all((loaded[name] - wanted[name]).abs().max() <= 0.01 + 1e-7 for name in wanted)


def test_normalised_images_and_proofs_near_them(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, arrays = tmp_path / "t", load_file(tmp_path / "data")
    save_file({"x": (arrays["x"] - 0.5) / 0.25, "y": arrays["y"]}, tmp_path / "normal")
    given = ["--inputs", "pixels:0.5:0.25", "--data", tmp_path / "normal", "--near", 0.01, "--near-count", 3]
    told = json.loads(said(capsys, "ticket", "make", state, *MADE, "--out", out, *given, "--json"))
    assert told["layers"][0]["sides"] == 1
    assert told["near"]["count"] == 3
    assert told["near"]["output_error"] < told["certificate"]["output_error"]
    again = ["ticket", "verify", out, "--target", state, "--spec", "a relu b", "--data", tmp_path / "normal"]
    assert json.loads(said(capsys, *again, "--json"))["near"] == told["near"]
    assert "proven within 0.01 of each of 3 inputs" in said(capsys, "ticket", "show", out)
    both = json.loads(said(capsys, "ticket", "make", state, *MADE, "--out", out, *given, "--two-sided", "--json"))
    assert both["layers"][0]["sides"] == 2
    assert "verified" in said(capsys, *again)


def test_impossible_writes_nothing(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ticket", "make", state, *MADE, "--out", tmp_path / "t", "--width", 3]
    assert "impossible: layer a" in said(capsys, *command)
    told = json.loads(said(capsys, *command, "--json"))
    assert told["status"] == "impossible"
    assert not (tmp_path / "t").exists()
    assert told["epsilon_expected_to_do"] > 0.01


@pytest.mark.parametrize("width", [16, 30, 40])
def test_the_epsilon_proposed_is_met(
    state: Path, tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({name: part for name, part in load_file(state).items() if name != "a.bias"}, state)
    command = ["ticket", "make", state, *MADE, "--out", tmp_path / "t", "--width", width, "--epsilon"]
    told = json.loads(said(capsys, *command, 1e-6, "--json"))
    assert told["status"] == "impossible"
    again = json.loads(said(capsys, *command, told["epsilon_expected_to_do"], "--json"))
    assert again["status"] == "found"


def test_days_of_searches_are_refused_and_the_epsilon_proposed_is_found(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ticket", "make", str(state), *MADE, "--out", str(tmp_path / "t"), "--patience", "100"]
    assert run([*command, "--epsilon", "1e-9"]) == 2
    error = capsys.readouterr().err
    assert "expected to take" in error
    proposed = error.split("--epsilon ")[1].split(",")[0]
    assert not (tmp_path / "t").exists()
    assert 1e-7 < float(proposed) < 1e-3
    assert "found" in said(capsys, *command, "--epsilon", 1e-3)


def test_a_budget_is_kept(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["ticket", "make", state, *MADE, "--out", tmp_path / "t", "--size-budget", 12, "--json"]
    assert json.loads(said(capsys, *command))["bits_per_weight"] <= 12


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--spec", "a gelu b"], "gelu"), (["--input", "31"], "input shape"), (["--input", "x"], "input"),
        (["--inputs", "box:1"], "input set"), (["--epsilon", "-1"], "epsilon"), (["--share", "all"], "share"),
        (["--width", "0"], "width"), (["--size-budget", "0"], "size budget"), (["--inputs", "box:0.5:1"], "outside"),
        (["--inputs", "pixels:0.5:0"], "input set"), (["--inputs", "box:0,0:1,1"], "channels"),
        (["--near", "-1"], "radius"), (["--patience", "nan"], "patience"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(
    state: Path, tmp_path: Path, changes: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["ticket", "make", str(state), *MADE, "--out", str(tmp_path / "t"), "--data", str(tmp_path / "data")]
    assert run([*command, *changes]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert named in error
    assert error.count("\n") == 1
    assert not (tmp_path / "t").exists()


def test_damaged_tickets_and_wrong_targets(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t"
    said(capsys, "ticket", "make", state, *MADE, "--out", out)
    arrays = load_file(state)
    arrays["a.weight"][0, 0] += 1e-6
    save_file(arrays, tmp_path / "other")
    assert run(["ticket", "verify", str(out), "--target", str(tmp_path / "other"), "--spec", "a relu b"]) == 2
    assert "not the network" in capsys.readouterr().err
    out.write_bytes(out.read_bytes()[:-1])
    for command in (["show", str(out)], ["verify", str(out)], ["load", str(out), "--out", str(tmp_path / "s")]):
        assert run(["ticket", *command]) == 2
        assert str(out) in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_help_needs_no_torch() -> None:
    code = "import sys; from prunegap.cli import run; run(['ticket', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_bounds_are_shown_rounded_up() -> None:
    for bound in (0.00999992, 1.23449, 1.2345, 12345.1, 0.1, 3e-17):
        assert bound <= float(_up(bound)) <= bound * 1.001
    assert _up(0.0) == "0"
