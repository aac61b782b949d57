"""The versions that a comparison depends on."""

from __future__ import annotations

import platform

import numpy
import torch

import prunegap


def versions() -> dict[str, str]:
    """Return the versions of prunegap, Python, torch and numpy."""
    return {
        "prunegap": prunegap.__version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
