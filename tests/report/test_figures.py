"""The picture: everything measured is in it, nothing else, and no two labels overlap."""

import math
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from prunegap.model.network import Readout
from prunegap.report.figures import PANEL_HEIGHT, draw_widths, headline
from prunegap.report.panel import Label, Panel, round_numbers, spread
from prunegap.study.summary import blocks
from report.made import GAP, Widths, closed, rows

OPEN: Widths = {**GAP, (0.02, "neuron"): [(49, 50), (58, 70), (75, None)]}


def test_both_files_are_written_and_carry_the_message(tmp_path: Path) -> None:
    assert draw_widths(blocks(rows(GAP)), tmp_path / "w.svg", tmp_path / "w.png")
    assert (tmp_path / "w.png").read_bytes().startswith(b"\x89PNG")
    text = " ".join(node.text or "" for node in ET.parse(tmp_path / "w.svg").iter() if node.tag.endswith("text"))
    for words in ("2.5 times the width", "neuron pruning", "weight pruning", "Ω(d/ε) v1 = Ω(1/ε) v3", "5 seeds"):
        assert words.replace("5 seeds", "3 seeds") in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.png", "w.svg"]


@pytest.mark.parametrize(
    "widths",
    [OPEN, {(0.1, "neuron"): closed(20)}, {(0.1, "neuron"): [(20, None)]}, {**GAP, (1.5, "weight"): [(-1, 0)]},
     {**GAP, (0.02, "2:4"): closed(20, 21, 22), (0.02, "block:2"): [(5, 9)] * 3}],
    ids=["open", "one dot", "one arrow", "an empty ticket", "more granularities"],
)  # fmt: skip
def test_anything_measured_can_be_drawn(tmp_path: Path, widths: Widths) -> None:
    assert draw_widths(blocks(rows(widths)), tmp_path / "w.svg", tmp_path / "w.png")


def test_nothing_is_drawn_where_nothing_fits_log_axes(tmp_path: Path) -> None:
    assert not draw_widths(blocks(rows({(2.0, "neuron"): [(-1, 0)]})), tmp_path / "w.svg", tmp_path / "w.png")
    assert list(tmp_path.iterdir()) == []


def test_every_row_is_one_mark_at_its_proven_ends() -> None:
    (block,) = blocks(rows(OPEN))
    marks = [(p["low"], p["high"], p["status"]) for p in Panel(block, [block]).seeds]
    assert marks[-3:] == [(50, 50, "closed"), (59, 70, "open"), (76, 76, "censored")]
    assert len(marks) == len(block.rows)


def test_bounds_touch_the_medians_and_contradict_none() -> None:
    (block,) = blocks(rows(GAP))
    panel = Panel(block, [block])
    assert sorted(panel.bounds) == [
        "O(d log(1/ε)) v1 = O(log(1/ε)) v3 (upper bound)",
        "Ω(d/ε) v1 = Ω(1/ε) v3 (lower bound)",
    ]
    for name, points in panel.bounds.items():
        side, granularity = (1.0, "weight") if "upper" in name else (-1.0, "neuron")
        medians = {p["inverse"]: p["low"] for p in panel.medians if p["granularity"] == granularity}
        slacks = [side * (p["width"] / medians[p["inverse"]] - 1.0) for p in (points[0], points[-1])]
        assert min(slacks) == pytest.approx(0.0, abs=1e-9)
        assert max(slacks) > 0.1


def test_across_dimensions_the_versions_part() -> None:
    found = blocks([*rows(GAP, 2), *rows(GAP, 3)])
    lower = {name.split()[0] for name in Panel(found[0], found).bounds if "lower" in name}
    assert lower == {"Ω(d/ε)", "Ω(1/ε)"}
    assert all("=" not in name for name in Panel(found[0], found).bounds if "lower" in name)


def test_bounds_are_drawn_only_under_their_hypotheses() -> None:
    for dimension, readout, sides in ((1, Readout.RELU, {"upper"}), (2, Readout.LINEAR, {"lower"})):
        (block,) = blocks(rows(GAP, dimension, readout))
        assert {name.split("(")[-1].split()[0] for name in Panel(block, [block]).bounds} == sides


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    labels = [Label(str(i), "", width, False) for i, width in enumerate((20.0, 20.1, 20.2, 20.3, 80.0))]
    moved = spread(labels, (5.0, 200.0), PANEL_HEIGHT, 17.0)
    pixels = [PANEL_HEIGHT * math.log(label.width / 5.0) / math.log(200.0 / 5.0) for label in moved]
    assert [label.text for label in moved] == ["0", "1", "2", "3", "4"]
    assert min(b - a for a, b in pairwise(pixels)) > 16.5


def test_the_headline_claims_a_gap_only_where_it_is_proven() -> None:
    assert "2.5 times" in headline(blocks(rows(GAP)))
    assert "times" not in headline(blocks(rows({**GAP, (0.02, "neuron"): [(19, 90)] * 3})))


def test_round_numbers() -> None:
    assert round_numbers(3.0, 220.0) == [5, 10, 20, 50, 100, 200]
