"""A process that is timed in turns leaves the cores to the next one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from prunegap.trained import timed_process
from prunegap.trained.timed_process import BRIEF_WAITS, KEPT_PAGES, timed_environment, wait_until_quiet

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")


def others_sleep() -> None:
    """Wait for whatever earlier tests left running."""
    assert wait_until_quiet(60.0)


@needs_proc
def test_it_waits_for_a_thread_that_spins() -> None:
    others_sleep()
    ended: list[float] = []

    def spin() -> None:
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass
        ended.append(end)

    thread = threading.Thread(target=spin)
    thread.start()
    assert wait_until_quiet(60.0)
    assert ended
    thread.join()


@needs_proc
def test_it_waits_no_longer_than_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_process, "_others_run", lambda tasks: True)
    assert not wait_until_quiet(0.01)


@needs_proc
def test_threads_that_sleep_are_not_waited_for() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    others_sleep()
    assert thread.is_alive()
    done.set()
    thread.join()


def test_what_the_user_says_stands() -> None:
    assert timed_environment({"A": "1"}) == {"A": "1", **BRIEF_WAITS, **KEPT_PAGES}
    assert timed_environment({"GOMP_SPINCOUNT": "7"})["GOMP_SPINCOUNT"] == "7"
    assert timed_environment({"OMP_WAIT_POLICY": "active"}) == {"OMP_WAIT_POLICY": "active", **KEPT_PAGES}
    own = {"MALLOC_TRIM_THRESHOLD_": "131072"}
    assert timed_environment(own) == {**own, **BRIEF_WAITS}
