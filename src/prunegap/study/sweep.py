"""Run the cells that are missing: each cell is one task, stored as soon as it is done.

Nothing is computed twice: a stored row is taken as it is unless its interval is open and more effort is offered than
went into it. So a study that was killed continues where it was, at the cost of the cells in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from prunegap.study.cell import Cell
from prunegap.study.drive import Drive, Order
from prunegap.study.find import Chooser, registered
from prunegap.study.presence import Presence
from prunegap.study.refine import in_order_of_worth
from prunegap.study.row import Row
from prunegap.study.schedule import Agenda, CostModel
from prunegap.study.shelf import Shelf
from prunegap.study.standing import OnRow, Tally, Watch
from prunegap.study.store import Store
from prunegap.study.task import GRACE
from prunegap.study.width import Effort
from prunegap.study.workers import Processes, ThisProcess, Workers


def measure(
    cells: Iterable[Cell],
    out: Path | str | None = None,
    effort: Effort | None = None,
    workers: int | Workers = 1,
    on_row: OnRow | None = None,
    choose: Chooser = registered,
    *,
    refine: bool = False,
    watch: Watch | None = None,
    grace: float = GRACE,
) -> list[Row]:
    """Return the row of every cell, in the order of `cells`; what the study in `out` already holds is not run again.

    `workers`: that many child processes run one cell each; with 1 everything runs in this process, where nothing
    stops a search that ignores its deadline; or Workers of any other kind, which stay the caller's. A child is killed
    `grace` seconds after the time limit. With `refine` every cell that stayed open gets the effort once more, those
    first that matter most for the laws. `choose` must be importable where the cells run. Raises BadInputError for a
    cell that no search handles, or an `out` that is not a study; LostWorkersError where the workers are gone for
    good; CannotWriteError where a row still cannot be written when everything else is done.
    """
    asked, effort, watch = list(dict.fromkeys(cells)), effort or Effort(), watch or Watch(on_row)
    _refuse_early(asked, choose)
    with ExitStack() as stack:
        store = None if out is None else stack.enter_context(Store(out))
        stored = store.rows_of(asked) if store else {}
        stored = {cell: row for cell, row in stored.items() if row.is_of_this_stream}
        again = in_order_of_worth(stored) if refine else []
        shelf, tally, costs = Shelf(store, stored, effort, frozenset(again)), Tally(len(asked)), CostModel(effort)
        for row in stored.values():
            costs.observe(row.cell, row.seconds)
        done = {cell: stored[cell] for cell in asked if shelf.settled(cell)}
        for row in done.values():
            tally.count(row, measured=False)
            watch.see(row, tally)
        later = frozenset(again)
        missing = [cell for cell in asked if cell not in done and cell not in later]
        agenda = Agenda(missing, costs, stored, again)
        if len(agenda):
            crew = _workers(workers, stack)
            presence = None if out is None else stack.enter_context(Presence(Path(out), crew.name, crew.slots))
            done |= Drive(crew, agenda, shelf, tally, costs, Order(effort, choose, grace), presence, watch).run()
    return [done[cell] for cell in asked]


def _refuse_early(cells: Sequence[Cell], choose: Chooser) -> None:
    """Raise BadInputError for a cell that no search handles, before anything is written."""
    for cell in {(c.dimension, c.granularity, c.readout): c for c in cells}.values():
        choose(cell.problem(1))


def _workers(workers: int | Workers, stack: ExitStack) -> Workers:
    if isinstance(workers, Workers):
        return workers
    return stack.enter_context(ThisProcess() if workers == 1 else Processes(workers))
