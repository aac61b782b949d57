"""Whatever happens to a writer, no row that `put` returned for is lost, none is doubled, and the end is the same."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from quick import STAGES, cell_of, checked, data, put

from prunegap.model.errors import BadInputError
from prunegap.study.intersection import ContradictionError
from prunegap.study.store import TICKETS, CannotWriteError, Store

HERE = Path(__file__).parent
CELLS = 150
KILLS = 20


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """The data of a study that nobody disturbed."""
    directory = tmp_path_factory.mktemp("reference") / "study"
    with Store(directory) as store:
        for seed in range(CELLS):
            for lower, upper in STAGES:
                put(store, seed, lower, upper)
    return checked(directory)


def script(body: str, *arguments: object, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, where `quick` and the package are importable."""
    command = [*wrapper, sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def isolated() -> tuple[str, ...] | None:
    """Return the command that gives a process mounts of its own, or None where the system does not allow it."""
    wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    try:
        allowed = subprocess.run([*wrapper, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode
    except OSError:
        return None
    return wrapper if allowed == 0 else None


NURSERY = """
    import os, pathlib, signal, sys, time, random
    from quick import checked, write
    directory, cells, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance, told = random.Random(11), {}
    for turn in range(kills + 1):
        out = os.open(f"{directory}-told-{turn}", os.O_CREAT | os.O_WRONLY)
        child = os.fork()
        if child == 0:
            os.dup2(out, 1)
            write(directory, range(cells), turn)
            os._exit(0)
        if turn < kills:
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        for line in pathlib.Path(f"{directory}-told-{turn}").read_text().splitlines(keepends=True):
            if line.endswith("\\n"):
                key, lower, upper = line.split()
                told[key] = max(told.get(key, (-1, -99)), (int(lower), -int(upper)))
        there = checked(directory) if (directory / "study.sqlite").exists() else {}
        for key, (lower, upper) in told.items():
            assert there[key][7] >= lower and -there[key][8] >= upper, (turn, key)
    print(len(told), file=sys.stderr)
"""


def test_kill_at_twenty_random_moments(tmp_path: Path, reference: dict[str, tuple[object, ...]]) -> None:
    directory = tmp_path / "study"
    done = script(NURSERY, directory, CELLS, KILLS)
    assert done.returncode == 0, done.stderr  # a row that was told of and is not there ends the script
    assert int(done.stderr) == CELLS
    codes = [int(code) for code in done.stdout.split()]
    assert codes[-1] == 0
    assert codes[:-1].count(-9) >= KILLS // 2
    assert checked(directory) == reference
    assert not [place for place in directory.iterdir() if place.name.startswith(".")]


def test_two_writers_at_once(tmp_path: Path, reference: dict[str, tuple[object, ...]]) -> None:
    directory = tmp_path / "study"
    commands = [[sys.executable, str(HERE / "quick.py"), str(directory), str(CELLS), str(k)] for k in (1, 2)]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert checked(directory) == reference


def test_the_clock_does_not_say_who_wins(tmp_path: Path) -> None:
    times = ("2026-01-01T00:00:00+00:00", "1970-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00")
    found = []
    for turn, clock in enumerate((times, times[::-1], (times[1], times[0], times[2]))):
        with Store(tmp_path / str(turn)) as store:
            for created, (lower, upper) in zip(clock, STAGES, strict=True):
                put(store, 0, lower, upper, created)
            found.append(data(store.rows()))
    (values,) = found[0].values()
    assert values[7:9] == (2, 5)
    assert found[0] == found[1] == found[2]


def test_the_first_row_stays_first_when_the_clock_is_set_back(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        put(store, 0, 1, 3, "2099-01-01T00:00:00+00:00")
        put(store, 1, 1, 3, "1970-01-01T00:00:00+00:00")
        assert [row.cell.seed for row in store.rows()] == [0, 1]


def test_a_worse_row_changes_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        best = put(store, 0, 2, 5)
        (ticket,) = (tmp_path / "s" / TICKETS).iterdir()
        before = ticket.read_bytes()
        assert put(store, 0, 1, 9).upper == 5
        assert put(store, 0, 2, None).upper == 5
        assert (store.rows()[0].lower, store.rows()[0].upper) == (best.lower, best.upper)
        assert ticket.read_bytes() == before


@pytest.mark.parametrize(("first", "second"), [((5, 9), (1, 5)), ((1, 5), (5, 9)), ((8, None), (1, 5))])
def test_rows_that_cannot_both_be_true_are_named_and_not_stored(
    tmp_path: Path, first: tuple[int, int | None], second: tuple[int, int | None]
) -> None:
    with Store(tmp_path / "s") as store:
        put(store, 0, *first)
        before = {path: path.read_bytes() for path in (tmp_path / "s" / TICKETS).iterdir()}
        with pytest.raises(ContradictionError) as raised:
            put(store, 0, *second)
        message = str(raised.value)
        assert message.count(cell_of(0).key) == 2
        assert message.count("prunegap 0") == 2
        assert [(row.lower, row.upper) for row in store.rows()] == [first]
    assert {path: path.read_bytes() for path in (tmp_path / "s" / TICKETS).iterdir()} == before


FULL = """
    import json, pathlib, subprocess, sys
    from quick import STAGES, checked, put
    from prunegap.study.store import CannotWriteError, Store
    room, cells, fill, free = pathlib.Path(sys.argv[1]), int(sys.argv[2]), *FAULT
    waiting, refused = [(seed, *stage) for seed in range(cells) for stage in STAGES], 0
    with Store(room / "study") as store:
        fill()
        before = len(waiting)
        while waiting:
            try:
                put(store, *waiting[0])
                waiting.pop(0)
            except CannotWriteError as error:
                refused += 1
                if refused == 1:
                    at_fault = len(waiting)
                    rows = len(store.rows())
                    assert "cannot be written" in str(error)
                if refused == 3:
                    free()
                assert refused < 4
    print(json.dumps([refused, before, at_fault, rows, checked(room / "study")]))
"""
TMPFS = """
    import subprocess, sys
    def mount(size):
        return lambda: subprocess.run(["mount", "-o", f"remount,size={size}", sys.argv[1]], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", sys.argv[1]], check=True)
    FAULT = mount("600k"), mount("64m")
"""
FILE_SIZE = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    def limit(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    FAULT = limit(400_000), limit(resource.RLIM_INFINITY)
"""


@pytest.mark.parametrize("fault", [TMPFS, FILE_SIZE], ids=["tmpfs", "file size"])
def test_a_full_disk_refuses_rows_and_loses_none(
    tmp_path: Path, reference: dict[str, tuple[object, ...]], fault: str
) -> None:
    wrapper = isolated() if fault is TMPFS else ()
    if wrapper is None:
        pytest.skip("the system does not let a process mount a file system of its own")
    done = script(fault + FULL, tmp_path, CELLS, wrapper=wrapper)
    assert done.returncode == 0, done.stderr
    refused, before, at_fault, rows, found = json.loads(done.stdout)
    assert refused == 3
    assert 0 < at_fault < before
    assert rows >= (before - at_fault) // len(STAGES)
    assert {key: tuple(values) for key, values in found.items()} == reference


READ_ONLY = """
    import pathlib, subprocess, sys
    from quick import checked, put
    from prunegap.model.errors import BadInputError
    from prunegap.study.store import Store
    study = pathlib.Path(sys.argv[1])
    subprocess.run(["mount", "--bind", str(study), str(study)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(study)], check=True)
    try:
        Store(study)
    except BadInputError as error:
        print(error)
    print(len(checked(study)))
    with Store(study, read_only=True) as store:
        print(len(store.worst()), sum(count.cells for count in store.counts()))
"""


def test_a_read_only_study_is_read_and_refused_for_writing(tmp_path: Path) -> None:
    with Store(tmp_path / "study") as store:
        put(store, 0, 1, 3)
    before = checked(tmp_path / "study")
    wrapper = isolated()
    if wrapper is None:
        pytest.skip("the system does not let a process mount a file system of its own")
    done = script(READ_ONLY, tmp_path / "study", wrapper=wrapper)
    assert done.returncode == 0, done.stderr
    refusal, rows, answers = done.stdout.splitlines()
    assert "read-only" in refusal.lower()
    assert (rows, answers) == ("1", "1 1")
    assert checked(tmp_path / "study") == before


@pytest.mark.parametrize("place", ["", TICKETS])
def test_a_directory_without_permission_to_write_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with Store(tmp_path / "s") as store:
        put(store, 0, 1, 3)
    (tmp_path / "s" / place).chmod(0o555)
    access: Callable[..., bool] = os.access
    if os.geteuid() == 0:  # to whom every directory is writable
        monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and Path(path).stat().st_mode & 0o200)
    with pytest.raises(BadInputError, match="read-only"):
        Store(tmp_path / "s")
    (tmp_path / "s" / place).chmod(0o755)
    assert len(checked(tmp_path / "s")) == 1


def test_a_put_that_failed_leaves_nothing_behind_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "s") as store:
        put(store, 0, 1, 9)
        before = {path.name for path in (tmp_path / "s").rglob("*")}

        def full(path: Path, content: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(CannotWriteError, match="No space left"):
            put(store, 0, 1, 5)
        monkeypatch.undo()
        assert {path.name for path in (tmp_path / "s").rglob("*")} == before
        assert store.rows()[0].upper == 9
        assert put(store, 0, 1, 5).upper == 5
