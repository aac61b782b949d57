"""Verdicts: right where the data decide, silent where they do not; never a crash, a warning, an invented line."""

import math

import pytest

from laws_fit.made import rows
from prunegap.laws.compare import compare
from prunegap.laws.family import Family
from prunegap.laws.fit import Fit, Unfitted, fit
from prunegap.laws.observation import Observation
from prunegap.laws.simulate import Truth, simulate
from prunegap.laws.verdict import verdicts
from prunegap.model.errors import BadInputError

EPSILONS = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
WIDE = (1000.0, 2000.0)


def cells(*ends: tuple[float, int, int, int | None], dimension: int = 2) -> list[Observation]:
    return [Observation(dimension, e, seed, low, high) for e, seed, low, high in ends]


THIN: dict[str, tuple[list[Observation], str]] = {
    "nothing": ([], "there are no cells"),
    "epsilon above one": (cells((1.0, 0, -1, 0), (2.0, 0, -1, 0), (1.5, 1, -1, 0)), "no cell says anything"),
    "nothing excluded": (cells((0.1, 0, -1, None), (0.01, 0, 0, None)), "no cell says anything"),
    "all censored": (cells(*((e, s, 40, None) for e in EPSILONS for s in range(3))), "known from below only"),
    "none closed": (cells(*((e, s, 40, 90) for e in EPSILONS for s in range(3))), "no cell is closed"),
    "one epsilon": (cells(*((0.1, s, 20 + s, 21 + s) for s in range(5))), "one epsilon"),
    "one epsilon closed, others censored": (
        cells(*((0.1, s, 20 + s, 21 + s) for s in range(5)), *((0.01, s, 60, None) for s in range(5))), "one epsilon",
    ),
    "one cell": (cells((0.1, 0, 20, 21)), "one epsilon"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(THIN))
@pytest.mark.parametrize("family", list(Family))
def test_thin_studies_get_a_reason_and_no_line(name: str, family: Family) -> None:
    observations, reason = THIN[name]
    law = fit(observations, family)
    assert isinstance(law, Unfitted)
    assert reason in law.reason
    comparison = compare(observations)
    assert comparison.preferred is None
    assert comparison.fit is None
    for verdict in verdicts(rows(observations)):
        assert any(reason in sentence for sentence in verdict.sentences)
        assert not any("Median width" in sentence for sentence in verdict.sentences)


def test_two_epsilons_carry_a_line_but_no_power_and_no_choice() -> None:
    observations = cells(*((e, s, w + s, w + s + 1) for e, w in ((0.1, 20), (0.01, 60)) for s in range(5)))
    comparison = compare(observations)
    assert isinstance(comparison.log, Fit)
    assert isinstance(comparison.power, Unfitted)
    assert comparison.preferred is None
    (verdict,) = verdicts(rows(observations))
    assert "cannot be compared" in verdict.sentences[0]


def test_one_seed_is_an_example_without_intervals() -> None:
    observations = simulate(Truth(10, 2, 0, 0.7, limits=WIDE), (2,), EPSILONS, 1, 0)
    law = fit(observations, Family.POWER)
    assert isinstance(law, Fit)
    assert law.q is not None
    assert not law.q.known
    assert "no interval" in str(law.q)
    low, middle, high = law.band(2, EPSILONS)
    assert all(math.isnan(x) for x in (*low, *high))
    assert not any(math.isnan(x) for x in middle)
    (verdict,) = verdicts(rows(observations))
    assert verdict.preferred is None
    assert any("one seed" in s for s in verdict.sentences)


EXTREME = {
    "no scatter at all": cells(*((e, s, w - 1, w) for e, w in ((0.2, 10), (0.05, 20), (0.01, 33)) for s in range(4))),
    "the same width everywhere": cells(*((e, s, 19, 20) for e in EPSILONS for s in range(4))),
    "widths that fall": cells(*((e, s, 90 - 9 * k, 91 - 9 * k) for k, e in enumerate(EPSILONS) for s in range(4))),
    "enormous widths": cells(*((e, s, int(1e9 / e), int(1e9 / e) + 1) for e in EPSILONS for s in range(3))),
    "tiny epsilons": cells(*((10.0**-k, s, 9 * k + s, 9 * k + s + 1) for k in (1, 30, 200, 300) for s in range(3))),
    "epsilon next to one": cells(*((e, s, 1, 2) for e in (0.999999, 0.5, 0.1) for s in range(3))),
    "width one": cells(*((e, s, 0, 1) for e in (0.5, 0.2, 0.1) for s in range(3))),
    "huge open intervals": cells(
        *((e, s, 5, 10**12) for e in EPSILONS for s in range(3)), *((e, 4, 30, 31) for e in EPSILONS)
    ),
    "two seeds": simulate(Truth(10, 2, 0, 0.7), (2,), EPSILONS, 2, 0),
    "a second dimension of one cell": simulate(Truth(10, 2, 0, 0.7), (2,), EPSILONS, 4, 0)
    + cells((0.1, 0, 40, 41), dimension=3),
    "dimension 1 with others": simulate(Truth(10, 2, 1, 0.7), (1, 2, 3), EPSILONS, 4, 0),
}


@pytest.mark.parametrize("name", list(EXTREME))
def test_extreme_studies_neither_crash_nor_warn(name: str) -> None:
    for verdict in verdicts(rows(EXTREME[name]), resamples=40):
        assert verdict.sentences
        assert not any("nan" in s for s in verdict.sentences)
        for law in (verdict.comparison.log, verdict.comparison.power):
            if isinstance(law, Fit):
                assert math.isfinite(law.log_likelihood)
                assert law.a.value >= 0.0
                for d, least, greatest in law.ranges:
                    low, middle, high = law.band(d, [least, greatest])
                    assert all(middle > 0.0)
                    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True)) or law.seeds == 1


def test_the_verdict_on_a_power_law_says_exponent_factor_and_range() -> None:
    observations = simulate(Truth(10, 1.0, 1.0, 0.6, scatter=0.05, limits=WIDE), (2, 3, 4), EPSILONS, 8, 1)
    (verdict,) = verdicts(rows(observations), resamples=100)
    assert verdict.preferred is Family.POWER
    assert verdict.fit is not None
    text = " ".join(verdict.sentences)
    assert "grow as a power of 1/ε" in text
    assert "lies above the interval of q" in text
    assert "A factor d is there" in text
    assert "v1 of arXiv:2603.02234 says d/ε" in text
    assert "d = 3: ε from 0.2 to 0.002" in text
    assert set(verdict.by_dimension) == {2, 3, 4}


def test_without_a_factor_d_the_third_version_is_named() -> None:
    observations = simulate(Truth(5, 2.0, 0.0, 1.0, scatter=0.05, limits=(5e3, 6e3)), (2, 4), EPSILONS, 8, 1)
    (verdict,) = verdicts(rows(observations), resamples=100)
    text = " ".join(verdict.sentences)
    assert "No factor d is there" in text
    assert "Ω(1/ε) lies in the interval of q" in text


def test_a_dimension_that_stops_early_decides_nothing_about_d() -> None:
    truth = Truth(10, 1.0, 1.0, 0.6, limits=WIDE)
    observations = simulate(truth, (2,), EPSILONS, 6, 1) + simulate(truth, (3,), EPSILONS[:3], 6, 2)
    (verdict,) = verdicts(rows(observations), resamples=100)
    assert "whether the factor d is there cannot be said" in " ".join(verdict.sentences)
    law = verdict.comparison.power
    assert isinstance(law, Fit)
    assert law.supports(2, 0.002)
    assert not law.supports(3, 0.002)
    assert law.supports(3, 0.05)


def test_the_control_is_not_part_of_the_law() -> None:
    observations = simulate(Truth(10, 1.0, 1.0, 0.6, limits=WIDE), (1, 2), EPSILONS, 6, 1)
    (verdict,) = verdicts(rows(observations), resamples=100)
    assert isinstance(verdict.comparison.power, Fit)
    assert verdict.comparison.power.dimensions == (2,)
    assert any("d = 1 alone (the control" in s for s in verdict.sentences)


def test_groups_are_apart() -> None:
    observations = simulate(Truth(10, 1.0, 0.0, 0.6, limits=WIDE), (2,), EPSILONS[:3], 3, 1)
    found = verdicts(rows(observations) + rows(observations, "2:4") + rows(observations, "block:2"), resamples=20)
    assert [v.granularity for v in found] == ["neuron", "2:4", "block:2"]


def test_bad_questions_are_refused() -> None:
    law = fit(simulate(Truth(10, 2, 0, 0.7, limits=WIDE), (2,), EPSILONS, 4, 0), Family.POWER, 20)
    assert isinstance(law, Fit)
    for epsilons in ([0.0], [1.0], [2.0], [-0.1], [math.nan]):
        with pytest.raises(BadInputError, match="between 0 and 1"):
            law.band(2, epsilons)
    with pytest.raises(BadInputError, match="not measured"):
        law.median(3, [0.1])
    for bad in ((0, 0.1, 0, 1, 2), (2, 0.0, 0, 1, 2), (2, math.nan, 0, 1, 2), (2, 0.1, 0, 5, 5)):
        with pytest.raises(BadInputError):
            Observation(*bad)
