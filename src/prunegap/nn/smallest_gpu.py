"""The subsets that a layer's weights ask for, found on a CUDA device: those of kernels/smallest.py, bit for bit.

All outputs of a layer go through a part of its inputs at once, each in a block of threads of its own; smallest.cu
says how. A sum that four values do not meet is rare and long: its block stops there, the processor searches all
subsets, and the block goes on. Nothing but the part at hand is on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.kernels.smallest import MOST_CANDIDATES, masked_sum, smallest_within
from prunegap.kernels.subset_sum import workspace
from prunegap.nn.device import Program, device_program
from prunegap.nn.graph import LayerShape
from prunegap.nn.source import Candidates

Floats = NDArray[np.float64]
Masks = NDArray[np.int64]

THREADS = 128
"""Threads that go through the sums of an output together."""


@dataclass(frozen=True)
class Questions:
    """The sums that some inputs of a layer ask for: `sums` (inputs, weights of an input) in units of `Candidates`.

    `blocks` names the inputs, constants not among them, all for one sign of their values; `within` and `price`
    (inputs,) are tolerances and what a path costs, as `shaped_subsets` takes them.
    """

    shape: LayerShape
    blocks: Sequence[int]
    candidates: Sequence[Candidates]
    sums: Floats
    within: Floats
    price: Floats

    @property
    def outputs(self) -> int:
        """Outputs that an input has."""
        return self.shape.outputs // self.shape.groups

    @property
    def places(self) -> int:
        """Sums that one output goes through, those of other groups' inputs counted as well."""
        return len(self.blocks) * self.shape.taps

    def groups(self) -> NDArray[np.int32]:
        """Return the group of every input."""
        return (np.array(self.blocks) // (self.shape.inputs // self.shape.groups)).astype(np.int32)

    def at(self, output: int, place: int) -> tuple[int, int]:
        """Return which input and which of its weights an output meets at a place."""
        return place // self.shape.taps, output % self.outputs * self.shape.taps + place % self.shape.taps


def subsets_on_device(
    asked: Questions, carried: Floats, device: torch.device, pool: Executor, program: Program | None = None
) -> Masks:
    """Return the masks (inputs, weights of an input), -1 where impossible; bring `carried` (outputs,) up to date.

    Guaranteed are the bits that `shaped_subsets` returns for one input after the other. `program` runs the kernel
    elsewhere than on the CUDA device named.
    """
    if program is None:
        program = device_program("smallest.cu", (("THREADS", THREADS),), device)
    masks = np.zeros(asked.sums.shape, dtype=np.int64)
    fixed = [torch.from_numpy(array).to(device) for array in _padded(asked)]
    on_device = torch.from_numpy(masks).to(device)
    begin = torch.zeros(carried.size, dtype=torch.int32, device=device)
    solved: list[tuple[int, int, int]] = []
    while True:
        errors = torch.from_numpy(carried).to(device)
        sizes = (len(asked.blocks), asked.outputs, asked.shape.taps)
        program.launch("shaped_subsets", carried.size, THREADS, *fixed, errors, begin, on_device, *sizes)
        carried[:] = errors.cpu().numpy()
        stopped = begin.cpu().numpy()
        behind = np.flatnonzero(stopped < asked.places)
        if not behind.size:
            break
        solved += pool.map(partial(_searched, asked, carried), behind.tolist(), stopped[behind].tolist())
        stopped[behind] += 1
        begin = torch.from_numpy(stopped).to(device)
    found: Masks = on_device.cpu().numpy()
    for i, g, mask in solved:
        found[i, g] = mask
    return found


def _searched(asked: Questions, carried: Floats, output: int, place: int) -> tuple[int, int, int]:
    """Return the mask of a sum with the input and weight that ask for it; add its error to those carried."""
    i, g = asked.at(output, place)
    candidates, goal = asked.candidates[i], asked.sums[i, g]
    values = candidates.factors * candidates.draws[:, g]
    mask = smallest_within(values, goal, asked.within[i], *workspace(values.size))
    if mask >= 0:
        carried[output] += masked_sum(values, mask) - goal
    return i, g, mask


def _padded(asked: Questions) -> tuple[NDArray[np.generic], ...]:
    """Return factors, draws, counts, groups, sums, tolerances and prices as the kernel takes them."""
    count = len(asked.blocks)
    factors = np.zeros((count, MOST_CANDIDATES))
    draws = np.zeros((count, MOST_CANDIDATES, asked.sums.shape[1]), dtype=np.int32)
    counts = np.array([candidates.rows.size for candidates in asked.candidates], dtype=np.int32)
    for i, candidates in enumerate(asked.candidates):
        factors[i, : counts[i]] = candidates.factors
        draws[i, : counts[i]] = candidates.draws
    return factors, draws, counts, asked.groups(), asked.sums, asked.within, asked.price
