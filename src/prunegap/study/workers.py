"""Who runs the cells: this process, its children, or any concurrent.futures executor.

The sweep asks for no more than a future of each task. Wherever a task lands it is run by a child process of whoever
received it (see crew.py), except with one worker in this process itself.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import Enum, auto
from types import TracebackType
from typing import final

from prunegap.model.errors import BadInputError
from prunegap.study.crew import Crew, run_here
from prunegap.study.task import Done, Task, perform
from prunegap.study.width import ALONE


class Fate(Enum):
    """What an error of a future says: a fault to be raised, a cell whose worker died, or work that was lost."""

    FAULT = auto()
    DIED = auto()
    LOST = auto()


class LostWorkersError(Exception):
    """The executor is gone and did not come back; what is stored is safe and the same command goes on."""


class Workers(ABC):
    """Something that runs tasks; use it as a context manager, which on leaving ends whatever still runs."""

    name: str
    """For the provenance of rows: serial, processes, dask ..."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many cells can run at once."""

    @property
    def window(self) -> int:
        """How many cells to keep in flight: some more than slots, so that no worker waits for the driver."""
        return self.slots + max(1, self.slots // 8)

    @abstractmethod
    def submit(self, task: Task) -> Future[Done]:
        """Return the future of the task."""

    def fate(self, error: BaseException) -> Fate:
        """Return what an error of a future means."""
        return Fate.LOST if isinstance(error, CancelledError) else Fate.FAULT

    @property
    def lost(self) -> bool:
        """Whether the executor is gone, with all that was submitted."""
        return False

    def renew(self) -> None:
        """Get ready to take lost tasks again; raises LostWorkersError where that cannot be."""
        raise LostWorkersError(f"{self.name}: the work in flight was cancelled")

    def close(self) -> None:
        """End whatever runs, at once."""
        return

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@final
class ThisProcess(Workers):
    """Runs a task here and now; nothing stops a search that ignores its deadline."""

    name = "serial"
    slots = 1
    window = 1

    def submit(self, task: Task) -> Future[Done]:
        """Return a future that is done."""
        future: Future[Done] = Future()
        try:
            future.set_result(perform(task, ALONE))
        except Exception as error:
            future.set_exception(error)
        return future


@final
class Processes(Workers):
    """`count` threads, each with a child process that runs one cell at a time.

    Time limits stop native code; a child that dies costs its cell one more attempt and nothing else; cores without a
    cell help the others. Raises BadInputError for count < 1.
    """

    name = "processes"

    def __init__(self, count: int) -> None:
        if count < 1:
            raise BadInputError(f"workers {count}", "must be at least 1", "use --workers 2")
        self._count, self._crew = count, Crew(count)
        self._pool = ThreadPoolExecutor(count, "cell")

    @property
    def slots(self) -> int:
        """The number of child processes."""
        return self._count

    def submit(self, task: Task) -> Future[Done]:
        """Return the future of the task; tasks start in the order of submission."""
        return self._pool.submit(self._crew.run, task)

    def close(self) -> None:
        """Kill every child and wait for the threads."""
        self._crew.close()
        self._pool.shutdown(cancel_futures=True)


@final
class AnyExecutor(Workers):
    """Any concurrent.futures executor of `slots` workers; its workers keep `cores` child processes each.

    The executor stays the caller's: closing cancels what has not started, no more.
    """

    def __init__(self, executor: Executor, slots: int, cores: int = 1, name: str = "") -> None:
        self._executor, self._slots, self._cores = executor, slots, cores
        self.name = name or type(executor).__name__
        self._futures: set[Future[Done]] = set()
        self._lock = threading.Lock()

    @property
    def slots(self) -> int:
        """The number of workers, as the caller said."""
        return self._slots

    def submit(self, task: Task) -> Future[Done]:
        """Return the future of the task."""
        future = self._executor.submit(run_here, task, self._cores)
        with self._lock:
            self._futures.add(future)
        future.add_done_callback(self._forget)
        return future

    def fate(self, error: BaseException) -> Fate:
        """A broken pool of processes takes all its work along."""
        return Fate.LOST if isinstance(error, (CancelledError, BrokenProcessPool)) else Fate.FAULT

    def close(self) -> None:
        """Cancel what has not started."""
        with self._lock:
            waiting = list(self._futures)
        for future in waiting:
            future.cancel()

    def _forget(self, future: Future[Done]) -> None:
        with self._lock:
            self._futures.discard(future)
