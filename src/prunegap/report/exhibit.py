"""Which tickets the page shows: one of each granularity, of the same random network, at the same epsilon."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.report.figure import Figure
from prunegap.report.palette import slots
from prunegap.report.ticket_chart import ticket_figure
from prunegap.study.row import Row
from prunegap.study.store import TICKETS
from prunegap.study.ticket_file import load_ticket

LEGIBLE = 0.02
"""The epsilon whose tickets are easiest to read: fine enough to need many kinks, coarse enough to see each."""


def exhibit(rows: Sequence[Row], directory: Path) -> tuple[list[Figure], str]:
    """Return a figure of one ticket a granularity, each verified anew from its file, and what to say about them."""
    chosen = _chosen(rows)
    if not chosen:
        return [], "This study holds no ticket at d = 2 with ε < 1, and only those can be drawn on a circle."
    names = [row.cell.granularity.name for row in chosen]
    places = slots(names, {row.cell.granularity.name for row in rows})
    chosen.sort(key=lambda row: list(places).index(row.cell.granularity.name))
    figures, missing = [], []
    for row in chosen:
        name = row.cell.granularity.name
        try:
            ticket = load_ticket(directory / TICKETS / Path(str(row.ticket)).name)
            figures.append(ticket_figure(ticket, ticket.verify(), places[name]))
        except BadInputError as error:
            missing.append(f"The {name} ticket is left out: {error.rule}.")
    cell = chosen[0].cell
    said = (
        f"The same random network (d = 2, seed {cell.seed}, {cell.readout} readout, {cell.initialisation} init) and "
        f"the same target w*, pruned to error at most ε = {cell.epsilon:g}, at its minimal or narrowest known width. "
        "Each ticket was read from its file and verified again when this page was written."
    )
    return figures, " ".join([said, *missing]) if figures else " ".join(missing)


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the network and epsilon with most granularities, then nearest to LEGIBLE, least seed."""
    found: dict[tuple[str, str, float, int], list[Row]] = defaultdict(list)
    for row in rows:
        cell = row.cell
        if cell.dimension == 2 and cell.epsilon < 1.0 and row.ticket is not None and row.is_of_this_stream:
            found[cell.readout.value, cell.initialisation.value, cell.epsilon, cell.seed].append(row)
    if not found:
        return []

    def rank(key: tuple[str, str, float, int]) -> tuple[object, ...]:
        readout, init, epsilon, seed = key
        away = round(abs(math.log(epsilon / LEGIBLE)), 6)
        return (-len(found[key]), readout != "relu", init != "uniform", away, seed)

    return found[min(found, key=rank)]
