"""What a run tells while it goes: plain lines, a log file, nothing at all, and `prunegap status` from outside."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from prunegap.cli import run
from prunegap.cli.progress import Progress, duration, in_words
from prunegap.model.granularity import Neuron
from prunegap.study.cell import Cell
from prunegap.study.presence import DRIVERS, Presence, drivers
from prunegap.study.row import Row
from prunegap.study.standing import Standing, Tally
from prunegap.study.store import Store
from prunegap.study.width import Effort, WidthInterval

GRID = ["--epsilon", "0.5,0.3", "--dimension", "1", "--seeds", "2", "--workers", "1"]
PROMISED = {
    "host": str, "pid": int, "alive": bool, "seconds_since_beat": float, "executor": str, "slots": int,
    "started": str, "beat": str, "total": int, "done": int, "open": int, "censored": int,
    "cells_per_minute": float | None, "seconds_left": float | None, "worst": dict | None, "running": list,
}  # fmt: skip


def row(lower: int, upper: int | None, seed: int = 0) -> Row:
    cell = Cell(2, 0.1, Neuron(), seed)
    return replace(Row.of(WidthInterval(cell, lower, None, seconds=2.0), Effort(60.0)), upper=upper)


def standing(done: int = 1) -> Standing:
    tally = Tally(5)
    tally.count(row(9, 30), measured=True)
    return replace(tally.standing(2, 90.0), done=done, per_minute=12.34)


def test_a_standing_in_words() -> None:
    assert in_words(standing()) == (
        "1 of 5 cells; 1 open, 0 censored; 2 running; 12.3 a minute; about 90 s left; "
        "worst: d=2 eps=0.1 neuron seed 0: width in (9, 30]"
    )
    assert "left" not in in_words(standing(done=5))


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "0 s"), (99.0, "99 s"), (600.0, "10 min"), (9000.0, "2.5 h"), (2e6, "23.1 days")]
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_where_nobody_looks_lines_are_plain_and_rare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    now = [0.0]
    monkeypatch.setattr("prunegap.cli.progress.time.monotonic", lambda: now[0])
    with Progress(5, log_file=tmp_path / "log") as progress:
        watch = progress.watch
        assert watch.standing is not None
        assert watch.event is not None
        for second in range(0, 105, 3):
            now[0] = float(second)
            watch.standing(standing())
        watch.event("the workers are gone")
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 4
    assert not any(ord(letter) < 32 and letter != "\n" for letter in err)
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.split(" ", 1)[1].split(":")[0] for line in log] == [
        "begun", *["1 of 5 cells; 1 open, 0 censored; 2 running; 12.3 a minute; about 90 s left; worst"] * 3,
        "the workers are gone", "1 of 5 cells; 1 open, 0 censored; 2 running; 12.3 a minute; about 90 s left; worst",
        "ended",
    ]  # fmt: skip


def test_on_a_terminal_the_line_is_live_and_events_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    with Progress(5) as progress:
        watch = progress.watch
        assert watch.standing is not None
        assert watch.event is not None
        watch.standing(standing())
        watch.event("a [worker] died")
    assert "a [worker] died\n" in terminal.getvalue()
    assert "1 open, 0 censored" in terminal.getvalue()


def test_quiet_is_silent_and_the_log_file_is_not(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "run.log"
    assert run(["measure", *GRID, "--out", str(tmp_path / "s"), "--quiet", "--log-file", str(log), "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert len(json.loads(out)["cells"]) == 8
    lines = log.read_text().splitlines()
    assert lines[0].endswith("begun: 8 cells")
    assert "8 of 8 cells; 0 open, 0 censored; 0 running" in lines[-2]
    assert lines[-1].endswith("ended")


def test_a_log_file_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["measure", *GRID, "--out", str(tmp_path / "s"), "--log-file", str(tmp_path / "no" / "log")]) == 2
    assert "log file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_status_of_a_study_at_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / "s") as store:
        for seed, lower in enumerate((9, 19)):
            store.put(row(lower, None, seed), WidthInterval(Cell(2, 0.1, Neuron(), seed), lower, None, seconds=2.0))
    assert run(["status", str(tmp_path / "s")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2 cells: 0 closed, 0 open, 2 censored; 4 s of measuring",
        "worst cell: d=2 eps=0.1 neuron seed 1: width 20 or more",
        "no driver is at work",
    ]
    assert run(["status", str(tmp_path / "s"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["schema", "cells", "closed", "open", "censored", "seconds", "worst", "drivers"]
    assert (said["cells"], said["censored"], said["drivers"]) == (2, 2, [])


def test_status_of_what_is_no_study_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_status_from_another_terminal_while_a_run_goes_on_and_after_it_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s"
    grid = [
        "--epsilon",
        "0.0001",
        "--granularity",
        "neuron",
        "--seeds",
        "50",
        "--workers",
        "1",
        "--time-limit",
        "0.5",
    ]
    command = [sys.executable, "-m", "prunegap.cli", "measure", *grid, "--out", str(out), "--quiet"]
    study = subprocess.Popen(command)
    try:
        end = time.monotonic() + 60.0
        while not any(driver.running for driver in drivers(out)):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert run(["status", str(out), "--json"]) == 0
        (driver,) = json.loads(capsys.readouterr().out)["drivers"]
        assert set(driver) == set(PROMISED)
        for name, kind in PROMISED.items():
            assert isinstance(driver[name], kind), name
        assert (driver["pid"], driver["alive"], driver["total"]) == (study.pid, True, 50)
        assert driver["running"][0]["dimension"] == 2
        assert run(["status", str(out)]) == 0
        assert f"driver {study.pid}" in capsys.readouterr().out
    finally:
        study.kill()
        study.wait()
    assert run(["status", str(out)]) == 0
    assert "ended without a word" in capsys.readouterr().out
    assert run(["status", str(out), "--json"]) == 0
    assert [driver["alive"] for driver in json.loads(capsys.readouterr().out)["drivers"]] == [False]


def test_drivers_see_each_other_and_clean_up_after_the_dead(tmp_path: Path) -> None:
    tmp_path.joinpath("s").mkdir()
    cell, study = Cell(2, 0.1, Neuron(), 0), tmp_path / "s"
    with Presence(study, "serial", 1) as one, Presence(study, "processes", 4) as two:
        assert one.others() == []
        one.beat({cell: "now"}, standing(), news=True)
        (seen,) = two.others()
        assert (seen.running, seen.pid, seen.alive) == ({cell.key}, os.getpid(), True)
        one.beat({}, standing(), news=True)  # too soon after the last one to be written
    assert not (study / DRIVERS).exists()

    killed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with Presence(study, "serial", 1) as gone:
        gone._said["pid"] = killed.pid
        gone.beat({cell: "now"}, standing())
        assert [driver.alive for driver in drivers(study)] == [True]
        killed.send_signal(signal.SIGTERM)
        killed.wait()
        assert [driver.alive for driver in drivers(study)] == [False]
        with Presence(study, "serial", 1) as another:
            assert another.others() == []
            assert drivers(study) == []


def test_a_driver_that_says_nothing_for_a_minute_counts_for_nothing(tmp_path: Path) -> None:
    with Presence(tmp_path, "serial", 1) as driver:
        driver.beat({}, standing())
        (file,) = (tmp_path / DRIVERS).iterdir()
        os.utime(file, (time.time() - 61.0,) * 2)
        assert [d.alive for d in drivers(tmp_path)] == [False]
        file.write_text("{")
        assert drivers(tmp_path) == []
