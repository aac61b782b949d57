"""What a stored row costs, and how a study of many rows opens and answers.

    python benchmarks/store.py [--rows 1000000] [--puts 300] [--directory DIR]

Writing: one `Store.put` at a time, with and without a ticket, beside the peer, a plain sqlite3 table with the same
columns and the same durability (one INSERT and one commit a row, WAL, synchronous NORMAL), and beside a write with
fsync, what a row would cost at least if it had to survive a power cut at once; wall-clock and process time. Reading:
open, status (`counts`, `worst`) and `rows_of` at --rows rows, beside the counts without an index and a full check.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from prunegap.certify import certify
from prunegap.model.granularity import Neuron
from prunegap.model.mask import Mask
from prunegap.study.cell import Cell, grid
from prunegap.study.row import COLUMNS, Row, digest_of, values_of
from prunegap.study.schema import INSERT
from prunegap.study.store import DATABASE, Store
from prunegap.study.ticket_file import load_ticket
from prunegap.study.width import Effort, WidthInterval, WidthStatus

EFFORT = Effort()
OPENED_MOST, STATUS_MOST, PUT_MOST = 1.0, 1.0, 0.005
"""The goals, in seconds."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--puts", type=int, default=300)
    parser.add_argument("--directory", type=Path, help="where to write (default: the system's temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as room:
        writing(Path(room), options.puts)
        reading(Path(room), options.rows)


def intervals(count: int) -> list[WidthInterval]:
    """Return intervals with tickets of 20 neurons at d = 2; at epsilon 100 any mask is one, and proven like any."""
    found = []
    for seed in range(count):
        cell = Cell(2, 100.0, Neuron(), seed)
        problem = cell.problem(40)
        mask = Mask.of_neurons(range(20, 40), 40, 2)
        found.append(WidthInterval(cell, -1, 40, mask, certify(problem, mask), 1.0, ("made up",)))
    return found


def writing(room: Path, count: int) -> None:
    """Print what one row costs to write."""
    made = intervals(count)
    rows = [Row.of(interval, EFFORT) for interval in made]
    print(f"writing, median of {count}, milliseconds a row (wall / process)")
    with Store(room / "tickets") as store:
        store.put(rows[0], made[0])
        full = timed(lambda k: store.put(rows[k], made[k]), count)
        paths = [store.ticket_path(row) for row in rows]
    verify = timed(lambda k: load_ticket(paths[k] or "").verify(), count)
    with Store(room / "bare") as store:
        bare = timed(lambda k: store.put(replace(rows[k], ticket=None), WidthInterval(made[k].cell)), count)
    with closing(sqlite3.connect(room / "peer.sqlite", isolation_level=None)) as peer:
        peer.execute("PRAGMA journal_mode = WAL")
        peer.execute("PRAGMA synchronous = NORMAL")
        peer.execute(f"CREATE TABLE cells ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())}) STRICT")
        values = [values_of(row) for row in rows]
        plain = timed(lambda k: peer.execute(INSERT, values[k]), count)
    with (room / "synced").open("wb", buffering=0) as file:
        synced = timed(lambda k: (file.write(b"x" * 4096), os.fsync(file.fileno())), count)
    table = {
        "put with a ticket": full,
        "  of which verifying it": verify,
        "put without a ticket": bare,
        "peer: sqlite3 insert and commit": plain,
        "write and fsync of 4 KiB": synced,
    }
    for name, (wall, process) in table.items():
        print(f"  {name:34}{1e3 * wall:8.2f} /{1e3 * process:7.2f}   {wall / plain[0]:5.2f} x peer")
    verdict("put with a ticket", full[0], PUT_MOST)


def reading(room: Path, count: int) -> None:
    """Print how long a study of `count` rows takes to open and to answer."""
    directory = room / "large"
    Store(directory).__exit__(None, None, None)
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        began = time.perf_counter()
        connection.executemany(INSERT, made_up(count))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = (directory / DATABASE).stat().st_size
    print(
        f"\nreading, {count} rows, {size / 1e6:.0f} MB (made in {time.perf_counter() - began:.0f} s), seconds (wall)"
    )
    seconds: dict[str, float] = {}

    def clocked(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - started
        return result

    store = clocked("open to write", lambda: Store(directory))
    store.__exit__(None, None, None)
    store = clocked("open to read", lambda: Store(directory, read_only=True))
    with store:
        counts = clocked("counts by question and status", store.counts)
        clocked("ten worst open cells", lambda: store.worst(10))
        clocked("ten worst censored cells", lambda: store.worst(10, WidthStatus.CENSORED))
        found = clocked("rows_of 400 cells", lambda: store.rows_of(grid((2,), (0.1,), (Neuron(),), seeds=range(400))))
    assert sum(c.cells for c in counts) == count
    assert len(found) == min(400, count // 5)
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        group = "dimension, readout, init, +granularity, epsilon, status"
        clocked(
            "peer: the counts without an index",
            lambda: connection.execute(
                f"SELECT {group}, COUNT(*), SUM(seconds) FROM cells NOT INDEXED GROUP BY {group}"
            ).fetchall(),
        )
        clocked("peer: integrity_check", lambda: connection.execute("PRAGMA integrity_check").fetchall())
    for name, wall in seconds.items():
        print(f"  {name:34}{wall:8.3f}")
    verdict("open", max(seconds["open to write"], seconds["open to read"]), OPENED_MOST)
    verdict("status", sum(seconds[name] for name in seconds if name.startswith(("counts", "ten"))), STATUS_MOST)


def made_up(count: int) -> Iterator[tuple[object, ...]]:
    """Yield the values of rows over five epsilons and `count` / 5 seeds, their digests right."""
    model = dict(zip(COLUMNS, values_of(Row.of(WidthInterval(Cell(2, 0.1, Neuron(), 0)), EFFORT)), strict=True))
    model["reason"] = "no start state is left; a reason of ordinary length"
    for number in range(count):
        seed, epsilon = number // 5, (0.1, 0.05, 0.02, 0.01, 0.005)[number % 5]
        # What Cell.key does, without building a cell a row.
        asked = {"dimension": 2, "epsilon": epsilon, "granularity": "neuron", "seed": seed}
        key = hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()[:16]
        lower = 10 + number % 50
        upper = (None, lower + 1, lower + 1, lower + 1, lower + 1 + number % 7)[(number // 7) % 5]
        status = WidthStatus.of(lower, upper).value
        told = {
            **model,
            "key": key,
            "seed": seed,
            "epsilon": epsilon,
            "lower": lower,
            "upper": upper,
            "status": status,
        }
        values = tuple(told.values())[:-1]
        yield (*values, digest_of(values))


def timed(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Return the median wall-clock time and the mean process time of `work(k)`."""
    walls, process = [], time.process_time()
    for k in range(count):
        started = time.perf_counter()
        work(k)
        walls.append(time.perf_counter() - started)
    return median(walls), (time.process_time() - process) / count


def verdict(name: str, measured: float, most: float) -> None:
    """Print whether a goal is met."""
    print(f"  -> {name}: {measured:.4f} s, goal {most:g} s: {'met' if measured <= most else 'MISSED'}")


if __name__ == "__main__":
    main()
