"""The best subset for each of very many sums, on a CUDA device: the answers of kernels/subset_sum.py, bit for bit.

A block of threads solves one problem in shared memory; subset_sum.cu says how. Everything that decides between two
subsets is computed in float64 in the same order as on the processor, so that ties are broken alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from prunegap.kernels.subset_sum import MAX_MAGNITUDE, best_subsets
from prunegap.model.errors import BadInputError
from prunegap.nn.device import Program, device_program, find_device

MOST_VALUES = 24
"""Most values of a problem: it then takes 41 kB of shared memory; CUDA gives a block 48 kB."""
THREADS = 64
"""Threads that share a problem; 32, 128 and 256 work as well, see benchmarks/subset_sum_gpu.py."""
ROWS = 1 << 19
"""Problems that are on the device at a time: 100 MB at 24 values."""


def best_subsets_on(
    device: str, values: ArrayLike, targets: ArrayLike, *, within: float = 0.0
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return what `best_subsets(values, targets, within=within)` returns, computed on cpu, cuda or cuda:INDEX.

    `values` (k, n) with n <= 24 on cuda, `targets` (k,); Booleans (k, n) and errors (k,), the same bits on every
    device. Raises BadInputError as `best_subsets`, for more than 24 values, and for a device that is not there.
    """
    where = find_device(device)
    if where.type == "cpu":
        return best_subsets(values, targets, within=within)
    rows = np.require(values, np.float64, ["C", "W"])
    goals = np.require(targets, np.float64, ["C", "W"])
    _check_shapes(rows.shape, goals.shape)
    chosen, errors = np.empty(rows.shape, dtype=np.bool_), np.empty(goals.shape)
    for start in range(0, goals.size, ROWS):
        part = slice(start, start + ROWS)
        on_device = (torch.from_numpy(array[part]).to(where) for array in (rows, goals))
        masks, found = nearest_masks(*on_device, within=within)
        chosen[part] = unpacked(masks, rows.shape[1]).cpu().numpy()
        errors[part] = found.cpu().numpy()
    return chosen, errors


def nearest_masks(
    values: Tensor, targets: Tensor, *, within: float = 0.0, threads: int = THREADS, program: Program | None = None
) -> tuple[Tensor, Tensor]:
    """Return the bitmasks (k,) int32 of the subsets and their errors (k,) float64, on the device that holds them.

    `values` (k, n) and `targets` (k,) float64 on a CUDA device; nothing is copied to or from the host but one flag.
    `program` runs the kernels elsewhere. Raises BadInputError as `best_subsets_on`.
    """
    _check_shapes(tuple(values.shape), tuple(targets.shape))
    count = values.shape[1]
    _check_entries(values, targets, within)
    if program is None:
        program = device_program("subset_sum.cu", (("COUNT", count), ("THREADS", threads)), values.device)
    values, targets = values.contiguous(), targets.contiguous()
    masks = torch.empty(targets.shape, dtype=torch.int32, device=values.device)
    errors = torch.empty_like(targets)
    problems = targets.numel()
    program.launch("best_subsets", problems, threads, values, targets, float(within), masks)
    blocks = -(-problems // threads)
    program.launch("exact_errors", blocks, threads, values, targets, masks, problems, errors)
    return masks, errors


def unpacked(masks: Tensor, count: int) -> Tensor:
    """Return bitmasks (k,) as Booleans (k, count)."""
    places = torch.arange(count, dtype=torch.int32, device=masks.device)
    return (masks[:, None] >> places & 1).bool()


def _check_shapes(values: tuple[int, ...], targets: tuple[int, ...]) -> None:
    if len(values) != 2 or targets != values[:1]:
        told = f"values of shape {values} with targets of shape {targets}"
        raise BadInputError(told, "must be (k, n) and (k,)", "give one target for every row")
    if values[1] > MOST_VALUES:
        rule = f"at most {MOST_VALUES} are handled on a GPU"
        raise BadInputError(f"{values[1]} values", rule, "use device cpu, which handles 44")


def _check_entries(values: Tensor, targets: Tensor, within: float) -> None:
    if not within >= 0.0:
        raise BadInputError(f"within {within}", "must be 0 or more", "use 0 for the best subset")
    largest = max(float(array.abs().max()) if array.numel() else 0.0 for array in (values, targets))
    if not math.isfinite(largest):
        raise BadInputError("a subset-sum problem", "holds NaN or infinite entries", "replace them by finite numbers")
    if largest > MAX_MAGNITUDE:
        raise BadInputError("a subset-sum problem", f"has an entry above {MAX_MAGNITUDE:g}", "scale it down")
