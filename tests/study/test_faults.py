"""Whatever is killed, whenever: no row lost, none doubled, and in the end the rows of an undisturbed run."""

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from brute import choose
from kin import children
from stubborn import PAUSE, ROOM, slow

from prunegap.study import drive
from prunegap.study.cell import grid
from prunegap.study.presence import DRIVERS
from prunegap.study.row import Row
from prunegap.study.standing import Watch
from prunegap.study.store import DATABASE, TICKETS, CannotWriteError, Store
from prunegap.study.sweep import measure
from prunegap.study.ticket_file import load_ticket
from prunegap.study.width import Effort, WidthInterval
from prunegap.study.workers import Processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, kills and looks at processes through /proc")

CELLS = grid((1,), (0.45, 0.3), seeds=range(12))
EFFORT = Effort(60.0, 8)
KILLS = 20
MARK = "PRUNEGAP_TEST_MARK"

# Imports once and forks a driver for every attempt, so that the moments fall into the work and not into the start.
HARNESS = """
import json, os, signal, sys, time
sys.path[:0] = {paths!r}
from stubborn import paused
from prunegap.study.cell import grid
from prunegap.study.store import Store
from prunegap.study.sweep import measure
from prunegap.study.width import Effort

out, workers, moments = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
cells = grid((1,), (0.45, 0.3), seeds=range(12))

def drive():
    pid = os.fork()
    if pid == 0:
        try:
            measure(cells, out, Effort(60.0, 8), workers, choose=paused)
        finally:
            os._exit(0)
    return pid

def stored():
    try:
        with Store(out, read_only=True) as store:
            return {{row.cell.key: row for row in store.rows()}}
    except ValueError:
        return {{}}

before, cut = {{}}, 0
for moment in moments:
    driver = drive()
    time.sleep(moment)
    os.kill(driver, signal.SIGKILL)
    cut += os.WIFSIGNALED(os.waitpid(driver, 0)[1])
    now = stored()
    assert all(now.get(key) == row for key, row in before.items()), "a row was lost or changed"
    before = now
print(json.dumps([cut, len(before)]))
assert os.waitpid(drive(), 0)[1] == 0
assert all(stored().get(key) == row for key, row in before.items()), "a row was lost or changed"
"""


def proven(rows: list[Row]) -> list[tuple[str, int, int | None]]:
    return [(row.cell.key, row.lower, row.upper) for row in rows]


@pytest.fixture(scope="module")
def reference() -> list[tuple[str, int, int | None]]:
    return proven(measure(CELLS, None, EFFORT, choose=choose))


def check(out: Path, reference: list[tuple[str, int, int | None]]) -> None:
    """Check that a study holds each cell once, as an undisturbed run has it, and every ticket, verified."""
    with Store(out) as store:
        rows = store.rows()
        found = store.rows_of(CELLS)
    assert len(rows) == len(found) == len(CELLS)
    assert proven([found[cell] for cell in CELLS]) == reference
    with closing(sqlite3.connect(out / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    named = {row.ticket for row in rows if row.ticket}
    assert {path.name for path in (out / TICKETS).iterdir() if path.suffix == ".safetensors"} >= named
    for row in rows:
        if row.ticket:
            assert load_ticket(out / TICKETS / row.ticket).verify().proves(row.cell.epsilon)
    assert not (out / DRIVERS).exists()


def marked(mark: str) -> list[int]:
    """The processes that carry the mark in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and f"{MARK}={mark}\0".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            pass
    return found


@pytest.mark.parametrize(("workers", "kills", "longest"), [(1, KILLS, 0.2), (2, 5, 3.0)])
def test_the_driver_is_killed_at_random_moments(
    workers: int, kills: int, longest: float, tmp_path: Path, reference: list[tuple[str, int, int | None]]
) -> None:
    here, out = Path(__file__).parent, tmp_path / "study"
    script = tmp_path / "harness.py"
    script.write_text(HARNESS.format(paths=[str(here), str(here.parent)]))
    choice = random.Random(workers)
    moments = [choice.uniform(0.0, longest) for _ in range(kills)]
    command = [sys.executable, str(script), str(out), str(workers), json.dumps(moments)]
    environment = os.environ | {MARK: str(tmp_path), PAUSE: "0.02" if workers == 1 else "0.2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cut, _ = json.loads(done.stdout)
    assert cut >= 0.8 * kills, "the drivers were quicker than their killer"
    check(out, reference)
    end = time.monotonic() + 20.0
    while marked(str(tmp_path)):
        assert time.monotonic() < end, "worker processes outlived their drivers"
        time.sleep(0.1)


def test_killed_workers_cost_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PAUSE, "0.2")
    cells = CELLS[:16]
    before, victims = set(children(os.getpid())), list[int]()

    def kill_one(row: Row, done: int, total: int) -> None:
        """Kill both of the first two workers, one after the other: no cell loses two."""
        if done == 2:
            victims.extend(child for child in children(os.getpid()) if child not in before)
        if done in (2, 12):
            os.kill(victims[done == 12], signal.SIGKILL)

    with Processes(2) as workers:
        rows = measure(cells, tmp_path / "s", EFFORT, workers, kill_one, choose=slow)
    monkeypatch.setenv(PAUSE, "0")
    reference = measure(cells, None, EFFORT, choose=slow)
    assert [(row.cell, row.lower, row.upper, row.reason) for row in rows] == [
        (row.cell, row.lower, row.upper, row.reason) for row in reference
    ]
    with Store(tmp_path / "s") as store:
        assert len(store.rows()) == len(cells)


class FullDisk:
    """Fails the puts from the third to the one numbered `until`, as a disk does that is full for a while."""

    def __init__(self, until: float) -> None:
        self.puts, self.until, self.put = 0, until, Store.put

    def __call__(self, store: Store, row: Row, interval: WidthInterval) -> Row:
        self.puts += 1
        if 3 <= self.puts <= self.until:
            raise CannotWriteError(Path("study.sqlite"), "disk is full")
        return self.put(store, row, interval)


@pytest.mark.parametrize("until", [3, 7, math.inf])
def test_what_cannot_be_written_is_kept_and_written_later(
    until: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: list[tuple[str, int, int | None]]
) -> None:
    disk, events = FullDisk(until), list[str]()
    monkeypatch.setattr(drive, "WRITE_PATIENCE", 60.0 if until < math.inf else 1.0)
    monkeypatch.setattr(Store, "put", lambda store, row, interval: disk(store, row, interval))

    def attempt() -> list[Row]:
        watch = Watch(event=events.append)
        with Processes(2) as workers:
            return measure(CELLS, tmp_path / "s", EFFORT, workers, choose=choose, watch=watch)

    if until < math.inf:
        assert proven(attempt()) == reference
        assert any("nothing new is begun" in event for event in events)
    else:
        with pytest.raises(CannotWriteError, match="disk is full"):
            attempt()
        monkeypatch.undo()
        with Store(tmp_path / "s") as store:
            assert len(store.rows()) == 2
        measure(CELLS, tmp_path / "s", EFFORT, choose=choose)
    check(tmp_path / "s", reference)


TWO_DRIVERS = """
import sys
sys.path[:0] = {paths!r}
from stubborn import noted
from prunegap.study.cell import grid
from prunegap.study.sweep import measure
from prunegap.study.width import Effort

measure(grid((1,), (0.45, 0.3), seeds=range(12)), sys.argv[1], Effort(60.0, 8), choose=noted)
"""


def test_two_drivers_on_one_study_share_the_work(tmp_path: Path) -> None:
    here, out = Path(__file__).parent, tmp_path / "study"
    script = tmp_path / "driver.py"
    script.write_text(TWO_DRIVERS.format(paths=[str(here), str(here.parent)]))
    environment = os.environ | {ROOM: str(tmp_path), PAUSE: "0.2", "PYTHONHASHSEED": "0"}
    drivers = [subprocess.Popen([sys.executable, str(script), str(out)], env=environment) for _ in range(2)]
    assert [driver.wait(120) for driver in drivers] == [0, 0]
    asked = [line.split(" ", 1) for line in (tmp_path / "asked").read_text().splitlines()]
    assert {int(pid) for pid, _ in asked} == {driver.pid for driver in drivers}
    assert len({cell for _, cell in asked}) == len(CELLS) // 2  # a weight and a neuron cell ask the same at d = 1
    assert len(asked) <= 1.25 * len(CELLS), "most of the work was done twice"
    with Store(out) as store:
        assert len(store.rows()) == len(store.rows_of(CELLS)) == len(CELLS)
    assert not (out / DRIVERS).exists()
