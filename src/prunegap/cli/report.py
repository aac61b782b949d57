"""`prunegap report`: write the page of a study and say where it is."""

from __future__ import annotations

import sys
from pathlib import Path

from prunegap.report.page import write_report


def run(directory: Path) -> None:
    """Write the page and its figures; the path of the page goes to standard output."""
    report = write_report(directory)
    print(f"{len(report.figures)} files of figures in {directory / 'figures'}", file=sys.stderr)
    print(report.page)
