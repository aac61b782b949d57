"""`prunegap merge`: several studies in one new directory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from prunegap.cli.bar import Bar
from prunegap.study.merge import merge

SCHEMA = 1


def run(sources: Sequence[Path], out: Path, as_json: bool) -> None:
    """Merge and say what came together."""
    with Bar() as bar:
        done = merge(sources, out, lambda rows: bar("rows", rows))
    if as_json:
        print(json.dumps({"schema": SCHEMA, "rows": done.rows, "shared": done.shared, "tickets": done.tickets}))
    else:
        print(f"{out}: {done.rows} rows, {done.shared} of them in every source, {done.tickets} tickets verified")
