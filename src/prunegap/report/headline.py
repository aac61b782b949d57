"""What the page says first: one number, one claim, and the bars that show it; no more than the intervals prove."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prunegap.report.sentence import factor_text, gap_is_visible, sentence
from prunegap.report.table import span_text
from prunegap.report.width_chart import setting
from prunegap.study.summary import Block, Span
from prunegap.study.width import WidthStatus


@dataclass(frozen=True)
class Bar:
    """A granularity with its median minimal width at the epsilon of the headline."""

    granularity: str
    width: Span


@dataclass(frozen=True)
class Headline:
    """`number` in large type, `claim` beside it, `detail` below; `bars` may be empty."""

    number: str
    claim: str
    detail: str
    bars: tuple[Bar, ...] = ()


def headline_of(blocks: Sequence[Block]) -> Headline:
    """Return the headline: of the block with the largest proven gap if there is one, else what can be said."""
    blocks = [block for block in blocks if _least(block) is not None]
    if not any(row.status is WidthStatus.CLOSED for block in blocks for row in block.rows):
        return _nothing_closed(blocks)
    visible = [block for block in blocks if gap_is_visible(block)]
    if visible:
        return _gap(max(visible, key=lambda block: _ratio(block).low))
    compared = [block for block in blocks if block.ratio(block.epsilons[-1]) is not None]
    return _no_gap(compared[0]) if compared else _one_sided(blocks[0])


def _least(block: Block) -> float | None:
    return block.epsilons[-1] if block.epsilons and block.epsilons[-1] < 1.0 else None


def _ratio(block: Block) -> Span:
    statistic = block.ratio(block.epsilons[-1])
    assert statistic is not None
    return statistic.median


def _times(ratio: Span) -> str:
    if math.isinf(ratio.high):
        return f"≥ {ratio.low:.1f}×"
    return f"{factor_text(ratio).replace(' to ', '–')}×"


def _bars(block: Block) -> tuple[Bar, ...]:
    found = [(name, block.width(block.epsilons[-1], name)) for name in block.granularities]
    return tuple(Bar(name, statistic.median) for name, statistic in found if statistic is not None)


def _gap(block: Block) -> Headline:
    claim = (
        f"the width: what removing whole neurons costs at ε = {block.epsilons[-1]:g}, "
        "against removing single weights."
    )
    return Headline(_times(_ratio(block)), claim, sentence(block), _bars(block))


def _no_gap(block: Block) -> Headline:
    verdict = "open intervals leave undecided whether the gap grows."
    if gap_is_visible(block) is False:
        verdict = "no growing gap is visible in this study."
    elif len([epsilon for epsilon in block.epsilons if epsilon < 1.0]) < 2:
        verdict = "one ε cannot show whether the gap grows."
    claim = f"neuron width over weight width at ε = {block.epsilons[-1]:g}; {verdict}"
    return Headline(_times(_ratio(block)), claim, sentence(block), _bars(block))


def _one_sided(block: Block) -> Headline:
    name = block.granularities[-1]
    last = [epsilon for epsilon in block.epsilons if block.width(epsilon, name) is not None][-1]
    statistic = block.width(last, name)
    assert statistic is not None
    claim = f"hidden neurons: the median minimal width of {name} pruning at ε = {last:g}. No gap is measured here."
    return Headline(span_text(statistic.median).replace("-", "–"), claim, sentence(block), _bars(block))


def _nothing_closed(blocks: Sequence[Block]) -> Headline:
    cells = sum(len(block.rows) for block in blocks)
    if not cells:
        return Headline("0 cells", "Nothing has been measured at ε < 1, so nothing can be concluded.", "")
    claim = (
        f"of {cells} cell{'s' if cells > 1 else ''} are closed: no minimal width is known yet, "
        "so no law and no gap can be concluded."
    )
    detail = f"What is proven so far are the ends of the intervals below ({setting(blocks[0])})."
    return Headline("0", claim, detail)
