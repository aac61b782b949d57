"""The kernel for a CUDA device finds what the one for the processor finds, bit for bit, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nn.emulated_cuda import EmulatedProgram, needs_compiler
from prunegap.kernels.subset_sum import best_subsets
from prunegap.model.errors import BadInputError
from prunegap.nn.device import find_device
from prunegap.nn.subset_sum_gpu import THREADS, best_subsets_on, nearest_masks, unpacked

COUNTS = [0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 24]
DEFINES = {"COUNT": "variable", "MOST": 24, "LISTS_ROOM": 4099, "SPARE_ROOM": 1025}


def uniform(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return random.uniform(-1.0, 1.0, (k, n)), random.uniform(-1.0, 1.0, k)


def integers(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Many subsets of one sum, duplicates, zeros, and targets that are met."""
    return random.integers(-3, 4, (k, n)).astype(float), random.integers(-5, 6, k).astype(float)


def decimals(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums that would be equal but for rounding, and targets out of reach on either side."""
    return random.integers(1, 4, (k, n)) * 0.1, random.uniform(-10.0, 10.0, k)


def absorbed(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Small values that vanish beside large ones: different subsets of a half have the same rounded sum."""
    return random.choice([1e-20, 3e-17, 0.1, 0.2, 0.3, 1.0, 1e16, -1e16], (k, n)), random.uniform(-1.0, 1.0, k)


def zeros(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((k, n)), np.where(np.arange(k) % 2, random.uniform(-1.0, 1.0, k), 0.0)


def extremes(random: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Subnormal values, and the largest ones that are allowed."""
    values = random.choice([5e-324, -5e-324, 1e-310, 1e300, -1e300], (k, n))
    return values, random.choice([0.0, 5e-324, 1e300], k)


KINDS = [uniform, integers, decimals, absorbed, zeros, extremes]


@pytest.fixture(scope="module", params=[32, THREADS, 256])
def emulated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[EmulatedProgram, int]:
    defines = {**DEFINES, "THREADS": request.param}
    folder = tmp_path_factory.mktemp("kernels")
    return EmulatedProgram("subset_sum.cu", ["best_subsets", "exact_errors"], folder, defines), request.param


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("within", [0.0, 0.05, np.inf])
def test_finds_what_the_processor_finds(emulated: tuple[EmulatedProgram, int], kind, within: float) -> None:
    program, threads = emulated
    random = np.random.default_rng(1)
    for n in COUNTS:
        values, targets = kind(random, 12 if n < 20 else 3, n)
        program.values["COUNT"] = n
        arrays = torch.from_numpy(values), torch.from_numpy(targets)
        masks, errors = nearest_masks(*arrays, within=within, threads=threads, program=program)
        chosen, exact = best_subsets(values, targets, within=within)
        np.testing.assert_array_equal(unpacked(masks, n).numpy(), chosen, err_msg=f"n = {n}")
        np.testing.assert_array_equal(errors.numpy(), exact, err_msg=f"n = {n}")


@needs_compiler
def test_takes_any_layout_and_no_problem_at_all(emulated: tuple[EmulatedProgram, int]) -> None:
    program, threads = emulated
    values, targets = uniform(np.random.default_rng(2), 7, 5)
    program.values["COUNT"] = 5
    across = torch.from_numpy(np.ascontiguousarray(values.T)).T
    masks, _ = nearest_masks(across, torch.from_numpy(targets), threads=threads, program=program)
    np.testing.assert_array_equal(unpacked(masks, 5).numpy(), best_subsets(values, targets)[0])
    none = nearest_masks(torch.zeros(0, 5, dtype=torch.float64), torch.zeros(0, dtype=torch.float64), program=program)
    assert none[0].shape == none[1].shape == (0,)


@pytest.mark.parametrize(
    ("values", "targets", "within", "told"),
    [
        (np.zeros((2, 3)), np.zeros(3), 0.0, r"values of shape \(2, 3\) with targets of shape \(3,\)"),
        (np.zeros(3), np.zeros(3), 0.0, "give one target for every row"),
        (np.zeros((1, 25)), np.zeros(1), 0.0, "25 values.*at most 24"),
        (np.full((1, 3), np.nan), np.zeros(1), 0.0, "NaN or infinite"),
        (np.zeros((1, 3)), np.full(1, -np.inf), 0.0, "NaN or infinite"),
        (np.full((1, 3), -2e300), np.zeros(1), 0.0, "above 1e\\+300"),
        (np.zeros((1, 3)), np.zeros(1), -1.0, "within -1.0.*must be 0 or more"),
        (np.zeros((1, 3)), np.zeros(1), np.nan, "within nan"),
    ],
)
def test_refuses_bad_problems(values: np.ndarray, targets: np.ndarray, within: float, told: str) -> None:
    with pytest.raises(BadInputError, match=f"(?s){told}"):
        nearest_masks(torch.from_numpy(values), torch.from_numpy(targets), within=within)


@pytest.mark.parametrize("name", ["gpu", "", "mps", "xpu:0", "cuda:-7", "meta"])
def test_refuses_devices_that_are_none(name: str) -> None:
    with pytest.raises(BadInputError, match="must be cpu, cuda or cuda:INDEX"):
        find_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_says_that_there_is_no_gpu() -> None:
    with pytest.raises(BadInputError, match=r"device 'cuda'.*needs an NVIDIA GPU.*use --device cpu"):
        best_subsets_on("cuda", np.zeros((1, 3)), np.zeros(1))


def test_cpu_is_the_processor() -> None:
    values, targets = uniform(np.random.default_rng(3), 5, 30)
    for ours, theirs in zip(best_subsets_on("cpu", values, targets), best_subsets(values, targets), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("threads", [32, 64, 128, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_the_real_device_finds_what_the_processor_finds(kind, threads: int) -> None:
    random = np.random.default_rng(4)
    for n in COUNTS:
        for within in (0.0, 1e-2):
            values, targets = kind(random, 300, n)
            arrays = (torch.from_numpy(array).cuda() for array in (values, targets))
            masks, errors = nearest_masks(*arrays, within=within, threads=threads)
            chosen, exact = best_subsets(values, targets, within=within)
            np.testing.assert_array_equal(unpacked(masks, n).cpu().numpy(), chosen)
            np.testing.assert_array_equal(errors.cpu().numpy(), exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_real_device_is_fed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunegap.nn.subset_sum_gpu.ROWS", 100)
    values, targets = uniform(np.random.default_rng(5), 250, 21)
    for ours, theirs in zip(best_subsets_on("cuda", values, targets), best_subsets(values, targets), strict=True):
        np.testing.assert_array_equal(ours, theirs)
