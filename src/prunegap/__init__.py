"""prunegap measures what structure costs in neural network pruning.

The public names below are imported when they are first used, so that `import prunegap` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunegap.certify import certify as certify_mask
    from prunegap.model.draw import Draw, Initialisation
    from prunegap.model.errors import BadInputError
    from prunegap.model.granularity import Block, Granularity, Neuron, NOfM, Weight
    from prunegap.model.mask import Mask
    from prunegap.model.network import Network, Readout
    from prunegap.model.outcome import Certificate, Outcome, Status
    from prunegap.model.problem import Problem
    from prunegap.search.base import Budget
    from prunegap.study.cell import Cell, grid
    from prunegap.study.find import find_ticket
    from prunegap.study.row import Row
    from prunegap.study.sweep import measure
    from prunegap.study.ticket import Ticket
    from prunegap.study.ticket_file import load_ticket, save_ticket
    from prunegap.study.width import Effort, WidthInterval, WidthStatus, minimal_width
    from prunegap.trained.compare.model_file import load
    from prunegap.trained.compare.options import Options as CompareOptions
    from prunegap.trained.compare.point import Comparison
    from prunegap.trained.compare.run import compare
    from prunegap.trained.structure.export import export_onnx, export_program

__version__ = "0.1.0"

_HOMES = {
    "BadInputError": "model.errors",
    "Block": "model.granularity",
    "Budget": "search.base",
    "Cell": "study.cell",
    "Certificate": "model.outcome",
    "CompareOptions": "trained.compare.options",
    "Comparison": "trained.compare.point",
    "Draw": "model.draw",
    "Effort": "study.width",
    "Granularity": "model.granularity",
    "Initialisation": "model.draw",
    "Mask": "model.mask",
    "NOfM": "model.granularity",
    "Network": "model.network",
    "Neuron": "model.granularity",
    "Outcome": "model.outcome",
    "Problem": "model.problem",
    "Readout": "model.network",
    "Row": "study.row",
    "Status": "model.outcome",
    "Ticket": "study.ticket",
    "Weight": "model.granularity",
    "WidthInterval": "study.width",
    "WidthStatus": "study.width",
    "certify_mask": "certify",
    "compare": "trained.compare.run",
    "export_onnx": "trained.structure.export",
    "export_program": "trained.structure.export",
    "find_ticket": "study.find",
    "grid": "study.cell",
    "load": "trained.compare.model_file",
    "load_ticket": "study.ticket_file",
    "measure": "study.sweep",
    "minimal_width": "study.width",
    "save_ticket": "study.ticket_file",
}
# A subpackage takes its own name as soon as it is imported, so no function may be called like one.
_NAMES_AT_HOME = {"certify_mask": "certify", "CompareOptions": "Options"}

__all__ = [
    "BadInputError",
    "Block",
    "Budget",
    "Cell",
    "Certificate",
    "CompareOptions",
    "Comparison",
    "Draw",
    "Effort",
    "Granularity",
    "Initialisation",
    "Mask",
    "NOfM",
    "Network",
    "Neuron",
    "Outcome",
    "Problem",
    "Readout",
    "Row",
    "Status",
    "Ticket",
    "Weight",
    "WidthInterval",
    "WidthStatus",
    "certify_mask",
    "compare",
    "export_onnx",
    "export_program",
    "find_ticket",
    "grid",
    "load",
    "load_ticket",
    "measure",
    "minimal_width",
    "save_ticket",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'prunegap' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"prunegap.{_HOMES[name]}"), _NAMES_AT_HOME.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
