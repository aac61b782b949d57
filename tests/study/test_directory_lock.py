"""Who may write a study's directory at once: writers share it, a repair has it alone, who just enters blocks none."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prunegap.model.errors import BadInputError
from prunegap.study import database
from prunegap.study.database import DirectoryLock
from prunegap.study.store import Store


def test_writers_that_enter_at_once_all_enter(tmp_path: Path) -> None:
    everybody = threading.Barrier(12)

    def enter(_: int) -> DirectoryLock:
        everybody.wait()
        return DirectoryLock(tmp_path, when_alone=lambda: time.sleep(0.02))

    for _ in range(5):
        with ThreadPoolExecutor(12) as threads:
            entered = list(threads.map(enter, range(12)))
        with pytest.raises(BadInputError, match="is being written by another process"):
            DirectoryLock(tmp_path, exclusive=True)
        for lock in entered:
            lock.close()
        DirectoryLock(tmp_path, exclusive=True).close()


def test_studies_opened_at_once_are_one_study(tmp_path: Path) -> None:
    for attempt in range(5):
        everybody = threading.Barrier(8)

        def enter(_: int, out: Path = tmp_path / str(attempt), everybody: threading.Barrier = everybody) -> int:
            everybody.wait()
            with Store(out) as store:
                return len(store.rows())

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(enter, range(8))) == [0] * 8


def test_a_writer_waits_for_one_who_has_the_directory_for_a_moment(tmp_path: Path) -> None:
    alone = DirectoryLock(tmp_path, exclusive=True)
    leaving = threading.Timer(0.2, alone.close)
    leaving.start()
    DirectoryLock(tmp_path).close()
    assert alone._handle is None, "the writer entered while another had the directory alone"


def test_a_writer_is_refused_while_a_repair_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ENTERING_SECONDS", 0.05)
    repair = DirectoryLock(tmp_path, exclusive=True)
    with pytest.raises(BadInputError, match="is being recovered"):
        DirectoryLock(tmp_path)
    repair.close()
    DirectoryLock(tmp_path).close()


def test_a_repair_is_refused_while_somebody_writes(tmp_path: Path) -> None:
    writer = DirectoryLock(tmp_path)
    with pytest.raises(BadInputError, match="is being written by another process"):
        DirectoryLock(tmp_path, exclusive=True)
    writer.close()
    DirectoryLock(tmp_path, exclusive=True).close()
