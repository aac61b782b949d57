"""The versions that a comparison depends on."""

from __future__ import annotations

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Return the versions of prunegap, Python, torch and numpy."""
    named = {name: importlib.metadata.version(name) for name in ("prunegap", "torch", "numpy")}
    return {**named, "python": platform.python_version()}
