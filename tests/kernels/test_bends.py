"""Places of second differences: on the kink, bent alike for all directions, hardest to mend first, apart."""

from __future__ import annotations

import numpy as np
import pytest

from prunegap.kernels.bends import TURN, hardest_bends

TUBE, LONGEST, STEP = 0.05, 0.9, 0.2


def drawn(dimension: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([dimension, seed])
    weights, target = random.uniform(-1, 1, (30, dimension)), random.standard_normal(dimension)
    return {
        "points": random.standard_normal((400, dimension)),
        "tilts": random.standard_normal((400, dimension)),
        "slopes": np.tan(np.radians(random.uniform(0, 75, 400))),
        "normal": weights[0] / np.linalg.norm(weights[0]),
        "target": target / np.linalg.norm(target),
        "weights": weights,
        "outputs": random.uniform(-1, 1, 30),
    }


def places_of(drawn: dict[str, np.ndarray], most: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    given = [drawn[name] for name in ("points", "tilts", "slopes", "normal")]
    weights, outputs = drawn["weights"], drawn["outputs"]
    found = hardest_bends(
        *given, STEP, LONGEST, drawn["target"], TUBE, weights, outputs, float(outputs[0]), most, distance
    )
    return found[:, 0], found[:, 1]


def menders(drawn: dict[str, np.ndarray], x: np.ndarray, u: np.ndarray) -> np.ndarray:
    other = drawn["outputs"] * drawn["outputs"][0] < 0
    crossing = np.abs(u @ drawn["weights"][other].T) - np.abs(x @ drawn["weights"][other].T)
    return np.maximum(0.0, crossing) @ np.abs(drawn["outputs"][other])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dimension", [2, 3, 4, 6])
def test_every_place_bends_its_neuron_alike(dimension: int, seed: int) -> None:
    given = drawn(dimension, seed)
    x, u = places_of(given, 400, -1.0)
    assert len(x) > 20
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0)
    np.testing.assert_allclose(x @ given["normal"], 0.0, atol=1e-12)
    np.testing.assert_allclose(u @ given["normal"], STEP)
    np.testing.assert_allclose((u * x).sum(axis=1), 0.0, atol=1e-12)
    lengths = np.linalg.norm(u, axis=1)
    assert (lengths <= LONGEST + 1e-12).all()
    ends = np.concatenate((x, x + u, x - u))
    assert (ends @ given["target"] > TUBE * np.linalg.norm(ends, axis=1)).all()
    assert (np.diff(menders(given, x, u)) >= -1e-12).all()
    # In the plane there is no direction but the kink's normal.
    assert (lengths > 1.5 * STEP).any() == (dimension > 2)


@pytest.mark.parametrize("dimension", [3, 4])
def test_places_are_the_hardest_that_are_apart(dimension: int) -> None:
    given, distance = drawn(dimension, 9), 0.3
    x, u = places_of(given, 400, -1.0)
    near, turned = places_of(given, 7, distance)
    seen = np.concatenate((x, TURN / STEP * u), axis=1)
    kept: list[int] = []
    for t in range(len(seen)):
        if len(kept) < 7 and all(np.abs(seen[t] - seen[o]).max() > distance for o in kept):
            kept.append(t)
    np.testing.assert_array_equal(near, x[kept])
    np.testing.assert_array_equal(turned, u[kept])
