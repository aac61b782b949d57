"""The child process that measures cells for its parent, one after the other.

It does nothing but receive a task, run it, tell the parent whatever is proven on the way, and send the result. It
ends with its parent, however the parent ends: a pipe that nobody writes to is its lifeline, and the kernel signals
its closing, which reaches even a process deep in native code.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import pickle
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from prunegap.study.find import registered
from prunegap.study.task import Task, perform
from prunegap.study.width import Overseer


def main(talk: int, lifeline: int) -> None:
    """Serve the parent at the other end of the file descriptor `talk` for as long as it holds the lifeline."""
    connection = Connection(talk)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    _die_with_parent(lifeline)
    os.dup2(2, 1)  # what a solver prints must not mix with what the parent's own command prints
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone
        connection.send(("ready", os.getpid()))
        while True:
            _serve(connection)


def _serve(connection: Connection) -> None:
    """Run the next task and send what came of it."""
    try:
        connection.send(("done", _run(connection)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        connection.send(("failed", _portable(error)))


def _run(connection: Connection) -> Any:
    while not isinstance(task := connection.recv(), Task):
        pass  # threads that were lent to the last cell too late
    if task.choose is registered:
        importlib.import_module("prunegap.search.registry")  # takes a second, which is no cell's
    connection.send(("begun", None))
    threads = task.threads

    def current() -> int:
        nonlocal threads
        while connection.poll():
            threads = connection.recv()
        return threads

    return perform(task, Overseer(current, lambda interval: connection.send(("narrowed", interval))))


def _die_with_parent(lifeline: int) -> None:
    """End this process when the other end of the pipe closes, by signal and, where there is none, by a thread."""

    def follow() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    if hasattr(os, "O_ASYNC"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note, or its text where it cannot travel."""
    told = "".join(traceback.format_exception(error))
    error.add_note(f"in a worker process:\n{told}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(told)
    return error
