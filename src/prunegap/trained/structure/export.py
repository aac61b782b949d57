"""Shrunk models for other runtimes: torch.export and ONNX, each compared with the module it came from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils import _pytree

from prunegap.model.errors import BadInputError
from prunegap.trained.structure.check import TOLERANCE, gap_between, outputs
from prunegap.trained.structure.quiet import quiet
from prunegap.whole_file import write_whole


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def _two(x: torch.Tensor) -> torch.Tensor:
    """A batch of one would become a constant of the exported program."""
    return torch.cat([x, x]) if x.dim() and x.shape[0] == 1 else x


def export_program(small: nn.Module, inputs: Sequence[torch.Tensor]) -> torch.export.ExportedProgram:
    """The module in eval mode as an ExportedProgram, with a free batch where the model allows one.

    Guaranteed: it agrees with the module on the inputs to 1e-4 of the output's scale; BadInputError when it does not,
    and for a module that torch.export cannot follow (sparse layers).
    """
    given = tuple(_two(x) for x in inputs)
    free = tuple({0: torch.export.Dim.AUTO} if x.dim() else {} for x in given)
    with _evaluating(small):
        try:
            with quiet():
                program = torch.export.export(small, given, dynamic_shapes=free, strict=False)
        except Exception as error:
            why = f"cannot be exported ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
            raise BadInputError(
                type(small).__name__, why, "layers that run sparse have no exported form: export a shrunk model"
            ) from error
        found = _pytree.tree_leaves(program.module()(*given))
    _agree("the exported program", found, outputs(small, given, {}))
    return program


def export_onnx(small: nn.Module, inputs: Sequence[torch.Tensor], path: str | Path) -> float:
    """Write the module in eval mode as ONNX (one file, whole or not at all) and run it with onnxruntime.

    Returns the largest difference as a fraction of the output's scale. Raises BadInputError when it exceeds 1e-4
    (nothing is written then), or when onnx, onnxscript or onnxruntime is missing.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInputError(str(error.name), "is not installed", "pip install 'prunegap[onnx]'") from None
    program = export_program(small, inputs)
    with torch.no_grad(), quiet():
        onnx_program = torch.onnx.export(program, (), dynamo=True, verbose=False)
        if onnx_program is None:
            raise BadInputError("the module", "gave no ONNX program", "report the model")
        content = onnx_program.model_proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = tuple(_two(x) for x in inputs)
    fed = {slot.name: x.detach().cpu().numpy() for slot, x in zip(session.get_inputs(), given, strict=True)}
    found = [torch.from_numpy(x) for x in session.run(None, fed)]
    gap = _agree("the ONNX file", found, outputs(small, given, {}))
    write_whole(Path(path), content)
    return gap


def _agree(name: str, found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> float:
    gap = gap_between(found, wanted)
    if gap > TOLERANCE:
        raise BadInputError(
            name,
            f"differs from the module by {gap:.2g} of its scale",
            "export the module in float64, or report the model",
        )
    return gap
