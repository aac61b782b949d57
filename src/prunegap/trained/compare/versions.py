"""The versions that a comparison depends on."""

from __future__ import annotations

import importlib.metadata
import platform

import numpy
import torch


def versions() -> dict[str, str]:
    """Return the versions of prunegap ("not installed" where it runs from its source alone), Python, torch, numpy."""
    try:
        own = importlib.metadata.version("prunegap")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed"
    return {
        "prunegap": own,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
