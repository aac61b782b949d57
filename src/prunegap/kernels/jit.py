"""How kernels are compiled: cached, without the GIL, and never with fastmath, since proofs run through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(function: Kernel) -> Kernel:
    """Return the kernel compiled to machine code on first call; `.py_func` is the plain Python original."""
    return cast("Kernel", numba.njit(cache=True, nogil=True)(function))


def inlined(function: Kernel) -> Kernel:
    """Return the kernel compiled into its callers: passing many arrays would cost more than the work itself."""
    return cast("Kernel", numba.njit(nogil=True, forceinline=True)(function))
