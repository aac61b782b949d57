"""The norm of a convolution from l2 to l2 over images of any size, by its frequencies.

On the infinite grid a convolution with kernel taps W_q acts on the frequency t as the matrix A(t) = sum_q W_q
exp(i q t), and its norm is the greatest ||A(t)||_2 (Sedghi, Gupta, Long 2019 use this for periodic images). Zero
padding and the border only restrict it. A stride makes of each input channel one channel for every phase, a dilation
puts zeros between taps. Frequencies are tried on a grid: along each axis A has q taps, so u* A(t) v is of exponential
type s = (q - 1) / 2, and between grid points pi / M away it is at most 1 / cos(s pi / M) times greater (Duffin,
Schaeffer 1938).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from prunegap.nn.graph import Step
from prunegap.nn.norms import SQUARINGS, gamma, spectral_upper, upward

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

GRID = 16
"""Frequencies along an axis for each unit of exponential type: 2 % above the norm at most."""
MOST_WORK = 1 << 28
"""Products of one squaring at all frequencies; layers that need more keep their cruder bounds."""


def layer_norm_upper(step: Step, weight: Floats) -> float:
    """Return an upper bound on the norm of a layer's linear map from l2 to l2, whatever the size of the image.

    A convolution is bounded by its frequencies; where that is too costly, by the sum over the kernel's taps of the
    norms of its slices, and by the norm of its matrix (outputs, inputs kh kw) times the square root of how often a
    pixel is read. Groups act apart.
    """
    if step.kind == "linear":
        return spectral_upper(weight)
    groups, options = step.shape.groups, step.options
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    reads = math.prod(-(-size // stride) for size, stride in zip(options["kernel"], options["stride"], strict=True))
    if options["dilation"] != [1, 1]:
        reads = step.shape.taps
    flat = max(spectral_upper(part.reshape(part.shape[0], -1)) for part in parts)
    taps = max(
        sum(spectral_upper(part[:, :, a, b]) for a in range(part.shape[2]) for b in range(part.shape[3]))
        for part in parts
    )
    crude = min(upward(flat * math.sqrt(reads), 2), upward(taps, step.shape.taps))
    return crude if step.shape.taps == 1 else min(crude, frequency_norm_upper(step, weight))


def reads(step: Step, shape: torch.Size) -> float:
    """Return the square root of how many windows of a pooling read the same entry, an upper bound on its l2 norm."""
    options = step.options
    if step.kind == "adaptiveavgpool":
        even = all(size % out == 0 for size, out in zip(shape[2:], options["size"], strict=True))
        return 1.0 if even else 2.0
    return math.sqrt(math.prod(-(-k // s) for k, s in zip(options["size"], options["stride"], strict=True)))


def frequency_norm_upper(step: Step, weight: Floats) -> float:
    """Return an upper bound on the norm of a convolution (outputs, inputs / groups, kh, kw), infinite if too costly.

    It is within about 5 % of the norm on large images.
    """
    groups = step.shape.groups
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    kernels = (_by_phase(step, part) for part in parts)
    # Phases that no tap reads are left out.
    return max(_norm_upper(kernel[:, np.abs(kernel).max(axis=(0, 2, 3)) > 0.0]) for kernel in kernels)


def _by_phase(step: Step, part: Floats) -> Floats:
    """Return the kernel as one of stride 1, (outputs, inputs phases, taps, taps)."""
    (s, t), (d, e), (kh, kw) = (step.options[name] for name in ("stride", "dilation", "kernel"))
    rows, columns = (kh - 1) * d // s + 1, (kw - 1) * e // t + 1
    wide = np.zeros((*part.shape[:2], rows * s, columns * t))
    wide[:, :, : (kh - 1) * d + 1 : d, : (kw - 1) * e + 1 : e] = part
    split = wide.reshape(*part.shape[:2], rows, s, columns, t).transpose(0, 1, 3, 5, 2, 4)
    return split.reshape(part.shape[0], -1, rows, columns)


def _norm_upper(kernel: Floats) -> float:
    if not kernel.size:
        return 0.0
    sizes = [GRID * max(1, math.ceil((taps - 1) / 2)) for taps in kernel.shape[2:]]
    less, more = sorted(kernel.shape[:2])
    half = sizes[0] // 2 + 1
    if half * sizes[1] * less * less * more > MOST_WORK:
        return math.inf
    # A(-t) is the conjugate of A(t): half of one axis is enough.
    rows, columns = (
        np.exp(2j * np.pi * np.outer(np.arange(count), np.arange(taps)) / size)
        for count, taps, size in zip((half, sizes[1]), kernel.shape[2:], sizes, strict=True)
    )
    stack = np.einsum("ap,bq,ijpq->abij", rows, columns, kernel, optimize=True).reshape(-1, *kernel.shape[:2])
    taps = kernel.shape[2] * kernel.shape[3]
    rounded = gamma(4 * taps + 32) * upward(float(np.sqrt(np.square(np.abs(kernel).sum((2, 3))).sum())), kernel.size)
    between = math.prod(
        math.cos((taps - 1) / 2 * math.pi / size) for taps, size in zip(kernel.shape[2:], sizes, strict=True)
    )
    return upward((stack_norm_upper(stack) + rounded) / between, 8)


def stack_norm_upper(stack: Complexes) -> float:
    """Return an upper bound on the greatest ||A||_2 of a stack (count, m, n); as norms.spectral_upper, together.

    Matrices whose bound is below what another one certainly reaches are not squared further.
    """
    wide = stack if stack.shape[1] <= stack.shape[2] else stack.conj().transpose(0, 2, 1)
    rank = wide.shape[1]
    largest = float(_frobenius(wide).max())
    if largest == 0.0:
        return 0.0
    shift = math.frexp(largest)[1]
    scaled = wide * 2.0**-shift
    power = _products(scaled, scaled.conj().transpose(0, 2, 1))
    error = _slack(wide.shape[2]) * _frobenius(scaled) ** 2
    exponent, given_up = np.zeros(len(power)), 0.0
    for k in range(SQUARINGS + 1):
        size = _frobenius(power) + error
        logs = (np.log2(size) + exponent) / 2 ** (k + 1) + shift
        bounds = 2.0 ** (logs + 1e-12 * (1.0 + np.abs(logs)))
        kept = bounds * rank ** (0.5 ** (k + 2)) >= bounds.max()
        given_up = max(given_up, float(bounds[~kept].max(initial=0.0)))
        down = np.frexp(size[kept])[1]
        power = power[kept] * np.ldexp(1.0, -down)[:, None, None]
        error, exponent = np.ldexp(error[kept], -down), 2.0 * (exponent[kept] + down)
        size = np.ldexp(size[kept], -down)
        error = (2.0 * size * error + error * error + _slack(rank) * size * size) * (1.0 + 2.0**-48)
        power = _products(power, power)
    return max(given_up, float(bounds.max()))


def _products(left: Complexes, right: Complexes) -> Complexes:
    """Return the products of two stacks; torch does not wake its threads anew for every small matrix."""
    products: Complexes = torch.bmm(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    return products


def _slack(terms: int) -> float:
    """Return the relative error of a sum of `terms` complex products: each is four real ones and two sums."""
    return gamma(4 * terms + 8)


def _frobenius(stack: Complexes) -> Floats:
    squares = np.square(stack.real) + np.square(stack.imag)
    sums: Floats = np.sqrt(squares.sum(axis=(1, 2))) * (1.0 + gamma(2 * stack[0].size + 4))
    return sums
