"""A study as one table for other tools: CSV for anything, Parquet for much.

The columns are those of the store but for the digest; docs/export.md says what each one means. Rows come in the
order of their keys, so equal studies give equal files.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from prunegap.model.errors import BadInputError
from prunegap.study.row import COLUMNS, Row, values_of
from prunegap.study.store import Store

EXPORTED = tuple(name for name in COLUMNS if name != "digest")
"""The columns of the table, in order."""

ROWS_AT_ONCE = 50_000

OnRow = Callable[[int], None]


def export_csv(store: Store, path: Path | str, on_row: OnRow | None = None) -> int:
    """Write every row to a CSV file (UTF-8, a header line, empty where there is no value); return how many.

    Floats are written so that they read back as the same float. The file appears whole or not at all. Raises
    BadInputError where it cannot be written.
    """
    with _whole(Path(path)) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EXPORTED)
        count = 0
        for batch in _batches(store, on_row):
            writer.writerows(batch)
            count += len(batch)
    return count


def export_parquet(store: Store, path: Path | str, on_row: OnRow | None = None) -> int:
    """Write every row to a Parquet file, null where there is no value; return how many.

    The file appears whole or not at all. Raises BadInputError where pyarrow is missing, or it cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        remedy = "pip install 'prunegap[parquet]', or use --csv"
        raise BadInputError("parquet", "needs pyarrow, which is not installed", remedy) from None
    kinds = {"TEXT": pyarrow.string(), "INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    fields = [
        pyarrow.field(name, kinds[COLUMNS[name].split()[0]], "NOT NULL" not in COLUMNS[name] and name != "key")
        for name in EXPORTED
    ]
    schema = pyarrow.schema(fields)
    count = 0
    with _whole(Path(path)) as unfinished, pyarrow.parquet.ParquetWriter(unfinished, schema) as writer:
        for batch in _batches(store, on_row):
            arrays: list[Any] = [
                pyarrow.array(column, field.type)
                for column, field in zip(zip(*batch, strict=True), fields, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _batches(store: Store, on_row: OnRow | None) -> Iterator[Sequence[tuple[object, ...]]]:
    rows, count = store.rows_by_key(), 0
    while batch := [_exported(row) for row in islice(rows, ROWS_AT_ONCE)]:
        yield batch
        count += len(batch)
        if on_row is not None:
            on_row(count)


def _exported(row: Row) -> tuple[object, ...]:
    return values_of(row)[:-1]


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a file to write that takes the place of `path` once it is complete."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        unfinished = Path(name)
        try:
            yield unfinished
            unfinished.chmod(0o644)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(
            str(path), f"cannot be written ({error.strerror or error})", "choose another place"
        ) from None
