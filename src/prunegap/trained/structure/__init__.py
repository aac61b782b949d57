"""Removing units so that the model is really smaller: groups found by tracing, surgery, check, files, export."""

from prunegap.trained.structure.check import agreement, shrunk
from prunegap.trained.structure.count import Count, count
from prunegap.trained.structure.export import export_onnx, export_program
from prunegap.trained.structure.file import load, save
from prunegap.trained.structure.groups import Fixed, Group, Member, Structure, round_keep, trace
from prunegap.trained.structure.module import ShrunkModule
from prunegap.trained.structure.shrink import masked

__all__ = [
    "Count",
    "Fixed",
    "Group",
    "Member",
    "ShrunkModule",
    "Structure",
    "agreement",
    "count",
    "export_onnx",
    "export_program",
    "load",
    "masked",
    "round_keep",
    "save",
    "shrunk",
    "trace",
]
