"""`prunegap measure --cluster`: the example of docs/cluster.md as it stands there, and what is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prunegap.cli import run
from prunegap.study.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (tmp_path / "log").open("w") as log:
        subprocess.run(
            ["bash", "-e", "-c", script.replace("8786", str(port))],
            env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True, check=False, timeout=240,
        )  # fmt: skip
    told = (tmp_path / "log").read_text()
    with Store(tmp_path / "my-study", read_only=True) as store:
        rows = store.rows()
    assert len(rows) == 8, told
    assert {(row.status, row.provenance.executor) for row in rows} == {("closed", "dask")}
    # Dask's workers may complain about a scheduler that goes; no line of ours may be part of it.
    assert not re.search(r'File ".*prunegap/(study|cli)/', told), told


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_without_dask_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    told = refused(["measure", "--cluster", "tcp://127.0.0.1:1", "--out", str(tmp_path / "s")], capsys)
    assert "prunegap[cluster]" in told
    assert list(tmp_path.iterdir()) == []


def test_workers_and_a_cluster_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--cluster", "tcp://127.0.0.1:1", "--workers", "2", "--out", str(tmp_path / "s")]
    assert "--workers" in refused(["measure", *options], capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_does_not_answer_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunegap.study.cluster.CONNECT_SECONDS", 1.0)
    assert "does not answer" in refused(
        ["measure", "--cluster", "tcp://127.0.0.1:1", "--out", str(tmp_path / "s")], capsys
    )
    assert list(tmp_path.iterdir()) == []
