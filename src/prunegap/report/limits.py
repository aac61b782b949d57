"""What a study cannot say: a page that shows numbers must also name the conclusions they do not carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prunegap.model.network import Readout
from prunegap.report.width_chart import setting
from prunegap.study.row import Row
from prunegap.study.summary import Block
from prunegap.study.width import WidthStatus


def limits(rows: Sequence[Row], blocks: Sequence[Block]) -> list[str]:
    """Return one sentence for each conclusion that this study does not allow."""
    if not rows:
        return ["The study holds no cell yet; run prunegap measure with this directory as --out."]
    counts = Counter(row.status for row in rows)
    said = []
    if not counts[WidthStatus.CLOSED]:
        said.append("No cell is closed: every width is an interval, and no law is fitted to intervals alone.")
    if counts[WidthStatus.OPEN]:
        said.append(
            f"{_cells(counts[WidthStatus.OPEN])} open: the minimal width lies in the interval shown; "
            "measure again with a larger time limit to narrow it."
        )
    if counts[WidthStatus.CENSORED]:
        said.append(
            f"{_cells(counts[WidthStatus.CENSORED])} censored: no ticket was found, so only a least width is proven. "
            "Censored cells count in every median and every fit; none is dropped."
        )
    streams = {row.provenance.stream for row in rows}
    if len(streams) > 1:
        said.append("Rows come from several bit streams, so equal seeds need not mean equal networks.")
    return said + [sentence for block in blocks for sentence in _of_block(block)]


def _cells(count: int) -> str:
    return "1 cell is" if count == 1 else f"{count} cells are"


def _of_block(block: Block) -> list[str]:
    said = []
    epsilons = [epsilon for epsilon in block.epsilons if epsilon < 1.0]
    if not epsilons:
        return [f"{setting(block)}: every ε is 1 or more, which the empty ticket reaches; nothing is drawn."]
    if len(epsilons) == 1:
        said.append(f"one ε only (ε = {epsilons[0]:g}): no growth and no law can be concluded")
    if len(block.seeds) == 1:
        said.append("one seed only: an example, with no spread, no success probability and no interval on a law")
    if not {"weight", "neuron"} <= set(block.granularities):
        missing = sorted({"weight", "neuron"} - set(block.granularities))
        said.append(f"{' and '.join(missing)} pruning not measured: no gap between weight and neuron")
    if block.dimension == 1:
        said.append("d = 1 is the control: every neuron is a weight, so no gap may appear")
    if block.readout is Readout.LINEAR:
        said.append("a linear readout keeps every kink, so the published logarithm for weight pruning does not apply")
    return [f"{setting(block)}: {sentence}." for sentence in said]
