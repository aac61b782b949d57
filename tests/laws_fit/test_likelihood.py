"""The likelihood of intervals against integration, its gradient against differences, its maximum against another."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from prunegap.laws.family import Family, Shape
from prunegap.laws.fit import best, data_of, loosened, shape_of
from prunegap.laws.likelihood import Data, curvature, log_likelihood, log_probability
from prunegap.laws.observation import Observation
from prunegap.laws.simulate import Truth, simulate

SHAPES = [Shape(family, power, 0.02, 2.5, 60.0) for family in Family for power in (False, True)]
INTERVALS = [(0, 1), (-1, 7), (39, 40), (41, 60), (80, None), (60, 61), (3, None), (499, 500)]
DATA = data_of([Observation(d, e, 0, lo, up) for d, e in ((2, 0.1), (3, 0.004)) for lo, up in INTERVALS])


def thetas(shape: Shape) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    base = {"offset": 3.0, "slope": 3.5, "exponent": -0.4, "power": 0.8, "scatter": -1.2, "rho": 0.4}
    middle = np.array([base[name] for name in shape.names])
    return [middle + 0.3 * random.standard_normal(middle.size) for _ in range(4)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.family}-{s.has_power}")
def test_an_interval_is_worth_the_integral_of_the_density(shape: Shape) -> None:
    for theta in thetas(shape):
        values = log_likelihood(shape, theta, DATA)
        named = dict(zip(shape.names, theta, strict=True))
        for i, value in enumerate(values):
            term = math.exp(named["slope"]) * (DATA.dimension[i] / 2.5) ** named.get("power", 0.0)
            if shape.family is Family.LOG:
                term *= math.log(DATA.epsilon[i]) / math.log(0.02)
            else:
                term *= (0.02 / DATA.epsilon[i]) ** math.exp(named["exponent"])
            mu = named["offset"] ** 2 + term
            s = math.exp(named["scatter"]) * (mu / 60.0) ** -(named["rho"] ** 2)

            def density(y: float, m: float = math.log(mu), s: float = s) -> float:
                return 1.0 / (4.0 * s * math.cosh((y - m) / (2.0 * s)) ** 2)

            middle = math.log(mu)
            low, high = max(DATA.log_lower[i], middle - 60.0 * s), min(DATA.log_upper[i], middle + 60.0 * s)
            peak = min(max(middle, low), high)
            whole = sum(quad(density, *ends, epsabs=1e-13, limit=200)[0] for ends in ((low, peak), (peak, high)))
            assert math.exp(value) == pytest.approx(whole, rel=1e-6, abs=1e-11)


def test_both_tails_are_exact() -> None:
    for far in (50.0, 400.0, 690.0):
        low, high = log_probability(np.array([far, -far - 1.0]), np.array([far + 1.0, -far]))
        assert low == pytest.approx(-far + math.log1p(-math.exp(-1.0)), rel=1e-12)
        assert low == pytest.approx(high, rel=1e-12)
    assert log_probability(np.array([-math.inf]), np.array([math.inf])) == pytest.approx(0.0)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.family}-{s.has_power}")
def test_the_gradient_is_that_of_the_value(shape: Shape) -> None:
    weights = np.random.default_rng(0).uniform(0.0, 2.0, DATA.epsilon.size)
    for theta in thetas(shape):
        found = curvature(shape, theta, DATA, weights).gradient
        for place in range(theta.size):
            step = np.eye(theta.size)[place] * 1e-6
            up, down = ((weights * log_likelihood(shape, theta + s, DATA)).sum() for s in (step, -step))
            assert found[place] == pytest.approx((up - down) / 2e-6, rel=2e-5, abs=2e-5)


def test_rows_of_theta_are_answered_as_one_by_one() -> None:
    shape = SHAPES[-1]
    rows = np.array(thetas(shape))
    weights = np.ones((len(rows), DATA.epsilon.size))
    together = curvature(shape, rows, DATA, weights)
    for i, row in enumerate(rows):
        alone = curvature(shape, row, DATA, weights[i])
        assert together.value[i] == pytest.approx(alone.value)
        assert together.gradient[i] == pytest.approx(alone.gradient)
        assert together.form[i] == pytest.approx(alone.form)
        assert np.linalg.eigvalsh(alone.form).min() >= -1e-9


@pytest.mark.parametrize("truth", [Truth(10, 3, 1, None), Truth(15, 1, 1, 0.75), Truth(0, 3, 0.5, 0.4)], ids=str)
@pytest.mark.parametrize("family", list(Family))
def test_no_other_optimiser_finds_more(truth: Truth, family: Family) -> None:
    used = [o for o in simulate(truth, (2, 3), (0.2, 0.05, 0.01, 0.002), 6, 1) if not o.is_trivial]
    shape, data = shape_of(used, family), data_of(used)
    theta, value = best(shape, data)

    def loss(t: np.ndarray, data: Data = data) -> float:
        return -float(log_likelihood(shape, t, data).sum())

    options = {"maxiter": 4000, "maxfev": 4000, "xatol": 1e-7, "fatol": 1e-9}
    bounds = list(zip(*shape.limits(), strict=True))
    other = minimize(loss, loosened(shape, theta), method="Nelder-Mead", bounds=bounds, options=options)
    assert value >= -other.fun - 1e-5
    assert value == pytest.approx(-loss(theta))
