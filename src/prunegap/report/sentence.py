"""One plain sentence a block: what was found, and whether a gap can be seen at all."""

from __future__ import annotations

import math

from prunegap.report.table import ratio_text, span_text
from prunegap.study.summary import Block, Span


def sentence(block: Block) -> str:
    """Return what the block shows, no more than its proven intervals do."""
    where = f"At d = {block.dimension} ({block.readout} readout, {block.initialisation} init)"
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    if not epsilons:
        return f"{where} the empty ticket already reaches every epsilon asked for."
    first, last = epsilons[0], epsilons[-1]
    parts = [_width_part(block, name, first, last) for name in block.granularities]
    one_seed = " (one seed: an example, not a law)" if len(block.seeds) == 1 else ""
    if first == last:
        is_ = f"{where}, eps {first:g}, the median minimal width is {' and '.join(parts)}"
        return f"{is_}{_single(block, first)}{one_seed}."
    grows = f"{where} the median minimal width grows, from eps {first:g} to {last:g}, {' and '.join(parts)}"
    return f"{grows}{_verdict(block, first, last)}{one_seed}."


def _median(block: Block, epsilon: float, granularity: str) -> Span | None:
    statistic = block.width(epsilon, granularity)
    return None if statistic is None else statistic.median


def growth(block: Block, granularity: str) -> Span | None:
    """Return by which factor the median width grows from the largest to the smallest epsilon below 1."""
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    if len(epsilons) < 2:
        return None
    wide, narrow = _median(block, epsilons[-1], granularity), _median(block, epsilons[0], granularity)
    return None if wide is None or narrow is None else wide.over(narrow)


def _width_part(block: Block, granularity: str, first: float, last: float) -> str:
    start, end = _median(block, first, granularity), _median(block, last, granularity)
    if start is None or end is None:
        return f"by an unmeasured factor for {granularity} pruning"
    if first == last:
        return f"{span_text(start)} for {granularity} pruning"
    factor = growth(block, granularity)
    fold = "by an unknown factor" if factor is None or not factor.low else f"{factor_text(factor)}-fold"
    return f"{fold} for {granularity} pruning ({span_text(start)} to {span_text(end)})"


def factor_text(factor: Span) -> str:
    """Return `2.3`, `2.1 to 2.6`, or `at least 2.1`."""
    if math.isinf(factor.high):
        return f"at least {factor.low:.1f}"
    low, high = f"{factor.low:.1f}", f"{factor.high:.1f}"
    return low if low == high else f"{low} to {high}"


def _single(block: Block, epsilon: float) -> str:
    ratio = block.ratio(epsilon)
    if ratio is None:
        return ""
    return f", a ratio of {span_text(ratio.median, ratio_text)}; one epsilon cannot show whether the gap grows"


def gap_is_visible(block: Block) -> bool | None:
    """Return whether neuron width is proven to outgrow weight width; None where open intervals leave it undecided.

    Visible: at the smallest epsilon below 1 the ratio is above 1 for every seed, and from the largest epsilon to it
    the median neuron width has grown by a larger factor than the median weight width.
    """
    neuron, weight = growth(block, "neuron"), growth(block, "weight")
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    ratio = block.ratio(epsilons[-1]) if epsilons else None
    if neuron is None or weight is None or ratio is None:
        return None
    if ratio.least.low > 1.0 and neuron.low > weight.high:
        return True
    return False if ratio.least.high <= 1.0 or neuron.high <= weight.low else None


def _verdict(block: Block, first: float, last: float) -> str:
    ratio = block.ratio(last)
    if ratio is None:
        other = {"weight": "neuron", "neuron": "weight"}.get(block.granularities[0], "weight,neuron")
        return f"; measure --granularity {other} beside it to see a gap" if len(block.granularities) == 1 else ""
    needs = f"; at eps {last:g} neuron pruning needs, in the median seed, {_times(ratio.median)} the width"
    visible = gap_is_visible(block)
    if visible is None:
        return f"{needs}: open intervals leave undecided whether the gap grows"
    return f"{needs}: the gap is visible" if visible else f"{needs}: no growing gap is visible at these epsilons"


def _times(ratio: Span) -> str:
    return "exactly" if ratio.is_known and ratio.low == 1.0 else f"{factor_text(ratio)} times"
