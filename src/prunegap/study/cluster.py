"""A Dask cluster as the workers of a sweep, through Dask's own concurrent.futures executor.

The cluster is the user's: a scheduler and workers started by whichever of Dask's deployers. This file connects,
refuses workers of another version, and, when the scheduler goes away, waits for one to come back at the same address.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from queue import Empty, SimpleQueue
from typing import Any, final

from prunegap.model.errors import BadInputError
from prunegap.study.crew import run_here
from prunegap.study.task import Done, Maker, Task
from prunegap.study.workers import Fate, LostWorkersError, Workers

CONNECT_SECONDS = 6.0
"""Seconds that a scheduler may take to answer."""
RETURN_SECONDS = 120.0
"""Seconds that a scheduler which went away, and its workers, may take to come back."""
WORKERS_SECONDS = 30.0
"""Seconds that the first worker may take to appear at a scheduler which answers."""
LOOK_SECONDS = 5.0
"""Seconds between two counts of the workers."""


@final
class Cluster(Workers):
    """The workers of the Dask scheduler at `address`, one cell for each of their threads.

    Every cell runs in a child process of the worker, so time limits stop native code there too, and a worker with
    several threads lends those that are free to the cells still running. Raises BadInputError where `distributed` is
    not installed, where the scheduler does not answer within 6 s or has no worker within 30 s more, and where a
    worker has another version of prunegap or none.
    """

    name = "dask"

    def __init__(
        self, address: str, return_seconds: float = RETURN_SECONDS, say: Callable[[str], None] | None = None
    ) -> None:
        self.address = address
        self._return_seconds, self._say = return_seconds, say
        self._threads: dict[str, int] = {}
        self._counted = 0.0
        self._client, self._executor = self._connect()

    @property
    def slots(self) -> int:
        """The threads of all the workers that are there now."""
        if time.monotonic() - self._counted > LOOK_SECONDS:
            self._counted = time.monotonic()
            self._threads = _threads(self._client) or self._threads
        return max(1, sum(self._threads.values()))

    def submit(self, task: Task) -> Future[Done]:
        """Return the future of the task; one that the scheduler cannot take any more is lost, not a fault."""
        try:
            future: Future[Done] = self._executor.submit(run_on_worker, task)
        except Exception as error:
            if not self.lost and not isinstance(error, OSError):
                raise
            future = Future()
            future.set_exception(CancelledError())
        return future

    def fate(self, error: BaseException) -> Fate:
        """Dask says whether a worker died with the task, again and again, or the task got lost with the scheduler."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        if isinstance(error, KilledWorker):
            return Fate.DIED
        lost = (CancelledError, FutureCancelledError, OSError)
        return Fate.LOST if isinstance(error, lost) else Fate.FAULT

    @property
    def lost(self) -> bool:
        """Whether the connection to the scheduler is down."""
        return str(self._client.status) != "running"

    def renew(self) -> None:
        """Connect again, as soon as a scheduler with workers answers; raises LostWorkersError where none does."""
        end = time.monotonic() + self._return_seconds
        self._leave()
        while True:
            try:
                self._client, self._executor = self._connect()
                return
            except BadInputError as error:
                if time.monotonic() > end:
                    raise LostWorkersError(f"{error.value} {error.rule}") from None
                time.sleep(1.0)

    def close(self) -> None:
        """Cancel what is left and disconnect; the cluster itself stays."""
        self._leave()

    def _leave(self) -> None:
        with _Quiet():
            self._client.close(timeout=2)

    def _connect(self) -> tuple[Any, Any]:
        """Return a client whose workers all have this version, and its executor."""
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise BadInputError(
                f"cluster {self.address}", "needs Dask's distributed", 'pip install "prunegap[cluster]"'
            ) from None
        try:
            with _Quiet():
                client = _within(CONNECT_SECONDS, lambda: _opened(distributed, self.address))
        except Exception as error:  # whatever listens there may be no scheduler at all
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BadInputError(
                f"cluster {self.address}", f"does not answer ({told})", "start it with: dask scheduler"
            ) from None
        try:
            self._threads = _first_workers(self.address, client)
            _refuse_other_versions(client)
        except BaseException:
            with _Quiet():
                client.close(timeout=2)
            raise
        return client, client.get_executor(pure=False)


def _opened(distributed: Any, address: str) -> Any:
    # A client that was dropped closes itself when it is collected, under the very lock that the next one starts its
    # loop with. Were it collected there, no client would ever start again.
    gc.collect()
    return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)


def _within(seconds: float, connect: Callable[[], Any]) -> Any:
    """Return what `connect` does, but wait for it no longer: Dask waits for ever for a listener that says nothing."""
    answers: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def answer() -> None:
        try:
            answers.put((connect(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=answer, daemon=True).start()
    try:
        client, error = answers.get(timeout=seconds + 1.0)
    except Empty:
        raise TimeoutError(f"nothing was heard for {seconds:g} s") from None
    if error is not None:
        raise error
    return client


def run_on_worker(task: Task) -> Done:
    """Run a task in a child process of the Dask worker that this is called in."""
    from distributed import get_worker

    return run_here(task, int(get_worker().state.nthreads))


def _threads(client: Any) -> dict[str, int]:
    with _Quiet():
        return {str(worker): int(threads) for worker, threads in client.nthreads().items()}


def _first_workers(address: str, client: Any) -> dict[str, int]:
    """Return the threads of the workers as soon as there are any."""
    end = time.monotonic() + WORKERS_SECONDS
    while not (threads := _threads(client)):
        if time.monotonic() > end:
            raise BadInputError(f"cluster {address}", "has no workers", f"start some with: dask worker {address}")
        time.sleep(0.2)
    return threads


def _refuse_other_versions(client: Any) -> None:
    """Raise BadInputError that names each worker with another prunegap, another stream, or none.

    The version is asked for through the standard library alone, which any worker can run.
    """
    here = Maker.here()
    versions = client.run(importlib.metadata.version, "prunegap", on_error="return")
    wrong = {
        worker: f"prunegap {version}" if isinstance(version, str) else "no prunegap"
        for worker, version in versions.items()
        if version != here.version
    }
    if not wrong:
        makers = client.run(Maker.here, on_error="return")
        wrong = {worker: str(maker) for worker, maker in makers.items() if maker != here}
    if wrong:
        named = ", ".join(f"{worker} has {what}" for worker, what in sorted(wrong.items()))
        raise BadInputError(f"workers {named}", f"must have {here}", "install that version there")


class _Quiet:
    """Keeps Dask's log off the terminal while the driver says the same in one line."""

    def __enter__(self) -> None:
        self._logger = logging.getLogger("distributed")
        self._level = self._logger.level
        self._logger.setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        self._logger.setLevel(self._level)
