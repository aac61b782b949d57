"""The commands end to end, as a user runs them: in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from prunegap.cli import run
from prunegap.study.store import DATABASE, TICKETS, Store

GRID = ["--dimension", "1,2", "--epsilon", "0.5,0.3", "--seeds", "2", "--workers", "2", "--time-limit", "600"]
PROMISED = {
    "dimension": int,
    "epsilon": float,
    "granularity": str,
    "readout": str,
    "init": str,
    "seed": int,
    "lower": int,
    "upper": int | None,
    "status": str,
    "seconds": float,
}


def prunegap(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prunegap.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A measured study and what --json printed."""
    out = tmp_path_factory.mktemp("measured") / "study"
    done = prunegap("measure", *GRID, "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_json_is_one_object_that_keeps_its_promise(study: tuple[Path, str]) -> None:
    said = json.loads(study[1])
    assert list(said) == ["schema", "cells"]
    assert said["schema"] == 1
    assert len(said["cells"]) == 2 * 2 * 2 * 2
    for cell in said["cells"]:
        assert list(cell) == list(PROMISED)
        for name, kind in PROMISED.items():
            assert isinstance(cell[name], kind), name
        assert cell["status"] == "closed"
        assert cell["upper"] == cell["lower"] + 1
    asked = [(c["dimension"], c["epsilon"], c["granularity"], c["seed"]) for c in said["cells"]]
    assert asked[:4] == [(1, 0.5, "weight", 0), (1, 0.5, "weight", 1), (1, 0.5, "neuron", 0), (1, 0.5, "neuron", 1)]


def test_at_one_input_neurons_are_weights(study: tuple[Path, str]) -> None:
    widths: dict[str, list[int]] = {"weight": [], "neuron": []}
    for cell in json.loads(study[1])["cells"]:
        if cell["dimension"] == 1:
            widths[cell["granularity"]].append(cell["upper"])
    assert widths["weight"] == widths["neuron"]


def test_the_directory_holds_study_picture_and_tickets(study: tuple[Path, str]) -> None:
    out, _ = study
    assert sorted(p.name for p in out.iterdir()) == [DATABASE, TICKETS, "width.png", "width.svg"]
    assert len(list((out / TICKETS).iterdir())) == 16


def test_a_second_run_computes_nothing_anew_and_says_the_same(study: tuple[Path, str]) -> None:
    out, said = study
    with Store(out) as store:
        before = store.rows()
    again = prunegap("measure", *GRID, "--out", str(out), "--json")
    assert (again.returncode, again.stdout) == (0, said)
    with Store(out) as store:
        assert store.rows() == before


def test_the_table_and_the_sentence(study: tuple[Path, str]) -> None:
    done = prunegap("measure", *GRID, "--out", str(study[0]))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert sum("weight width" in line and "neuron width" in line and "ratio" in line for line in lines) == 2
    assert sum(line.startswith("At d = ") and line.endswith(".") for line in lines) == 2
    assert str(study[0]) in done.stderr


def test_every_ticket_of_the_study_verifies_from_its_file_alone(study: tuple[Path, str], tmp_path: Path) -> None:
    tickets = sorted((study[0] / TICKETS).iterdir())
    done = prunegap("verify", *map(str, tickets), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(tickets)
    assert all(": verified: " in line for line in done.stdout.splitlines())


def test_verify_fails_loudly_and_still_checks_the_rest(study: tuple[Path, str], tmp_path: Path) -> None:
    tickets = sorted((study[0] / TICKETS).iterdir())[:2]
    content = bytearray(tickets[0].read_bytes())
    content[-1] ^= 1
    (tmp_path / "tampered").write_bytes(content)
    (tmp_path / "cut").write_bytes(content[:40])
    done = prunegap("verify", "tampered", "cut", "absent", str(tickets[1]), cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    errors = done.stderr.splitlines()
    assert [line.split(":")[:2] for line in errors] == [["error", f" {n}"] for n in ("tampered", "cut", "absent")]


def test_a_width_that_is_too_small_is_censored_not_guessed(tmp_path: Path) -> None:
    done = prunegap(
        "measure", "--epsilon", "0.1", "--seeds", "1", "--max-width", "4", "--out", "s", "--json", cwd=tmp_path
    )
    assert done.returncode == 0
    for cell in json.loads(done.stdout)["cells"]:
        assert (cell["lower"], cell["upper"], cell["status"]) == (4, None, "censored")


def test_the_empty_ticket(tmp_path: Path) -> None:
    done = prunegap("measure", "--epsilon", "1.5", "--seeds", "1", "--out", "s", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [(c["lower"], c["upper"]) for c in json.loads(done.stdout)["cells"]] == [(-1, 0), (-1, 0)]


@pytest.mark.parametrize("granularity", ["neuron", "weight"])
def test_search_finds_a_ticket_and_saves_it(granularity: str, tmp_path: Path) -> None:
    network = {"W": np.array([[-3.0, 1.0], [0.6, 0.8]]), "v": np.array([1.0, 1.0]), "target": np.array([0.6, 0.8])}
    np.savez(tmp_path / "n.npz", **network)
    options = ("--network", "n.npz", "--epsilon", "0.01", "--granularity", granularity, "--out", "t.safetensors")
    done = prunegap("search", *options, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert list(said) == ["status", "error_upper", "kept_neurons", "kept_weights", "seconds"]
    assert said["status"] == "found"
    assert 0.0 <= said["error_upper"] <= 0.01
    assert (said["kept_neurons"], said["kept_weights"]) == (1, 2)
    assert prunegap("verify", "t.safetensors", cwd=tmp_path).returncode == 0
    assert prunegap("search", *options, cwd=tmp_path).stdout.startswith("found: ")


def test_search_finds_a_ticket_in_a_draw(tmp_path: Path) -> None:
    options = ("--dimension", "2", "--width", "60", "--seed", "1", "--epsilon", "0.1", "--out", "t.safetensors")
    done = prunegap("search", *options, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "found"
    # The file holds the recipe and no network.
    assert (tmp_path / "t.safetensors").stat().st_size < 1500
    assert prunegap("verify", "t.safetensors", cwd=tmp_path).returncode == 0


def test_search_goes_through_a_draw_too_wide_to_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a limit of 3,000 neurons of 16 inputs: found within it and stored, found beyond it, and not found."""
    monkeypatch.setattr("prunegap.model.draw.HELD_BYTES", 3000 * 17 * 8)
    monkeypatch.setattr("prunegap.search.streamed.ENTRIES", 100 * 17)
    place = tmp_path / "t.safetensors"
    line = ["search", "--dimension", "16", "--width", "40000", "--granularity", "weight", "--out", str(place)]
    assert run([*line, "--epsilon", "0.05", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["kept_neurons"]) == ("found", said["kept_weights"])
    assert said["error_upper"] <= 0.05
    assert run(["verify", str(place)]) == 0
    before = place.read_bytes()
    capsys.readouterr()
    assert run([*line, "--epsilon", "0.002"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("found: weight pruning of 40000 neurons to error 0.002 keeps")
    assert told.err.startswith("not written")
    assert place.read_bytes() == before
    assert run([*line, "--epsilon", "0.000001"]) == 0
    assert capsys.readouterr().out.startswith("undecided: ")


def test_search_proves_that_there_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", W=np.array([[1.0, 0.0]]), v=np.array([0.1]), target=np.array([0.0, 1.0]))
    options = ("--network", "n.npz", "--epsilon", "0.1", "--granularity", "weight", "--readout", "linear")
    done = prunegap("search", *options, "--out", "t.safetensors", "--json", cwd=tmp_path)
    said = json.loads(done.stdout)
    assert [said[name] for name in ("status", "error_upper", "kept_neurons", "kept_weights")] == ["impossible"] + [
        None
    ] * 3
    assert not (tmp_path / "t.safetensors").exists()
    assert prunegap("search", *options, cwd=tmp_path).stdout.startswith("impossible: ")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["measure", "--help"], ["search", "--help"], ["verify", "-h"]]
)
def test_help(arguments: list[str]) -> None:
    done = prunegap(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


def test_version() -> None:
    done = prunegap("--version")
    assert (done.returncode, done.stdout.split()) == (0, ["prunegap", "0.1.0"])


HEAVY = ("numpy", "scipy", "numba", "ortools", "altair", "vl_convert", "torch", "rich", "safetensors")


@pytest.mark.parametrize("started", ["import prunegap", "from prunegap.cli.app import app"])
def test_starting_up_imports_nothing_heavy(started: str) -> None:
    code = f"import sys; {started}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import prunegap

    for name in prunegap.__all__:
        assert getattr(prunegap, name) is not None
    assert set(prunegap.__all__) == set(prunegap._HOMES)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = prunegap.nonsense


def test_progress_is_silent_on_standard_output_and_ends_with_where_things_are(study: tuple[Path, str]) -> None:
    environment = os.environ | {"COLUMNS": "200"}
    command = [sys.executable, "-m", "prunegap.cli", "measure", *GRID, "--out", str(study[0]), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 1


def listen_to_ctrl_c() -> None:
    """Undo what a shell does to its background jobs, and to the tests among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def has_a_row(directory: Path) -> bool:
    if not (directory / DATABASE).exists():
        return False
    with Store(directory) as store:
        return bool(store.rows())


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is no signal there")
def test_ctrl_c_even_twice_ends_quietly_and_says_how_to_go_on(tmp_path: Path) -> None:
    grid = [
        "--epsilon",
        "0.0001",
        "--granularity",
        "neuron",
        "--seeds",
        "1000",
        "--workers",
        "2",
        "--time-limit",
        "0.3",
    ]
    command = [sys.executable, "-m", "prunegap.cli", "measure", *grid, "--out", str(tmp_path / "s")]
    study = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen_to_ctrl_c
    )
    try:
        end = time.monotonic() + 60.0
        while not has_a_row(tmp_path / "s"):
            assert time.monotonic() < end
            time.sleep(0.1)
        study.send_signal(signal.SIGINT)
        time.sleep(0.3)
        study.send_signal(signal.SIGINT)
        out, err = study.communicate(timeout=60)
    finally:
        study.kill()
    assert (study.returncode, out) == (130, "")
    assert err.startswith("interrupted: ")
    assert "of 1000 cells are stored" in err
    assert err.count("\n") == 1
