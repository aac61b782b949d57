"""`prunegap verify`: saved tickets, each from its file alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from prunegap.model.errors import BadInputError
from prunegap.study.ticket_file import load_ticket


def run(files: Sequence[Path]) -> int:
    """Print a line for every ticket, verified ones on stdout, others on stderr; return 0, or 2 if one failed."""
    failed = False
    for path in files:
        try:
            print(f"{path}: {_verified(path)}")
        except BadInputError as error:
            failed = True
            message = str(error) if str(path) in error.value else f"{path}: {error}"
            print("error: " + " ".join(message.splitlines()), file=sys.stderr)
    return 2 if failed else 0


def _verified(path: Path) -> str:
    ticket = load_ticket(path)
    certificate = ticket.verify()
    problem, mask = ticket.problem, ticket.mask
    kept = f"{problem.granularity} pruning of {problem.width} neurons keeps {mask.kept_neurons}"
    error = f"error in [{certificate.error_lower:.6g}, {certificate.error_upper:.6g}] <= {problem.epsilon:g}"
    return f"verified: {kept}, {error} ({certificate.method})"
