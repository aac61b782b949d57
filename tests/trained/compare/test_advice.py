"""Laws of fronts and advice over made-up points: nothing dominated is on a front, nothing unproven is advised."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunegap.model.errors import BadInputError
from prunegap.trained.compare.advice import advice
from prunegap.trained.compare.point import Comparison, LayerOutcome, Point, PointStatus, Setting, as_object, from_text
from prunegap.trained.timing import Span

SETTING = Setting("m:net", "accuracy", 64, 2, "cpu", 512, 3, 0, {"weight": "admm"}, 0, True, 1000, 1100)


def exactly(value: float) -> Span:
    return Span(value, value, value)


def point(granularity: str, keep: float, quality: float, speedup: float, low: float | None = None) -> Point:
    return Point(
        granularity,
        keep,
        PointStatus.DONE,
        quality=exactly(quality),
        qualities=(quality,),
        weights=int(1000 * keep),
        multiply_adds=int(5000 * keep),
        bytes=int(4400 * keep),
        seconds=exactly(0.01 / speedup),
        speedup=Span(speedup, speedup if low is None else low, speedup),
        layers=(LayerOutcome("fc", keep, 0.1, "csr", "faster"),),
    )


DENSE = point("dense", 1.0, 0.95, 1.0)


def compared(*points: Point) -> Comparison:
    return Comparison(SETTING, DENSE, points)


CASES = [
    (
        [point("neuron", 0.5, 0.937, 2.2), point("weight", 0.5, 0.949, 0.9)],
        "For 2x on this CPU (batch 64, 2 threads) remove neurons: -1.3 points at 50% of the weights; "
        "single weights reach it nowhere.",
    ),
    (
        [point("neuron", 0.5, 0.90, 2.2), point("weight", 0.1, 0.94, 2.6), point("2:4", 0.5, 0.95, 1.0)],
        "For 2.5x on this CPU (batch 64, 2 threads) remove single weights: -1.0 points at 10% of the weights; "
        "neurons and 2:4 reach it nowhere.",
    ),
    # An interval that dips below the goal does not reach it.
    ([point("neuron", 0.5, 0.95, 2.2, low=1.1)], "Nothing gets faster"),
    # All lose much: the smallest speed-up, where the least is lost.
    ([point("neuron", 0.3, 0.5, 3.5), point("neuron", 0.7, 0.8, 1.3)], "For 1.2x"),
    ([], "Nothing was measured"),
]


@pytest.mark.parametrize(("points", "said"), CASES)
def test_advice_says_what_the_points_support(points: list[Point], said: str) -> None:
    assert advice(compared(*points)).startswith(said)


@pytest.mark.parametrize(
    ("measure", "scale", "said"),
    [
        ("agreement (on the calibration batch itself)", 1.0, "-1.9 points at 50%"),
        ("quality", 1.0, "-2.0 % of quality at 50%"),
        ("f1", 100.0, "-2.0 % of f1 at 50%"),
        ("negative perplexity", -20.0, "+2.0 % of negative perplexity at 50%"),
    ],
)
def test_losses_are_points_only_where_the_measure_is_a_fraction(measure: str, scale: float, said: str) -> None:
    """Scaling a measure that is no fraction changes no word."""
    dense, pruned = point("dense", 1.0, 0.95 * scale, 1.0), point("neuron", 0.5, 0.931 * scale, 2.2)
    told = advice(Comparison(replace(SETTING, measure=measure), dense, (pruned,)))
    assert told.startswith(f"For 2x on this CPU (batch 64, 2 threads) remove neurons: {said}")


def test_advice_counts_a_failed_point_for_nothing() -> None:
    failed = Point("neuron", 0.5, PointStatus.FAILED, "evaluate raised")
    assert advice(compared(failed)).startswith("Nothing was measured")


points_drawn = st.lists(
    st.builds(
        point,
        st.sampled_from(["weight", "neuron", "2:4"]),
        st.floats(0.05, 1.0),
        st.floats(0.0, 1.0),
        st.floats(0.2, 10.0),
    ),
    max_size=8,
)


@given(points_drawn, st.sampled_from(["seconds", "weights", "multiply_adds", "bytes"]))
@settings(max_examples=60, deadline=None)
def test_nothing_on_a_front_is_dominated_and_nothing_off_it_is_not(points: list[Point], cost: str) -> None:
    comparison = compared(*points)
    everyone = [DENSE, *points]

    def dominated(one: Point) -> bool:
        assert one.quality is not None
        return any(
            p.quality is not None
            and one.quality is not None
            and p.cost(cost) <= one.cost(cost)
            and p.quality.median >= one.quality.median
            and (p.cost(cost) < one.cost(cost) or p.quality.median > one.quality.median)
            for p in everyone
        )

    front = comparison.front(cost)
    assert not any(dominated(p) for p in front)
    kept = {(p.cost(cost), p.quality.median) for p in front if p.quality}
    assert all((p.cost(cost), p.quality.median) in kept for p in everyone if p.quality and not dominated(p))


def test_a_comparison_survives_json() -> None:
    failed = Point("2:4", 0.7, PointStatus.OUT_OF_REACH, "2:4 keeps half at most")
    comparison = replace(compared(point("weight", 0.5, 0.9, 1.2), failed), not_shrunk=(("head", "its outputs"),))
    assert from_text(json.dumps(as_object(comparison))) == comparison


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}', '{"schema": 1, "setting": {}}', "[1]", "null"])
def test_what_is_no_comparison_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        from_text(text)
