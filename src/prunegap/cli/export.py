"""`prunegap export`: a study as one table."""

from __future__ import annotations

from pathlib import Path

from prunegap.cli.bar import Bar
from prunegap.model.errors import BadInputError
from prunegap.study.export import export_csv, export_parquet
from prunegap.study.store import Store


def run(study: Path, csv: Path | None, parquet: Path | None) -> None:
    """Write the files that were asked for."""
    if csv is None and parquet is None:
        raise BadInputError("export", "needs a file to write", "use --csv FILE or --parquet FILE")
    with Store(study, read_only=True) as store, Bar() as bar:
        total = sum(count.cells for count in store.counts())
        for path, write in ((csv, export_csv), (parquet, export_parquet)):
            if path is not None:
                rows = write(store, path, lambda done: bar("rows", done, total))
                print(f"{path}: {rows} rows")
