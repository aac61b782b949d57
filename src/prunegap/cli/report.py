"""`prunegap report`: write the page of a study or of a comparison and say where it is."""

from __future__ import annotations

import sys
from pathlib import Path

from prunegap.report.compare_page import COMPARISON
from prunegap.report.compare_page import write_page as write_comparison
from prunegap.report.page import write_report
from prunegap.study.store import DATABASE


def run(directory: Path) -> None:
    """Write the page and its figures; the path of the page goes to standard output."""
    if (directory / COMPARISON).is_file() and not (directory / DATABASE).is_file():
        print(write_comparison(directory))
        return
    report = write_report(directory)
    print(f"{len(report.figures)} files of figures in {directory / 'figures'}", file=sys.stderr)
    print(report.page)
