"""`prunegap recover`: a damaged study made whole from the rows that can still be read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prunegap.cli.bar import Bar
from prunegap.study.recover import recover

SCHEMA = 1


def run(study: Path, as_json: bool) -> None:
    """Recover and say what came back."""
    with Bar() as bar:
        found = recover(study, lambda rows: bar("rows read", rows))
    for told in found.contradictions:
        print(f"left out: {told}", file=sys.stderr)
    if as_json:
        told_object = {
            "schema": SCHEMA,
            "damaged": found.backup is not None,
            "rows": found.rows,
            "rows_without_ticket": found.without_ticket,
            "tickets_without_row": found.tickets_without_row,
            "backup": None if found.backup is None else str(found.backup),
        }
        print(json.dumps(told_object))
    elif found.backup is None:
        print(f"{study}: nothing is damaged, {found.rows} rows; nothing was changed")
    else:
        print(f"{study}: {found.rows} rows came back; the damaged file is kept as {found.backup.name}")
        if found.tickets_without_row or found.without_ticket:
            lost = f"{found.tickets_without_row} tickets have no row, {found.without_ticket} rows no ticket"
            print(f"{lost}; prunegap measure with the same options measures what is missing")
