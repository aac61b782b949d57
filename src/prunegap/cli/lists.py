"""The syntax of the options: lists like `2,3`, seeds as `5`, `7-11` or `0,3,9`, and `inf` for no time limit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeVar

from prunegap.model.errors import BadInputError

MOST_SEEDS = 100_000

Item = TypeVar("Item")


def listed(option: str, text: str, parse: Callable[[str], Item]) -> list[Item]:
    """Return the items of a comma-separated list; raises BadInputError for an empty one or a bad item."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise BadInputError(
            f"{option} {text!r}", "has an empty item", f"write it like --{option} {_EXAMPLES[option]}"
        )
    return [parse(part) for part in parts]


_EXAMPLES = {
    "dimension": "2,3",
    "epsilon": "0.2,0.1",
    "granularity": "weight,neuron",
    "readout": "relu,linear",
    "init": "uniform,normal",
    "seeds": "5",
    "budgets": "0.5,0.1",
}


def dimension(text: str) -> int:
    """Return a whole number; raises BadInputError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
        raise BadInputError(f"dimension {text!r}", "must be a whole number of at least 1", "use --dimension 2")
    return int(text)


def epsilon(text: str) -> float:
    """Return a number; raises BadInputError."""
    try:
        return float(text)
    except ValueError:
        raise BadInputError(f"epsilon {text!r}", "must be a number above 0", "use for example 0.05") from None


def seeds(text: str) -> list[int]:
    """Return the seeds: one number is a count from 0; ranges like 7-11 include both ends; commas list.

    Raises BadInputError for anything else, for none, and for more than 100,000.
    """
    ranges = f"0-{int(text) - 1}" if re.fullmatch(r"\s*0*[1-9][0-9]{0,17}\s*", text) else text
    found: list[int] = []
    for part in ranges.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,18})(?:-([0-9]{1,18}))?\s*", part)
        if match is None or text.strip() == "0":
            rule = "must name at least one seed, as a count, a range or a list"
            raise BadInputError(f"seeds {text!r}", rule, "use --seeds 5, 7-11 or 0,3,9")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= last - first < MOST_SEEDS:
            raise BadInputError(
                f"seeds {text!r}", f"must run upwards over at most {MOST_SEEDS} seeds", "use a range like 7-11"
            )
        found.extend(range(first, last + 1))
    return list(dict.fromkeys(found))


def time_limit(seconds: float) -> float | None:
    """Return the seconds, or None for an infinite time."""
    return None if seconds == math.inf else seconds
