"""Success curves: proven ends, exact intervals, and that they hold the truth whatever is left open."""

import numpy as np
import pytest
from scipy.stats import binomtest

from laws_fit.made import rows
from prunegap.laws.observation import Observation
from prunegap.laws.success import clopper_pearson, success_curves


@pytest.mark.parametrize("trials", [1, 5, 40])
def test_the_interval_is_clopper_and_pearsons(trials: int) -> None:
    low, high = clopper_pearson(np.arange(trials + 1), trials)
    for k in range(trials + 1):
        exact = binomtest(k, trials).proportion_ci(0.95, method="exact")
        assert (low[k], high[k]) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_steps_are_counts_of_what_is_proven() -> None:
    known = [
        Observation(2, 0.1, seed, lo, up) for seed, (lo, up) in enumerate([(9, 10), (4, 20), (14, None), (-1, 0)])
    ]
    (curve,) = success_curves(rows(known))
    for width in range(30):
        surely = sum(o.upper is not None and o.upper <= width for o in known) / 4
        possibly = sum(o.lower < width for o in known) / 4
        assert curve.at(width)[1:3] == (surely, possibly)


def test_open_intervals_never_make_the_curve_miss() -> None:
    random = np.random.default_rng(5)
    missed = []
    for _ in range(300):
        widths = np.ceil(np.exp(random.normal(3.0, 0.5, 12))).astype(int)
        known = []
        for seed, width in enumerate(widths):
            down, up = random.integers(1, 12, 2)
            known.append(
                Observation(2, 0.1, seed, int(width - down), int(width + up) if random.random() < 0.6 else None)
            )
        (curve,) = success_curves(rows(known))
        share = [float((widths <= n).mean()) for n in range(60)]
        assert all(curve.at(n)[1] <= share[n] <= curve.at(n)[2] for n in range(60))
        truth = float((np.ceil(np.exp(np.random.default_rng(0).normal(3.0, 0.5, 200_000))) <= 20).mean())
        missed.append(not curve.at(20)[0] <= truth <= curve.at(20)[3])
    assert np.mean(missed) <= 0.05


def test_every_cell_group_has_its_own_curve() -> None:
    known = [Observation(d, e, s, 3, 4) for d in (2, 3) for e in (0.1, 0.2) for s in range(3)]
    curves = success_curves(rows(known) + rows(known, "weight"))
    assert len(curves) == 8
    assert {c.seeds for c in curves} == {3}
    assert curves[0].at(3) == (0.0, 0.0, 0.0, pytest.approx(clopper_pearson(np.array([0]), 3)[1][0]))
