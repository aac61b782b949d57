"""What travels to a worker and what comes back: one cell with all that is known of it, and what is proven after.

Both are plain values, so the same task runs in this process, in a child of it, or on a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from prunegap.model.draw import STREAM
from prunegap.model.errors import BadInputError
from prunegap.study.find import Chooser, registered
from prunegap.study.row import Provenance
from prunegap.study.width import Effort, Overseer, WidthInterval, minimal_width

GRACE = 15.0
"""Seconds a search may overrun its time limit before its process is killed; certificates fall into them too."""


@dataclass(frozen=True)
class Maker:
    """The version of prunegap that asks, and the bit stream that it draws: what works for it must be its like."""

    version: str
    stream: str

    @classmethod
    def here(cls) -> Maker:
        """Return the version and the stream of this process."""
        return cls(Provenance.here().version, STREAM)

    def __str__(self) -> str:
        return f"prunegap {self.version} with stream {self.stream}"


@dataclass(frozen=True)
class Task:
    """Narrow `known` with `effort`, on at most `threads` threads to begin with.

    The worker's process is killed `grace` seconds after the time limit.
    """

    known: WidthInterval
    effort: Effort
    asked_by: Maker
    choose: Chooser = registered
    threads: int = 1
    grace: float = GRACE
    executor: str = "serial"

    @property
    def patience(self) -> float | None:
        """Seconds after which the worker's process is killed; None without a time limit."""
        return None if self.effort.seconds is None else self.effort.seconds + self.grace


@dataclass(frozen=True)
class Done:
    """What is proven now, what proved it, and in words what went wrong on the way."""

    interval: WidthInterval
    made: Provenance
    trouble: str = ""


def refuse_stranger(asked_by: Maker) -> None:
    """Raise BadInputError where another version, or other random numbers, ask: their rows would not be comparable."""
    if (here := Maker.here()) != asked_by:
        where = Provenance.here().platform
        raise BadInputError(f"worker on {where}", f"has {here}, the study {asked_by}", "install the same version")


def perform(task: Task, overseer: Overseer) -> Done:
    """Run the task in this process. Raises BadInputError where a stranger asks or no search handles the cell."""
    refuse_stranger(task.asked_by)
    made = Provenance.here(task.executor)
    return Done(minimal_width(task.known.cell, task.effort, task.known, task.choose, overseer), made)
