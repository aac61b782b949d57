"""What the command line is given: a model by the name of its factory, and data by a file or a function.

`module:factory` is imported with the working directory first on the path and called without arguments. Data is either
a file of arrays (`.npz` or `.safetensors`: `x`, and optionally labels `y`) or `module:function`, which returns
(calibration, evaluate) as `prunegap.compare` takes them. No pickle is ever read. Calibration is moved to where the
model is; an `evaluate` of the user's own has to do that itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.compare.measure import Evaluate, accuracy

BATCH = 64
HELD_OUT = 0.5
"""Part of a labelled file that is kept back for `evaluate`; calibration never sees it."""


@dataclass(frozen=True)
class Data:
    """Calibration batches, what measures quality (None: likeness to the dense model), and that measure's name."""

    calibration: Sequence[Any]
    evaluate: Evaluate | None
    measure: str


PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Place:
    """Where a model and its data are, and in which precision; None leaves either as it is."""

    device: torch.device | None = None
    precision: torch.dtype | None = None

    @classmethod
    def named(cls, device: torch.device | None, precision: str | None) -> Place:
        """Return the place of a precision given by name; raises BadInputError for an unknown one."""
        if precision is not None and precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise BadInputError(f"precision {precision!r}", f"must be one of {known}", "use --precision float32")
        return cls(device, None if precision is None else PRECISIONS[precision])

    def of_model(self, model: nn.Module) -> nn.Module:
        """Return the model there."""
        return model.to(device=self.device, dtype=self.precision)

    def beside(self, model: nn.Module) -> Place:
        """Return the place of what this model is given."""
        first = next(iter((*model.parameters(), *model.buffers())), None)
        return self if first is None else Place(first.device, self.precision)

    def of_data(self, value: Any) -> Any:
        """Return the value with its tensors there."""

        def moved(leaf: object) -> object:
            if not isinstance(leaf, Tensor):
                return leaf
            return leaf.to(device=self.device, dtype=self.precision if leaf.is_floating_point() else None)

        return _pytree.tree_map(moved, value)


def load_model(name: str) -> nn.Module:
    """Return what the factory `module:factory` makes; raises BadInputError where it is no nn.Module."""
    model = _call(name, "model")
    if not isinstance(model, nn.Module):
        raise BadInputError(f"model {name!r}", f"returned {type(model).__name__}", "return a torch.nn.Module")
    return model


def load_data(name: str, batch: int = BATCH, place: Place | None = None) -> Data:
    """Return the data of a file or of `module:function`, at `place`; raises BadInputError for anything else."""
    place = place or Place()
    if Path(name).suffix in (".npz", ".safetensors"):
        return _from_arrays(Path(name), batch, place)
    found = _call(name, "data")
    if not isinstance(found, tuple) or len(found) != 2 or not (found[1] is None or callable(found[1])):
        raise BadInputError(f"data {name!r}", "returned no pair", "return (calibration batches, evaluate or None)")
    calibration, evaluate = found
    batches = list(torch.split(calibration, batch) if isinstance(calibration, Tensor) else calibration)
    batches = place.of_data(batches)
    return Data(batches, evaluate, "" if evaluate is None else getattr(evaluate, "__name__", "evaluate"))


def _call(name: str, option: str) -> Any:
    home, colon, attribute = name.partition(":")
    if not colon or not home or not attribute:
        raise BadInputError(f"{option} {name!r}", "must be module:name", "for example mynet:build")
    sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(home), attribute)
        return factory()
    except BadInputError:
        raise
    except Exception as error:
        rule = f"cannot be made ({type(error).__name__}: {error})"
        raise BadInputError(f"{option} {name!r}", rule, "see that it imports and runs without arguments") from error
    finally:
        sys.path.remove(os.getcwd())


def _from_arrays(path: Path, batch: int, place: Place) -> Data:
    arrays = _arrays(path)
    if "x" not in arrays:
        raise BadInputError(f"data {path}", f"holds {', '.join(arrays) or 'nothing'}", "store the inputs as x")
    inputs = torch.from_numpy(np.ascontiguousarray(arrays["x"]))
    if inputs.ndim < 2 or inputs.shape[0] < 2:
        raise BadInputError(f"data {path}", f"x has shape {tuple(inputs.shape)}", "store x as (samples, ...)")
    if inputs.dtype == torch.float64:
        inputs = inputs.float()
    inputs = place.of_data(inputs)
    if "y" not in arrays:
        return Data(list(torch.split(inputs, batch)), None, "")
    labels = place.of_data(torch.from_numpy(np.ascontiguousarray(arrays["y"])).long())
    if labels.shape != inputs.shape[:1]:
        raise BadInputError(f"data {path}", f"y has shape {tuple(labels.shape)}", "store one label a sample as y")
    held = max(1, round(HELD_OUT * inputs.shape[0]))
    return Data(list(torch.split(inputs[held:], batch)), accuracy(inputs[:held], labels[:held], batch), "accuracy")


def _arrays(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        from safetensors.numpy import load_file

        return dict(load_file(path))
    except Exception as error:
        raise BadInputError(f"data {path}", f"cannot be read ({error})", "give x (and y) as numeric arrays") from None
