"""What a comparison is asked about, made safe: a copy of the model, batches that hold numbers, a digest of both."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from prunegap.model.errors import BadInputError
from prunegap.trained.calibrate import Batch
from prunegap.trained.latency import tensors_of

ROWS_A_BATCH = 64
"""Rows of a batch where calibration is one tensor."""


def own_copy(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode; raises BadInputError where the model is none or cannot be copied."""
    if not isinstance(model, nn.Module):
        raise BadInputError(
            f"model of type {type(model).__name__}", "is no torch.nn.Module", "pass the module itself"
        )
    try:
        return copy.deepcopy(model).eval()
    except Exception as error:
        rule = f"cannot be copied ({type(error).__name__}: {error})"
        remedy = "remove caches and hooks that hold tensors with gradients"
        raise BadInputError(f"model {type(model).__name__}", rule, remedy) from error


def as_batches(calibration: Iterable[Batch] | Tensor) -> list[Batch]:
    """Return the batches; raises BadInputError for none, and for one without tensors or with NaN (named)."""
    if isinstance(calibration, Tensor):
        calibration = torch.split(calibration, ROWS_A_BATCH)
    batches = list(calibration)
    if not batches:
        raise BadInputError("calibration", "holds no batches", "give at least one batch of inputs")
    for number, batch in enumerate(batches):
        if not isinstance(batch, (Tensor, Sequence, Mapping)) or not tensors_of(batch):
            rule = f"is a {type(batch).__name__} without tensors"
            raise BadInputError(f"calibration batch {number}", rule, "give a tensor, a tuple or a mapping of tensors")
        if any(t.is_floating_point() and not bool(torch.isfinite(t).all()) for t in tensors_of(batch)):
            raise BadInputError(f"calibration batch {number}", "holds NaN or infinite inputs", "remove such rows")
    return batches


def fingerprint(model: nn.Module, batches: Sequence[Any]) -> str:
    """Return a digest of the model's tensors, by name, and of the batches."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    for tensor in (t for batch in batches for t in tensors_of(batch)):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:32]


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use that many threads in this process, as the latency is measured with, and restore its number.

    numpy's and scipy's own libraries get one thread each: their threads spin while they wait, and three pools that
    spin on the same cores are slower together than one thread alone.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
