"""The loop of a sweep: hand out cells, take results in, store them, and tell how it goes.

One thread does all of it. Results arrive through a queue, so a result costs the same however many are in flight.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue

from prunegap.study.cell import Cell
from prunegap.study.crew import stopped
from prunegap.study.find import Chooser
from prunegap.study.presence import Presence
from prunegap.study.row import Row
from prunegap.study.schedule import Agenda, CostModel
from prunegap.study.shelf import Shelf
from prunegap.study.standing import Tally, Watch
from prunegap.study.task import Done, Maker, Task
from prunegap.study.width import Effort
from prunegap.study.workers import Fate, Workers

TICK = 0.5
"""Most seconds between two looks around."""
WRITE_PATIENCE = 60.0
"""Seconds for which rows that cannot be written are offered again once nothing runs any more."""


@dataclass(frozen=True)
class Order:
    """How every cell is to be measured."""

    effort: Effort
    choose: Chooser
    grace: float


@dataclass(frozen=True)
class _Flight:
    """A task in flight, and when it was submitted."""

    task: Task
    start: float


class Drive:
    """One run of a sweep over the cells of an agenda."""

    def __init__(
        self,
        workers: Workers,
        agenda: Agenda,
        shelf: Shelf,
        tally: Tally,
        costs: CostModel,
        order: Order,
        presence: Presence | None,
        watch: Watch,
    ) -> None:
        self._workers, self._agenda, self._shelf, self._tally = workers, agenda, shelf, tally
        self._costs, self._order, self._presence, self._watch = costs, order, presence, watch
        self._asked_by = Maker.here()
        self._finished: SimpleQueue[Future[Done]] = SimpleQueue()
        self._flights: dict[Future[Done], _Flight] = {}
        self._begun: dict[Cell, str] = {}
        self._with_others: list[Cell] = []
        self._theirs: frozenset[str] = frozenset()
        self._met_others = False
        self._standing = tally.standing(0, math.inf)
        self._done: dict[Cell, Row] = {}
        self._stood = -1e9

    def run(self) -> dict[Cell, Row]:
        """Return the row of every cell of the agenda. Raises what `measure` says."""
        while True:
            self._hand_out()
            self._tell()
            if self._flights or self._with_others:
                self._wait()
            elif self._shelf.trouble is not None:
                self._write_or_raise()
            elif not len(self._agenda):
                break
        self._tell(at_once=True)
        return self._done

    def _write_or_raise(self) -> None:
        """Offer what is in hand to the store until it takes it, or for as long as anybody may make room."""
        end = time.monotonic() + WRITE_PATIENCE
        while (trouble := self._shelf.trouble) is not None:
            if time.monotonic() > end:
                raise trouble
            time.sleep(TICK)
            self._tell()
            self._store(self._shelf.write())

    def _hand_out(self) -> None:
        """Submit cells while workers can take them; none while rows cannot be written."""
        if self._with_others:
            self._look_at_others()
        while len(self._agenda) and self._shelf.trouble is None and len(self._flights) < self._workers.window:
            self._look_at_others()
            cell = self._agenda.take()
            if cell.key in self._theirs:
                self._with_others.append(cell)
            elif self._met_others and (row := self._shelf.settled_by_others(cell)) is not None:
                self._settle(row, measured=False)
            else:
                self._submit(cell)

    def _submit(self, cell: Cell) -> None:
        remaining = len(self._flights) + len(self._agenda) + 1
        order = self._order
        task = Task(
            self._shelf.known(cell),
            order.effort,
            self._asked_by,
            order.choose,
            max(1, self._workers.slots // remaining),
            order.grace,
            self._workers.name,
        )
        self._begun[cell] = datetime.now(UTC).isoformat(timespec="seconds")
        self._tell(news=True)  # before it runs, so that no other driver takes it too
        start = time.monotonic()
        future = self._workers.submit(task)
        self._flights[future] = _Flight(task, start)
        future.add_done_callback(self._finished.put)

    def _wait(self) -> None:
        """Wait for something to happen, and take in all that did."""
        try:
            self._take_in(self._finished.get(timeout=TICK))
            while True:
                self._take_in(self._finished.get_nowait())
        except Empty:
            pass
        if self._shelf.trouble is not None:
            self._store(self._shelf.write())
        if self._flights and self._workers.lost:
            self._recover("the workers are gone")

    def _take_in(self, future: Future[Done]) -> None:
        flight = self._flights.get(future)
        if flight is None:
            return  # lost before, and submitted again since
        try:
            done = future.result()
        except Exception as error:
            fate = self._workers.fate(error)
            if fate is Fate.LOST:
                return self._recover(f"work in flight was lost ({type(error).__name__})")
            if fate is Fate.FAULT:
                raise
            known = flight.task.known
            seconds = known.seconds + time.monotonic() - flight.start
            done = stopped(flight.task, known, seconds, f"its worker died ({type(error).__name__})")
        del self._flights[future]
        del self._begun[done.interval.cell]
        if done.trouble:
            self._watch.say(f"{told(done.interval.cell)}: {done.trouble}")
        if flight.task.known.seconds == 0.0:
            self._costs.observe(done.interval.cell, done.interval.seconds)
        self._store(self._shelf.keep(done))
        if self._shelf.trouble is not None:
            self._watch.say(f"{self._shelf.trouble}; nothing new is begun until it can")

    def _recover(self, what: str) -> None:
        """Take back everything in flight and wait for workers to come back."""
        self._watch.say(f"{what}: {len(self._flights)} cells are tried again")
        for flight in self._flights.values():
            self._agenda.give(flight.task.known.cell)
        self._flights.clear()
        self._begun.clear()
        self._workers.renew()
        self._watch.say("the workers are back")

    def _store(self, rows: list[Row]) -> None:
        for row in rows:
            self._settle(row, measured=True)

    def _settle(self, row: Row, measured: bool) -> None:
        self._done[row.cell] = row
        self._tally.count(row, measured)
        self._watch.see(row, self._tally)
        self._tell()

    def _look_at_others(self) -> None:
        """Leave cells in flight elsewhere to the driver that has them; take up what it is done with or has left."""
        if self._presence is None:
            return
        others = self._presence.others()
        self._met_others = self._met_others or bool(others)
        self._theirs = frozenset[str]().union(*(driver.running for driver in others))
        waiting, self._with_others = self._with_others, []
        for cell in waiting:
            if cell.key in self._theirs:
                self._with_others.append(cell)
            else:
                self._agenda.give(cell)

    def _tell(self, at_once: bool = False, news: bool = False) -> None:
        """Tell how things stand where it is due, and let other processes know."""
        now = time.monotonic()
        due = at_once or now - self._stood >= TICK
        if due:
            self._stood = now
            # Beyond the slots, cells in flight wait at a worker.
            running = min(len(self._begun), self._workers.slots)
            self._standing = self._tally.standing(running, self._seconds_left())
            self._watch.stand(self._standing)
        if self._presence is not None:
            self._presence.beat(self._begun, self._standing, news)

    def _seconds_left(self) -> float:
        """Return when everything is expected to be done: an even share of the work, or the longest cell in flight."""
        now, expected = time.monotonic(), self._agenda.expected
        rest = [
            max(0.0, expected(flight.task.known.cell) - (now - flight.start)) for flight in self._flights.values()
        ]
        return max([(self._agenda.seconds() + sum(rest)) / self._workers.slots, *rest])


def told(cell: Cell) -> str:
    """Return a cell in the words of the command line."""
    return f"d={cell.dimension} eps={cell.epsilon:g} {cell.granularity} seed {cell.seed}"
