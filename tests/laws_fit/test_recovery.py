"""Known laws are found again in simulated, heavily censored studies, within the stated intervals."""

import numpy as np
import pytest

from prunegap.laws.compare import leave_seeds_out, preferred_by
from prunegap.laws.estimate import seed_weights, stretch
from prunegap.laws.family import Family
from prunegap.laws.fit import Fit, fit
from prunegap.laws.observation import Cells
from prunegap.laws.simulate import Truth, simulate

EPSILONS = (0.2, 0.1, 0.03, 0.01, 0.003, 0.001)
CASES = {
    "log": (Truth(10.0, 3.0, 1.0, None, limits=(20.0, 120.0)), (2, 3)),
    "power": (Truth(15.0, 1.0, 1.0, 0.75, limits=(60.0, 400.0)), (2, 3)),
    "power, one dimension, strong correlation, normal scatter": (
        Truth(15.0, 2.0, 0.0, 0.75, shared=0.8, tails="normal", limits=(40.0, 400.0)), (2,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_intervals_hold_the_truth_in_90_of_100_simulations(name: str) -> None:
    truth, dimensions = CASES[name]
    held = dict.fromkeys("abpq", 0)
    closed = []
    for number in range(100):
        observations = simulate(truth, dimensions, EPSILONS, 10, number)
        closed.append(Cells.of(observations).closed / len(observations))
        law = fit(observations, truth.family, resamples=200, seed=number)
        assert isinstance(law, Fit)
        for key, value in (("a", truth.a), ("b", truth.b), ("p", truth.p), ("q", truth.q)):
            estimate = getattr(law, key)
            held[key] += estimate is None or value is None or estimate.holds(value)
    assert np.mean(closed) < 0.65, "the simulations are meant to be heavily censored"
    assert min(held.values()) >= 90, held


@pytest.mark.parametrize("name", ["log", "power"])
def test_the_wrong_family_is_never_preferred_where_the_data_are_thin(name: str) -> None:
    truth, dimensions = CASES[name]
    wrong = Family.POWER if truth.family is Family.LOG else Family.LOG
    for number in range(25):
        held_out = leave_seeds_out(simulate(truth, dimensions, (0.2, 0.1, 0.05, 0.02), 5, number))
        assert held_out is not None
        assert preferred_by(held_out) is not wrong


def test_a_power_over_two_decades_is_told_from_a_logarithm() -> None:
    truth, dimensions = CASES["power"]
    for number in range(10):
        held_out = leave_seeds_out(simulate(truth, dimensions, EPSILONS, 10, number))
        assert held_out is not None
        assert preferred_by(held_out) is Family.POWER


def test_order_and_labels_do_not_matter_and_seeds_repeat() -> None:
    observations = simulate(*CASES["power"], EPSILONS, 5, 1)
    one, other = (fit(o, Family.POWER, 50, seed=4) for o in (observations, observations[::-1]))
    assert isinstance(one, Fit)
    assert one == other
    assert np.array_equal(one.resampled, fit(observations, Family.POWER, 50, seed=4).resampled)  # type: ignore[union-attr]


def test_the_interval_of_a_mean_is_students() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(8)
    weights = seed_weights(np.arange(8.0), 200_000, 1)
    means = (weights * values).mean(axis=1)
    spread = float(np.std(means))
    assert spread * stretch(8) * 1.959964 == pytest.approx(2.364624 * values.std(ddof=1) / np.sqrt(8), rel=0.01)
    assert np.isnan(stretch(1))


@pytest.mark.parametrize("name", ["log", "power", "offset 0"])
def test_one_newton_step_gives_the_intervals_of_whole_fits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, dimensions = CASES.get(name, (Truth(0.0, 3.0, 1.0, 0.5, limits=(60.0, 400.0)), (2, 3)))
    observations = simulate(truth, dimensions, EPSILONS, 60, 3)
    fast = fit(observations, truth.family, 200)
    monkeypatch.setattr("prunegap.laws.fit.MANY_SEEDS", 10_000)
    slow = fit(observations, truth.family, 200)
    assert isinstance(fast, Fit)
    assert isinstance(slow, Fit)
    for key in "bpq":
        one, other = getattr(fast, key), getattr(slow, key)
        if one is not None:
            length = other.high - other.low
            assert one.low == pytest.approx(other.low, abs=0.15 * length)
            assert one.high == pytest.approx(other.high, abs=0.15 * length)
    assert fast.a.high == pytest.approx(slow.a.high, abs=0.15 * (slow.a.high - slow.a.low) + 0.5)
