"""CUDA kernels compiled by the C++ compiler of this machine and run on its processor, thread by thread."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import prunegap.nn
from prunegap.nn.device import Argument, packed

COMPILER = shutil.which("c++") or shutil.which("g++")
CAN_RUN = COMPILER is not None and sys.platform == "linux"
needs_compiler = pytest.mark.skipif(not CAN_RUN, reason="the kernels run on this processor with Linux and a compiler")
KERNELS = Path(prunegap.nn.__file__).parent


def compiled_library(code: str, folder: Path) -> ctypes.CDLL:
    """Return C++ that may include kernels and cuda_block.h, compiled and loaded."""
    assert COMPILER is not None
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text(code)
    # A fortified jump would not leave one stack for another.
    flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-fPIC", "-shared"]
    places = [f"-I{Path(__file__).parent}", f"-I{KERNELS}"]
    subprocess.run([COMPILER, *flags, "-Wno-unknown-pragmas", *places, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class EmulatedProgram:
    """A kernel source of prunegap.nn as a `Program` for tensors in main memory.

    A name that `defines` calls "variable" is a run-time integer instead of a -D option, set through `values`.
    """

    def __init__(self, source: str, kernels: list[str], folder: Path, defines: Mapping[str, int | str]) -> None:
        self.values: dict[str, int] = {}
        variables = [name for name, value in defines.items() if value == "variable"]
        lines = [f'extern "C" {{ int {name}; }}' for name in variables]
        lines += [f"#define {name} {value}" for name, value in defines.items() if value != "variable"]
        lines += ['#include "cuda_block.h"', f'#include "{source}"']
        lines.append('extern "C" int launch(const char* name, int blocks, int threads, void** arguments) {')
        lines += [
            f'try {{ if (!strcmp(name, "{name}")) return block::launch({name}, blocks, threads, arguments), 0; }}\n'
            "catch (const std::logic_error&) { return 2; }"
            for name in kernels
        ]
        lines.append("return 1; }")
        self._library = compiled_library("\n".join(lines) + "\n", folder)

    def launch(self, kernel: str, blocks: int, threads: int, *arguments: Argument) -> None:
        """Run the blocks one after the other."""
        for name, value in self.values.items():
            ctypes.c_int.in_dll(self._library, name).value = value
        pointers, _alive = packed(arguments)
        status = self._library.launch(kernel.encode(), blocks, threads, pointers)
        assert status == 0, ("", "no such kernel", "threads wait for each other in vain")[status]
