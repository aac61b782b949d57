"""A Dask scheduler and workers as processes of their own, started and killed as a test needs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent


def free_port() -> int:
    """Return a port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DaskProcesses:
    """A scheduler at a fixed port and its workers, one thread each; use it as a context manager."""

    def __init__(self, room: Path, workers: int = 2, **environment: str) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self._room, self._workers = room, workers
        paths = os.pathsep.join(map(str, (HERE, HERE.parent)))
        self._environment = os.environ | {"PYTHONPATH": paths} | environment
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the scheduler and its workers; workers wait for the scheduler by themselves."""
        port = self.address.rsplit(":", 1)[1]
        self._run("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        for _ in range(self._workers):
            self._run("worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")

    def kill(self) -> None:
        """Kill everything at once, as a power cut would."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()

    def __enter__(self) -> DaskProcesses:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
        log = (self._room / f"dask-{len(self._processes)}.log").open("ab")
        with log:
            self._processes.append(
                subprocess.Popen(command, env=self._environment, cwd=self._room, stdout=log, stderr=log)
            )
