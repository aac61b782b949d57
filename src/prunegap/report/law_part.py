"""What the laws say about one block: fits to draw, sentences, a table, success curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prunegap.report.markup import NOTHING, Markup
from prunegap.report.width_chart import Law
from prunegap.study.row import Row
from prunegap.study.summary import Block


@dataclass(frozen=True)
class LawPart:
    verdicts: tuple[Any, ...]
    success: tuple[Any, ...]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> LawPart:
        return cls((), ())

    def curves(self, block: Block) -> list[Any]:
        return []

    def laws(self, block: Block) -> list[Law]:
        return []

    def sentences(self, block: Block) -> tuple[str, ...]:
        return ()

    def table(self, block: Block) -> Markup:
        return NOTHING
