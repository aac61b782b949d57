"""Can others trust this study? Every ticket is verified again, a sample of its proofs is made again differently.

A ticket is its own evidence. A proof that there is none left nothing behind but its row, so it can only be asked for
again, of another engine; which rows are asked depends on nothing but the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.search.base import Budget
from prunegap.study.merge import check_ticket
from prunegap.study.row import Row
from prunegap.study.second_opinion import Opinion, Verdict, second_opinion
from prunegap.study.store import TICKETS, Store

OnStep = Callable[[str, int, int], None]
"""Called with what is being looked at, how many are done and how many there are."""


@dataclass(frozen=True)
class Disagreement:
    """Something in the study that is not true, or that nothing supports: the cell's key, what, and why."""

    key: str
    what: str
    why: str


@dataclass(frozen=True)
class Reproof:
    """What another engine says about the lower end of one row."""

    row: Row
    opinion: Opinion


@dataclass(frozen=True)
class Audit:
    """What was looked at, and what came of it; `strays` are files in tickets/ that no row names."""

    rows: int
    tickets: int
    disagreements: tuple[Disagreement, ...]
    reproofs: tuple[Reproof, ...]
    strays: tuple[str, ...]

    def count(self, verdict: Verdict) -> int:
        """Return how many of the sampled proofs got this verdict."""
        return sum(reproof.opinion.verdict is verdict for reproof in self.reproofs)


def audit(
    directory: Path | str,
    sample: int = 20,
    seed: int = 0,
    seconds: float | None = 60.0,
    on_step: OnStep | None = None,
) -> Audit:
    """Check the whole database, every row's digest, every ticket, and the lower ends of `sample` rows.

    Each of the sampled proofs may take `seconds` (None: no limit). Changes nothing. Raises DamagedError where the
    database itself is damaged, BadInputError for a negative sample or a time that is not above 0.
    """
    Budget(seconds)
    if sample < 0:
        raise BadInputError(f"sample {sample}", "must be 0 or more", "use --sample 20")
    told = on_step or (lambda what, done, total: None)
    chance = random.Random(seed)
    disagreements: list[Disagreement] = []
    drawn: list[Row] = []
    named: set[str] = set()
    rows = tickets = excluding = 0
    with Store(directory, read_only=True) as store:
        store.check()
        total = sum(count.cells for count in store.counts())
        for row in store.rows_by_key():
            rows += 1
            disagreements += _examined(store, row)
            if row.ticket is not None:
                tickets += 1
                named.add(row.ticket)
            if row.lower >= 0 and row.is_of_this_stream:
                # Reservoir sampling: every row stays with the same probability, and none is kept but the sample.
                place = excluding if excluding < sample else chance.randrange(excluding + 1)
                drawn[place : place + 1] = [row] if place < sample else drawn[place : place + 1]
                excluding += 1
            told("rows and tickets", rows, total)
    reproofs = []
    for number, row in enumerate(drawn, start=1):
        told("proofs", number - 1, len(drawn))
        problem = row.cell.problem(row.lower)
        reproofs.append(Reproof(row, second_opinion(problem, row.searches, seconds)))
        told("proofs", number, len(drawn))
    for reproof in reproofs:
        if reproof.opinion.verdict is Verdict.DISAGREES:
            why = f"{reproof.opinion.engine} at width {reproof.row.lower}: {reproof.opinion.detail}"
            disagreements.append(Disagreement(reproof.row.cell.key, "proof", why))
    strays = tuple(sorted(set(_files(Path(directory) / TICKETS)) - named))
    return Audit(rows, tickets, tuple(disagreements), tuple(reproofs), strays)


def _examined(store: Store, row: Row) -> Iterator[Disagreement]:
    """Yield what is wrong with a row by itself and with its ticket."""
    if row.upper is not None and row.lower >= row.upper:
        why = f"claims a proof of none at width {row.lower} and a ticket at {row.upper}"
        yield Disagreement(row.cell.key, "row", why)
    path = store.ticket_path(row)
    if (path is None) != (row.upper is None):
        yield Disagreement(row.cell.key, "row", "names an upper end without a ticket, or a ticket without one")
    elif path is not None and not path.is_file():
        yield Disagreement(row.cell.key, "ticket", f"{path} is missing")
    elif path is not None and row.is_of_this_stream:
        try:
            check_ticket(row, path)
        except BadInputError as error:
            yield Disagreement(row.cell.key, "ticket", f"{error.value} {error.rule}")


def _files(directory: Path) -> list[str]:
    return [place.name for place in directory.iterdir()] if directory.is_dir() else []
