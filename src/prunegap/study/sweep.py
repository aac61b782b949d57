"""Run the cells that are missing: each cell is one task, stored as soon as it is done.

Nothing is computed twice: a stored row is taken as it is unless its interval is open and more effort is offered than
went into it. So a study that was killed continues where it was, at the cost of the cells in flight.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, nullcontext
from pathlib import Path

from prunegap.study.cell import Cell
from prunegap.study.find import Chooser, registered
from prunegap.study.row import Row
from prunegap.study.store import Store
from prunegap.study.width import Effort, WidthInterval, minimal_width

OnRow = Callable[[Row, int, int], None]
"""Called with a row, how many are done and how many there are."""


def measure(
    cells: Iterable[Cell],
    out: Path | str | None = None,
    effort: Effort | None = None,
    workers: int = 1,
    on_row: OnRow | None = None,
    choose: Chooser = registered,
) -> list[Row]:
    """Return the row of every cell, in the order of `cells`; what the study in `out` already holds is not run again.

    `workers` processes run one cell each; with 1 everything runs in this process. `choose` must be importable where
    workers > 1. Raises BadInputError for a cell that no search handles, or an `out` that is not a study.
    """
    asked, effort = list(dict.fromkeys(cells)), effort or Effort()
    _refuse_early(asked, choose)
    with Store(out) if out is not None else nullcontext() as store:
        stored = store.rows_of(asked) if store else {}
        stored = {cell: row for cell, row in stored.items() if row.is_of_this_stream}
        done = {cell: row for cell, row in stored.items() if row.is_settled(effort)}
        missing = [cell for cell in asked if cell not in done]
        known = [store.known(stored[cell]) if store and cell in stored else WidthInterval(cell) for cell in missing]
        for count, cell in enumerate(done, start=1):
            if on_row:
                on_row(done[cell], count, len(asked))
        with closing(_run(sorted(known, key=_expected_longest_first), effort, workers, choose)) as intervals:
            for interval in intervals:
                row = Row.of(interval, effort)
                if store:
                    store.put(row, interval)
                done[row.cell] = row
                if on_row:
                    on_row(row, len(done), len(asked))
    return [done[cell] for cell in asked]


def _refuse_early(cells: Sequence[Cell], choose: Chooser) -> None:
    """Raise BadInputError for a cell that no search handles, before anything is written."""
    for cell in {(c.dimension, c.granularity, c.readout): c for c in cells}.values():
        choose(cell.problem(1))


def _expected_longest_first(known: WidthInterval) -> tuple[int, float, bool]:
    cell = known.cell
    return (-cell.dimension, cell.epsilon, cell.granularity.name == "weight")


def _run(
    known: Sequence[WidthInterval], effort: Effort, workers: int, choose: Chooser
) -> Generator[WidthInterval, None, None]:
    if workers == 1 or len(known) <= 1:
        for start in known:
            yield minimal_width(start.cell, effort, start, choose)
    else:
        yield from _run_in_pool(known, effort, min(workers, len(known)), choose)


def _run_in_pool(
    known: Sequence[WidthInterval], effort: Effort, workers: int, choose: Chooser
) -> Generator[WidthInterval, None, None]:
    """Yield intervals as they are done; leaving early, by an error or Ctrl-C, ends the workers at once."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_obey_parent)
    try:
        futures = [pool.submit(minimal_width, start.cell, effort, start, choose) for start in known]
        for future in as_completed(futures):
            yield future.result()
        pool.shutdown()
    except BaseException:
        for worker in set(multiprocessing.active_children()) - before:
            worker.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _obey_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and die with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
