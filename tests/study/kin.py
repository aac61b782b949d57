"""The processes that a process has begun, as Linux lists them."""

from __future__ import annotations

from pathlib import Path


def children(process: int) -> list[int]:
    """The children of a process, whichever of its threads began them; threads may end while it is asked."""
    found = list[int]()
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            found += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # the kernel hands the children of a thread that ends to another one
    return found
