"""The same rows from a Dask cluster, whatever happens to its scheduler; clear refusals where there is none."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from brute import GATE, GATED_FROM, choose, choose_gated
from dask_processes import DaskProcesses, free_port

from prunegap.model.errors import BadInputError
from prunegap.study import cluster
from prunegap.study.cell import grid
from prunegap.study.cluster import Cluster
from prunegap.study.row import Row
from prunegap.study.standing import Watch
from prunegap.study.store import Store
from prunegap.study.sweep import measure
from prunegap.study.task import Maker
from prunegap.study.width import Effort
from prunegap.study.workers import LostWorkersError

CELLS = grid((1,), (0.45, 0.3), seeds=range(3))
EFFORT = Effort(60.0, 8)

# Dask leaves sockets to the garbage collector when a scheduler is killed under it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def proven(rows: list[Row]) -> list[tuple[str, int, int | None]]:
    return [(row.cell.key, row.lower, row.upper) for row in rows]


def connected(address: str, workers: int = 2, return_seconds: float = 60.0) -> Cluster:
    """Connect as soon as all the workers are there."""
    end, seen = time.monotonic() + 60.0, ""
    while True:
        try:
            found = Cluster(address, return_seconds)
            if found.slots >= workers:
                return found
            seen = f"{found.slots} slots"
            found.close()
        except BadInputError as error:
            seen = str(error)
        assert time.monotonic() < end, f"the cluster did not start: {seen}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def reference() -> list[tuple[str, int, int | None]]:
    return proven(measure(CELLS, None, EFFORT, choose=choose))


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with DaskProcesses(tmp_path_factory.mktemp("dask")) as processes:
        yield processes.address


def test_a_cluster_finds_the_same_rows(
    two_workers: str, reference: list[tuple[str, int, int | None]], tmp_path: Path
) -> None:
    with connected(two_workers) as workers:
        rows = measure(CELLS, tmp_path / "s", EFFORT, workers, choose=choose)
    assert proven(rows) == reference
    assert {row.provenance.executor for row in rows} == {"dask"}
    assert measure(CELLS, tmp_path / "s", EFFORT, choose=choose) == rows


def test_workers_of_another_version_are_refused_by_name(two_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected(two_workers).close()
    monkeypatch.setattr(Maker, "here", classmethod(lambda cls: cls("99.0", "a-stream")))
    with pytest.raises(BadInputError, match=r"tcp://127.0.0.1:\d+ has prunegap 0.*must have prunegap 99.0"):
        Cluster(two_workers)


def test_workers_that_draw_other_numbers_are_refused_by_name(
    two_workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected(two_workers).close()
    version = Maker.here().version
    monkeypatch.setattr(Maker, "here", classmethod(lambda cls: cls(version, "a-stream")))
    with pytest.raises(BadInputError, match=r"must have prunegap .* with stream a-stream"):
        Cluster(two_workers)


@pytest.mark.parametrize("how", ["nobody", "silent", "no address"])
def test_an_address_that_does_not_answer_is_refused(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1] if how == "silent" else free_port()
        address = "nonsense" if how == "no address" else f"tcp://127.0.0.1:{port}"
        with pytest.raises(BadInputError, match="does not answer"):
            Cluster(address)


def stored_rows(directory: Path, count: int) -> None:
    end = time.monotonic() + 60.0
    while True:
        if directory.exists():
            try:
                with Store(directory, read_only=True) as store:
                    if len(store.rows()) >= count:
                        return
            except BadInputError:
                pass
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_scheduler_restart(comes_back: bool, reference: list[tuple[str, int, int | None]], tmp_path: Path) -> None:
    gate, out, events, found = tmp_path / "gate", tmp_path / "s", list[str](), dict[str, object]()
    gated = sum(cell.epsilon >= GATED_FROM for cell in CELLS)
    with DaskProcesses(tmp_path, **{GATE: str(gate)}) as processes:
        workers = connected(processes.address, return_seconds=60.0 if comes_back else 0.0)

        def run() -> None:
            try:
                with workers:
                    found["rows"] = measure(
                        CELLS, out, EFFORT, workers, choose=choose_gated, watch=Watch(event=events.append)
                    )
            except Exception as error:
                found["error"] = error

        driver = threading.Thread(target=run)
        driver.start()
        stored_rows(out, len(CELLS) - gated)
        processes.kill()
        gate.touch()
        if comes_back:
            processes.start()
        driver.join(90.0)
        assert not driver.is_alive()
    if comes_back:
        assert "error" not in found, found
        assert proven(found["rows"]) == reference  # type: ignore[arg-type]
        assert any("tried again" in event for event in events)
    else:
        assert isinstance(found["error"], LostWorkersError)
        with Store(out) as store:
            assert len(store.rows()) == len(CELLS) - gated
        assert proven(measure(CELLS, out, EFFORT, choose=choose)) == reference
