"""Bad input: exit code 2, one line that names the value, the rule and the remedy, and nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunegap.cli import run
from prunegap.cli.lists import seeds
from prunegap.model.errors import BadInputError

OPTIONS: dict[str, list[str]] = {
    "epsilon of 0": ["--epsilon", "0"],
    "negative epsilon": ["--epsilon", "0.1,-0.1"],
    "epsilon nan": ["--epsilon", "nan"],
    "infinite epsilon": ["--epsilon", "inf"],
    "epsilon in words": ["--epsilon", "small"],
    "an empty item": ["--epsilon", "0.1,,0.2"],
    "an empty list": ["--epsilon", ""],
    "dimension 0": ["--dimension", "0"],
    "a fractional dimension": ["--dimension", "2.5"],
    "a huge dimension": ["--dimension", "9999999999"],
    "unknown granularity": ["--granularity", "rows"],
    "n above m": ["--granularity", "5:4"],
    "a block longer than a row": ["--granularity", "block:3"],
    "unknown readout": ["--readout", "tanh"],
    "unknown init": ["--init", "xavier"],
    "no seeds": ["--seeds", "0"],
    "seeds downwards": ["--seeds", "9-7"],
    "a negative seed": ["--seeds=-3"],
    "countless seeds": ["--seeds", "999999999"],
    "max width 0": ["--max-width", "0"],
    "max width in words": ["--max-width", "wide"],
    "no time": ["--time-limit", "0"],
    "time nan": ["--time-limit", "nan"],
    "no workers": ["--workers", "0"],
    "unknown option": ["--epsilons", "0.1"],
    "a stray argument": ["0.1"],
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, check how it was refused and return the line on standard error."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert ";" in err, "the line names a remedy"
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_measure_refuses(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["measure", "--out", str(tmp_path / "study"), *options], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named", "helped"),
    [
        ([], "Missing command", "prunegap"),
        (["mesure"], "'mesure'", "prunegap"),
        (["search"], "'--epsilon'", "prunegap search"),
        (["verify"], "'files'", "prunegap verify"),
        (["search", "--epsilon", "0.1"], "'--network'", "prunegap search"),
        (["ticket", "make"], "'state'", "prunegap ticket make"),
    ],
)
def test_a_command_that_is_incomplete_is_refused_with_its_own_help(
    arguments: list[str], named: str, helped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(arguments, capsys)
    assert named in line
    assert line.endswith(f"; see {helped} --help\n")


@pytest.mark.parametrize("place", ["file", "file/below", "full"])
def test_an_unusable_out_directory_is_refused(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    assert place in refused(["measure", "--epsilon", "0.9", "--out", str(tmp_path / place)], capsys)
    assert {p.name: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == {
        "file": "mine",
        "thesis.tex": "mine",
    }


def test_a_damaged_study_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"not a database at all" * 100)
    assert "study.sqlite" in refused(["measure", "--out", str(tmp_path)], capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["study.sqlite"]


GOOD: dict[str, Any] = {"W": np.array([[1.0, 0.2], [0.3, -1.0]]), "v": np.array([0.5, 0.7]), "target": [0.6, 0.8]}
NETWORKS: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"W": np.array([[1.0, np.nan], [0.0, 1.0]])}, "W"),
    "infinite": ({"v": np.array([1.0, np.inf])}, "v"),
    "mismatched rows": ({"v": np.ones(3)}, "v"),
    "mismatched columns": ({"target": np.ones(3)}, "target"),
    "too few axes": ({"W": np.ones(2)}, "W"),
    "too many axes": ({"v": np.ones((2, 1))}, "v"),
    "no rows": ({"W": np.ones((0, 2)), "v": np.ones(0)}, "W"),
    "no columns": ({"W": np.ones((2, 0)), "target": np.ones(0)}, "W"),
    "target of norm 0": ({"target": np.zeros(2)}, "target"),
    "complex": ({"v": np.array([1.0 + 2.0j, 1.0])}, "v"),
    "text": ({"v": np.array(["1.5", "2"])}, "v"),
    "objects": ({"v": np.array([1.0, None], dtype=object)}, "network.npz"),
}


@pytest.mark.parametrize(("changes", "named"), NETWORKS.values(), ids=NETWORKS.keys())
def test_search_refuses_a_network(
    changes: dict[str, Any], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "network.npz", **{**GOOD, **changes})
    out = tmp_path / "t.safetensors"
    arguments = ["search", "--network", str(tmp_path / "network.npz"), "--epsilon", "0.1", "--out", str(out)]
    assert named in refused(arguments, capsys)
    assert not out.exists()


@pytest.mark.parametrize("missing", ["W", "v", "target"])
def test_search_names_the_missing_array(missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "network.npz", **{name: value for name, value in GOOD.items() if name != missing})
    assert missing in refused(["search", "--network", str(tmp_path / "network.npz"), "--epsilon", "0.1"], capsys)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(np.float64(1.0).tobytes())
    path.write_bytes(content[:place] + b"\x01" + content[place + 1 :])


FILES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("W = ..."),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04K\x01."),
    "one array": lambda path: np.save(path.open("wb"), np.ones(3)),
    "cut short": cut,
    "a changed byte": flip,
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", FILES.values(), ids=FILES.keys())
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_search_refuses_a_file(
    damage: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "network.npz"
    np.savez(path, **GOOD)
    damage(path)
    assert "network.npz" in refused(["search", "--network", str(path), "--epsilon", "0.1"], capsys)


@pytest.mark.parametrize(
    "options",
    [["--epsilon", "0"], ["--epsilon", "nan"], ["--granularity", "row"], ["--readout", "x"], ["--time-limit", "-1"],
     ["--workers", "0"], ["--granularity", "block:3"], ["--out", "absent/t.safetensors"]],
)  # fmt: skip
def test_search_refuses_options(options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "network.npz", **GOOD)
    epsilon = [] if "--epsilon" in options else ["--epsilon", "0.1"]
    told = refused(["search", "--network", str(tmp_path / "network.npz"), *epsilon, *options], capsys)
    assert options[1].split("/")[0] in told


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--dimension", "2"], "'--network'"),
        (["--width", "20"], "'--network'"),
        (["--network", "network.npz", "--dimension", "2"], "leave --dimension out"),
        (["--network", "network.npz", "--seed", "0", "--init", "normal"], "leave --seed, --init out"),
        (["--dimension", "0", "--width", "20"], "dimension 0"),
        (["--dimension", "2", "--width", "-1"], "width -1"),
        (["--dimension", "2", "--width", "20", "--seed", "-1"], "seed -1"),
        (["--dimension", "2", "--width", "20", "--init", "cauchy"], "init 'cauchy'"),
        (["--dimension", "4096", "--width", "1000000"], "1000000 neurons of 4096 inputs"),
        (["--dimension", "4096", "--width", "1000000", "--granularity", "weight", "--readout", "linear"], "61020"),
    ],
)
def test_search_refuses_draws(options: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert named in refused(["search", "--epsilon", "0.1", *options], capsys)


def test_search_overwrites_no_file_that_is_not_a_ticket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "network.npz"
    np.savez(path, **GOOD)
    before = path.read_bytes()
    refused(["search", "--network", str(path), "--epsilon", "0.1", "--out", str(path)], capsys)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3", [0, 1, 2]),
        ("7-9", [7, 8, 9]),
        ("0,3,9", [0, 3, 9]),
        ("1,4-5,4", [1, 4, 5]),
        ("4-4", [4]),
        (" 2 ", [0, 1]),
    ],
)
def test_the_syntax_of_seeds(text: str, found: list[int]) -> None:
    assert seeds(text) == found


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "3,", "1-2-3", "1.5", "5-3", "9" * 40])
def test_what_is_no_syntax_of_seeds(text: str) -> None:
    with pytest.raises(BadInputError):
        seeds(text)
