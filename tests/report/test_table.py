"""Tables and sentences: they say what the intervals prove, and no more."""

import pytest

from prunegap.report.sentence import gap_is_visible, sentence
from prunegap.report.table import FOOTNOTE, table
from prunegap.study.summary import Block, Span, Statistic, blocks
from report.made import GAP, Widths, closed, rows


def block(widths: Widths, dimension: int = 2) -> Block:
    (only,) = blocks(rows(widths, dimension))
    return only


@pytest.mark.parametrize(
    ("numbers", "divisor", "quotient"),
    [
        (Span(6, 6), Span(3, 3), Span(2, 2)),
        (Span(6, 8), Span(2, 3), Span(2, 4)),
        (Span(6, float("inf")), Span(2, 3), Span(2, float("inf"))),
        (Span(6, 8), Span(2, float("inf")), Span(0, 4)),
        (Span(6, 8), Span(0, 2), Span(3, float("inf"))),
        (Span(6, 8), Span(0, 0), None),
    ],
)
def test_quotients_of_spans(numbers: Span, divisor: Span, quotient: Span | None) -> None:
    assert numbers.over(divisor) == quotient


def test_a_median_of_spans_is_the_span_of_medians() -> None:
    statistic = Statistic((Span(1, 1), Span(5, 9), Span(7, float("inf"))))
    assert statistic.median == Span(5, 9)
    assert statistic.least == Span(1, 1)
    assert statistic.greatest == Span(7, float("inf"))
    assert not statistic.is_known


def test_the_table_of_closed_intervals() -> None:
    assert table(block(GAP)).splitlines() == [
        "d = 2, relu readout, uniform init, 3 seeds: median (range)",
        " eps  weight width  neuron width             ratio",
        "----  ------------  ------------  ----------------",
        " 0.2    12 (10-14)    15 (12-18)  1.25 (1.20-1.29)",
        "0.02    24 (20-30)    60 (50-80)  2.50 (2.50-2.67)",
    ]


def test_open_intervals_are_marked_and_never_filled_in() -> None:
    text = table(block({**GAP, (0.02, "neuron"): [(49, 50), (58, 70), (75, None)]}))
    assert "59-70* (50-76+)" in text
    assert text.endswith(FOOTNOTE)
    text = table(block({**GAP, (0.02, "neuron"): [(49, None), (58, None), (75, None)]}))
    assert "59+* (50-76+)" in text


def test_one_seed_and_one_granularity_leave_out_what_they_cannot_say() -> None:
    text = table(block({(0.1, "neuron"): closed(20)}))
    assert "ratio" not in text
    assert text.splitlines()[-1].split() == ["0.1", "20"]


SENTENCES: dict[str, tuple[Widths, int, list[str], list[str]]] = {
    "a gap": (GAP, 2, ["4.0-fold for neuron", "2.0-fold for weight", "2.5 times", "the gap is visible"], ["no "]),
    "no gap": (
        {**GAP, (0.02, "neuron"): closed(20, 24, 30)},
        2,
        ["in the median seed, exactly the width", "no growing gap"],
        ["is visible:", "the gap is visible"],
    ),
    "a gap that shrinks": (
        {**GAP, (0.02, "neuron"): closed(21, 25, 31)},
        2,
        ["no growing gap is visible"],
        ["the gap is visible"],
    ),
    "open": (
        {**GAP, (0.02, "neuron"): [(19, 90), (19, 90), (19, 90)]},
        2,
        ["open intervals leave undecided", "(15 to 20-90)"],
        ["is visible"],
    ),
    "censored": (
        {**GAP, (0.02, "neuron"): [(100, None)] * 3},
        2,
        ["at least 6.7-fold", "(15 to 101+)", "at least 4.2 times", "the gap is visible"],
        [],
    ),
    "one epsilon": ({k: v for k, v in GAP.items() if k[0] == 0.2}, 2, ["ratio of 1.25", "one epsilon"], ["visible"]),
    "one granularity": (
        {k: v for k, v in GAP.items() if k[1] == "neuron"},
        2,
        ["4.0-fold", "measure --granularity weight"],
        ["visible"],
    ),
    "one seed": ({k: v[:1] for k, v in GAP.items()}, 2, ["one seed: an example"], []),
    "empty tickets": ({(1.5, "neuron"): [(-1, 0)]}, 2, ["empty ticket"], ["visible", "nan", "inf"]),
}


@pytest.mark.parametrize(("widths", "dimension", "said", "unsaid"), SENTENCES.values(), ids=SENTENCES.keys())
def test_sentences(widths: Widths, dimension: int, said: list[str], unsaid: list[str]) -> None:
    text = sentence(block(widths, dimension))
    assert text.startswith(f"At d = {dimension} ")
    assert text.endswith(".")
    assert "\n" not in text
    for words in said:
        assert words in text
    for words in unsaid:
        assert words not in text


def test_the_verdict_needs_a_proof_either_way() -> None:
    assert gap_is_visible(block(GAP)) is True
    assert gap_is_visible(block({**GAP, (0.02, "neuron"): closed(20, 24, 30)})) is False
    assert gap_is_visible(block({**GAP, (0.02, "neuron"): [(19, 90)] * 3})) is None
    assert gap_is_visible(block({(0.1, "neuron"): closed(20)})) is None


def test_blocks_keep_dimensions_apart() -> None:
    found = blocks([*rows(GAP, 2), *rows(GAP, 3)])
    assert [b.dimension for b in found] == [2, 3]
