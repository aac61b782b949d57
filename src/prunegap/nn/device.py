"""Kernels in CUDA C, compiled when they are first used, by the compiler and the driver that torch's CUDA wheels load.

Nothing of CUDA is needed to install or import this. NVRTC turns a source of this folder into machine code for the
device at hand, the driver runs it on torch's stream; both are called through ctypes, as torch itself does. FMA
contraction is off: every kernel rounds as the processor does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from prunegap.model.errors import BadInputError

Argument = Tensor | int | float


class Program(Protocol):
    """Compiled kernels of one source."""

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        """Run `blocks` blocks of `threads` threads; tensors are passed as pointers, int as int, float as double."""


def find_device(name: str) -> torch.device:
    """Return the device called cpu, cuda (the current one) or cuda:INDEX; BadInputError where there is none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise BadInputError(f"device {name!r}", "must be cpu, cuda or cuda:INDEX", "use --device cpu")
    if device.type == "cuda":
        if torch.version.cuda is None or not torch.cuda.is_available():
            rule = "needs an NVIDIA GPU and a torch that is built for CUDA"
            raise BadInputError(f"device {name!r}", rule, "use --device cpu")
        if (device.index or 0) >= torch.cuda.device_count():
            rule = f"is not there: this machine has {torch.cuda.device_count()}"
            raise BadInputError(f"device {name!r}", rule, "use --device cuda")
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    return device


def machine_code(source: str, options: list[str], nvrtc: ctypes.CDLL) -> bytes:
    """Return a CUDA source compiled by NVRTC; raises RuntimeError with the compiler's words where it fails."""
    program = ctypes.c_void_p()
    text = source.encode()
    _done(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"prunegap.cu", 0, None, None), "NVRTC")
    try:
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
        size = ctypes.c_size_t()
        if failed:
            _done(nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)), "NVRTC")
            log = ctypes.create_string_buffer(size.value)
            _done(nvrtc.nvrtcGetProgramLog(program, log), "NVRTC")
            raise RuntimeError(f"NVRTC: {log.value.decode()}")
        _done(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)), "NVRTC")
        code = ctypes.create_string_buffer(size.value)
        _done(nvrtc.nvrtcGetCUBIN(program, code), "NVRTC")
        return code.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def packed(arguments: tuple[Argument, ...]) -> tuple[ctypes.Array[ctypes.c_void_p], list[object]]:
    """Return pointers to the arguments, as a launch wants them, and what has to stay alive meanwhile."""
    values: list[ctypes.c_void_p | ctypes.c_int | ctypes.c_double] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            assert argument.is_contiguous()
            values.append(ctypes.c_void_p(argument.data_ptr()))
        else:
            values.append(ctypes.c_int(argument) if isinstance(argument, int) else ctypes.c_double(argument))
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    return pointers, [values, arguments]


class DeviceProgram:
    """A source of this folder, compiled for and loaded on one CUDA device."""

    def __init__(self, source: str, defines: Mapping[str, int], device: torch.device) -> None:
        self._device = device
        major, minor = torch.cuda.get_device_capability(device)
        options = [f"--gpu-architecture=sm_{major}{minor}", "--fmad=false", "--std=c++17"]
        options += [f"-D{name}={value}" for name, value in defines.items()]
        code = machine_code((Path(__file__).parent / source).read_text(), options, _nvrtc())
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._module, self._context = ctypes.c_void_p(), ctypes.c_void_p()
        with torch.cuda.device(device):
            # A first tensor makes the context current that the module belongs to; other threads have to choose it.
            torch.zeros(1, device=device)
            _done(self._driver.cuCtxGetCurrent(ctypes.byref(self._context)), "the CUDA driver")
            _done(self._driver.cuModuleLoadData(ctypes.byref(self._module), code), "the CUDA driver")

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        """Run a kernel on the current stream of the device; no block, no launch."""
        if blocks == 0:
            return
        function = ctypes.c_void_p()
        found = self._driver.cuModuleGetFunction(ctypes.byref(function), self._module, kernel.encode())
        _done(found, "the CUDA driver")
        pointers, _alive = packed(arguments)
        with torch.cuda.device(self._device):
            _done(self._driver.cuCtxSetCurrent(self._context), "the CUDA driver")
            stream = ctypes.c_void_p(torch.cuda.current_stream(self._device).cuda_stream)
            grid = (blocks, 1, 1, threads, 1, 1)
            _done(self._driver.cuLaunchKernel(function, *grid, 0, stream, pointers, None), "the CUDA driver")


@cache
def device_program(source: str, defines: tuple[tuple[str, int], ...], device: torch.device) -> DeviceProgram:
    """Return a source of this folder compiled for a CUDA device with the given -D options, each once a process."""
    return DeviceProgram(source, dict(defines), device)


def _nvrtc() -> ctypes.CDLL:
    assert torch.version.cuda is not None
    major = torch.version.cuda.split(".")[0]
    beside = Path(torch.__file__).parents[1] / "nvidia"
    bundled = [str(path) for path in beside.glob(f"*/lib/libnvrtc.so.{major}")]
    for name in (f"libnvrtc.so.{major}", *bundled, "libnvrtc.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    rule = "needs NVRTC, the run-time compiler of CUDA"
    raise BadInputError("device 'cuda'", rule, f"pip install nvidia-cuda-nvrtc (CUDA {major}), or use --device cpu")


def _done(status: int, whose: str) -> None:
    if status != 0:
        raise RuntimeError(f"{whose} reports error {status}")
