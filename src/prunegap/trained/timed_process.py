"""A process that is timed in turns: what it is told at its start, and how it leaves the cores to the next one.

Threads that have done their part go on spinning for a while: OpenMP's wait actively for the next parallel part, those
of libgomp for 10 to 15 ms, longer than most models take. A process that is timed in that while shares its cores with
them. And glibc gives the memory of large tensors back to the system after a call, or does not, as its heap happens to
lie: the same model takes 18 ms in one process and 38 in the next (decision 0015).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

BRIEF_WAITS = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}
"""For OpenMP's libraries: threads spin for about 1 ms, which still spans what lies between two layers."""
KEPT_PAGES = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**40)}
"""For glibc: memory that was used once stays with the process, as other allocators have it."""
PAUSE_SECONDS = 2e-4
MOST_SECONDS = 0.05
"""Longest wait. A thread that runs for longer is not waiting for work."""
ELSEWHERE_SECONDS = 3e-3
"""How long to wait where the system does not say which threads run."""


def timed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that is timed in turns; what it already says of these things stands."""
    waits = {} if "OMP_WAIT_POLICY" in environment else BRIEF_WAITS
    pages = {} if any(name in environment for name in KEPT_PAGES) else KEPT_PAGES
    return {**waits, **pages, **environment}


def wait_until_quiet(most_seconds: float = MOST_SECONDS) -> bool:
    """Return True once no other thread of this process runs, False if one still does after `most_seconds`."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        time.sleep(ELSEWHERE_SECONDS)
        return True
    end = time.monotonic() + most_seconds
    while _others_run(tasks):
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _others_run(tasks: Path) -> bool:
    own = threading.get_native_id()
    for name in os.listdir(tasks):
        if int(name) != own:
            try:
                state = (tasks / name / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue  # it has ended
            if state == "R":
                return True
    return False
