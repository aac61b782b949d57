"""The directory of a comparison: everything is written as soon as it is finished, and found again.

`comparison.json` is written whole after every point; `models/` holds each point's model. The same question asked
again computes nothing anew; more budgets or granularities join what is there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from torch import nn

from prunegap.model.errors import BadInputError
from prunegap.trained.compare.model_file import save_model
from prunegap.trained.compare.point import Comparison, Setting, as_object, read_comparison
from prunegap.trained.structure import Structure
from prunegap.whole_file import write_whole

COMPARISON = "comparison.json"
MODELS = "models"


class Shelf:
    """Files of one comparison. Raises BadInputError where the directory cannot be made or its file is damaged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / COMPARISON
        try:
            (directory / MODELS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            rule = f"cannot be made ({error.strerror})"
            raise BadInputError(str(directory), rule, "choose another directory") from None

    def earlier(self, setting: Setting) -> Comparison | None:
        """Return what an earlier run finished here; raises BadInputError where it was made in another setting."""
        if not self.path.exists():
            return None
        found = read_comparison(self.path)
        differing = found.setting.difference(setting)
        if differing:
            rule = f"holds a comparison with another {differing}"
            raise BadInputError(str(self.directory), rule, "choose another directory or delete this one")
        return found

    def put(self, comparison: Comparison) -> None:
        """Write the comparison so far."""
        write_whole(self.path, json.dumps(as_object(comparison), indent=1, allow_nan=False).encode())

    def put_model(self, name: str, run: nn.Module, masked: nn.Module, structure: Structure | None) -> str:
        """Write the model of a point and return its path inside the directory."""
        place = f"{MODELS}/{name}.safetensors"
        save_model(self.directory / place, run, masked, structure)
        return place


def named(comparison: Comparison, command: str) -> Comparison:
    """Return the comparison with the command that asked for it last."""
    return replace(comparison, setting=replace(comparison.setting, command=command))
