"""What the host says to NVRTC and to the driver, heard by stand-ins with the same prototypes."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nn.emulated_cuda import compiled_library, needs_compiler
from prunegap.kernels.subset_sum import best_subsets
from prunegap.model.errors import BadInputError
from prunegap.nn.device import DeviceProgram, device_program, find_device, machine_code
from prunegap.nn.subset_sum_gpu import nearest_masks, unpacked

pytestmark = [needs_compiler, pytest.mark.skipif(torch.cuda.is_available(), reason="the real ones are here")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    code = (Path(__file__).parent / "stand_in_driver.cpp").read_text()
    return compiled_library(code, tmp_path_factory.mktemp("driver"))


@pytest.fixture
def driver(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> ctypes.CDLL:
    """NVRTC and the driver are the stand-in, and torch believes in two GPUs whose memory is this machine's."""
    stream = SimpleNamespace(cuda_stream=0x444444444444)
    monkeypatch.setattr("prunegap.nn.device.ctypes.CDLL", lambda name: library)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    device_program.cache_clear()
    return library


def test_the_device_is_named_with_its_index(driver: ctypes.CDLL) -> None:
    assert find_device("cuda") == torch.device("cuda", 1)
    assert find_device("cuda:0") == torch.device("cuda", 0)
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(BadInputError, match=r"device 'cuda:2'.*this machine has 2.*use --device cuda"):
        find_device("cuda:2")


def test_a_source_becomes_a_program_that_runs_from_any_thread(driver: ctypes.CDLL) -> None:
    random = np.random.default_rng(0)
    values, targets = random.uniform(-1.0, 1.0, (40, 6)), random.uniform(-1.0, 1.0, 40)
    chosen, exact = best_subsets(values, targets, within=0.1)
    found = []

    def work() -> None:
        arrays = torch.from_numpy(values), torch.from_numpy(targets)
        found.append(nearest_masks(*arrays, within=0.1, threads=32))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    for masks, errors in found:
        np.testing.assert_array_equal(unpacked(masks, 6).numpy(), chosen)
        np.testing.assert_array_equal(errors.numpy(), exact)
    driver.options_given.restype = ctypes.c_char_p
    assert driver.options_given().split() == [
        b"--gpu-architecture=sm_90", b"--fmad=false", b"--std=c++17", b"-DCOUNT=6", b"-DTHREADS=32"
    ]  # fmt: skip
    assert driver.programs_alive() == 0
    assert device_program.cache_info().misses == 1


def test_what_fails_is_told(driver: ctypes.CDLL) -> None:
    with pytest.raises(RuntimeError, match=r"NVRTC: prunegap\.cu.*no kernel"):
        machine_code("void f() {}", [], driver)
    assert driver.programs_alive() == 0
    program = DeviceProgram("smallest.cu", {"THREADS": 32}, torch.device("cpu"))
    with pytest.raises(RuntimeError, match="the CUDA driver reports error 500"):
        program.launch("shaped_subsets", 1, 32)


def test_a_torch_without_nvrtc_is_told_what_to_install(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr("prunegap.nn.device.ctypes.CDLL", missing)
    with pytest.raises(BadInputError, match=r"needs NVRTC.*pip install nvidia-cuda-nvrtc \(CUDA 13\)"):
        DeviceProgram("smallest.cu", {"THREADS": 32}, torch.device("cpu"))
