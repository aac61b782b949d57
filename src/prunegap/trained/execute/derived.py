"""Modules that hold plain buffers; what torch can neither copy, pickle nor move is derived from them on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

from torch import Tensor, nn


class Derived(nn.Module):
    """`derived` holds what was made of the buffers: forgotten when they change, and never copied or stored."""

    def __init__(self) -> None:
        super().__init__()
        self.derived: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "derived": {}}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.derived = {}
        return cast(Self, super()._apply(fn, recurse))  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        self.derived = {}
        super()._load_from_state_dict(*arguments, **named)
