"""The child processes of one process: each runs one cell at a time under the eye of its parent.

A search may ignore its deadline, crash or be killed for memory, and none of that may cost more than its own cell. So
whoever is handed a cell, a thread here or a thread of a Dask worker elsewhere, lends it to a child process and
watches: a child that overruns its time limit is killed and what it had proven is the answer; a cell whose child died
is tried once more. Cores that have had no cell for a while are lent as threads to the cells still running.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe
from typing import final

from prunegap.study.row import Provenance
from prunegap.study.task import Done, Task
from prunegap.study.width import WidthInterval

ATTEMPTS = 2
"""How often a cell is tried whose process dies."""
TICK = 1.0
"""Seconds between two looks at the cores that are free."""
IDLE_FOR = 1.0
"""Seconds for which a core must have had no cell before it helps another."""
START_SECONDS = 120.0
"""Seconds that a child may take to start."""


class ChildDiedError(Exception):
    """The process died with a cell in hand; `known` is what it had proven by then."""

    def __init__(self, how: str, known: WidthInterval) -> None:
        super().__init__(how)
        self.how, self.known = how, known


class CannotStartError(RuntimeError):
    """A child process died before it was ready for any cell, of itself or, where `killed`, by a signal."""

    def __init__(self, how: str, killed: bool) -> None:
        super().__init__(f"a worker process ended before it was ready, {how}")
        self.how, self.killed = how, killed

    def __reduce__(self) -> tuple[type[CannotStartError], tuple[str, bool]]:
        return type(self), (self.how, self.killed)


class CrewClosedError(Exception):
    """The crew was closed while the cell was running."""


@final
class Child:
    """One child process, started and ready. Raises CannotStartError."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        reading, self._lifeline = os.pipe()
        passed = (theirs.fileno(), reading)
        start = f"import sys; sys.path[:] = {sys.path!r}; from prunegap.study.child import main; main{passed}"
        # Cells are what runs side by side; a linear algebra library with threads of its own would only disturb.
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        # The child inherits the mask, so that a Ctrl-C in its first moments is not its end.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", start],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=passed,
                env=one | dict(os.environ),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
            os.close(reading)
        try:
            if not self._connection.poll(START_SECONDS):
                raise EOFError
            self._connection.recv()
        except (EOFError, OSError):
            self.kill()
            raise CannotStartError(_ended(self.process.returncode), self.process.returncode < 0) from None

    def run(self, task: Task, threads: Callable[[], int]) -> Done:
        """Return the task's result, or what was proven when its time was up and the process was killed.

        Raises ChildDiedError, and whatever the task raises.
        """
        known, start, lent, patience = task.known, time.monotonic(), task.threads, START_SECONDS
        try:
            self._connection.send(task)
            while (left := start + patience - time.monotonic()) > 0.0:
                if not self._connection.poll(min(TICK, left)):
                    if (now := threads()) != lent:
                        lent = now
                        self._connection.send(now)
                    continue
                kind, what = self._connection.recv()
                if kind == "begun":
                    start, patience = time.monotonic(), math.inf if task.patience is None else task.patience
                elif kind == "narrowed":
                    known = what
                else:
                    break
            else:
                kind, what = "late", None
        except (EOFError, ConnectionError):
            self.kill()
            known = replace(known, seconds=task.known.seconds + time.monotonic() - start)
            raise ChildDiedError(_ended(self.process.returncode), known) from None
        if kind == "done" and isinstance(what, Done):
            return what
        if kind == "failed":
            raise what
        self.kill()
        reason = f"killed {task.grace:g} s after its time limit of {task.effort.seconds:g} s, which it did not heed"
        return stopped(task, known, task.known.seconds + time.monotonic() - start, reason)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process, whatever it does, and wait for its end."""
        self.process.kill()
        self.process.wait()
        self._connection.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


@final
class Crew:
    """At most `cores` children at a time, kept for the next cell; safe to use from many threads."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: dict[int, Child | None] = {}
        self._full_until = 0.0
        self._closed = False
        self._tickets = 0

    def run(self, task: Task) -> Done:
        """Return what a child proves; a child that dies costs the cell one more attempt, and no other cell anything.

        Raises CannotStartError, CrewClosedError, and whatever the task raises.
        """
        place, trouble, hint = self._enter(), "", task.threads
        try:
            for _ in range(ATTEMPTS):
                child = self._take(place)
                try:
                    done = child.run(task, lambda: self._share(place, hint))
                    return replace(done, trouble=done.trouble or trouble)
                except ChildDiedError as died:
                    if self._closed:
                        raise CrewClosedError from None
                    task, trouble = replace(task, known=died.known), f"its process died {died.how}"
                finally:
                    self._give(place, child)
        finally:
            self._leave(place)
        return stopped(task, task.known, task.known.seconds, f"{trouble}, {ATTEMPTS} times")

    def close(self) -> None:
        """Kill every child at once; whoever waits for one gets CrewClosedError."""
        with self._lock:
            self._closed = True
            children = [*self._idle, *(child for child in self._busy.values() if child is not None)]
            self._idle.clear()
        for child in children:
            child.process.kill()
        for child in children:
            child.process.wait()  # its connection is closed by the thread that talks through it, or with it

    def _enter(self) -> int:
        with self._lock:
            self._tickets += 1
            self._busy[self._tickets] = None
            if len(self._busy) >= self.cores:
                self._full_until = time.monotonic()
            return self._tickets

    def _leave(self, place: int) -> None:
        with self._lock:
            if len(self._busy) >= self.cores:
                self._full_until = time.monotonic()
            del self._busy[place]

    def _take(self, place: int) -> Child:
        child = None
        while child is None or not child.alive:
            with self._lock:
                if self._closed:
                    raise CrewClosedError
                child = self._idle.pop() if self._idle else None
            if child is None:
                child = _started()
        with self._lock:
            self._busy[place] = child
            closed = self._closed
        if closed:
            child.kill()
            raise CrewClosedError
        return child

    def _give(self, place: int, child: Child) -> None:
        with self._lock:
            self._busy[place] = None
            if child.alive and not self._closed:
                self._idle.append(child)

    def _share(self, place: int, hint: int = 1) -> int:
        """Return the threads for one running cell: its share of the cores, the longest running first to get more."""
        with self._lock:
            if time.monotonic() - self._full_until < IDLE_FOR:
                return min(hint, self.cores)
            each, rest = divmod(self.cores, len(self._busy))
            return max(1, each + (list(self._busy).index(place) < rest))


def _started() -> Child:
    """Return a new child; one that is killed while it starts has cost no cell anything, so others may follow."""
    for _ in range(ATTEMPTS):
        try:
            return Child()
        except CannotStartError as error:
            if not error.killed:
                raise
    return Child()


_here: Crew | None = None
_here_lock = threading.Lock()


def run_here(task: Task, cores: int) -> Done:
    """Run a task in the crew of the process that this is called in: what an executor's worker is given to do."""
    global _here
    with _here_lock:
        if _here is None:
            _here = Crew(cores)
            atexit.register(_here.close)
    return _here.run(task)


def stopped(task: Task, known: WidthInterval, seconds: float, reason: str) -> Done:
    """Return what is left of a task whose process was ended for `reason`: the interval that was proven by then."""
    told = "; ".join(filter(None, (reason, known.reason)))
    return Done(replace(known, seconds=seconds, reason=told), Provenance.here(task.executor), reason)


def _ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    name = signal.Signals(-code).name
    return f"by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")
