"""The claims that every proof is tried on: random ones, and those where kinks coincide, cancel or vanish."""

from __future__ import annotations

import numpy as np

from prunegap.certify.claim import Claim
from prunegap.model.draw import Draw, Initialisation
from prunegap.model.granularity import Weight
from prunegap.model.mask import Mask
from prunegap.model.network import Matrix, Network, Readout, Vector
from prunegap.model.outcome import Certificate
from prunegap.model.problem import Problem

READOUTS = list(Readout)


def masked_draw(
    dimension: int, width: int, seed: int, readout: Readout, init: Initialisation = Initialisation.UNIFORM
) -> tuple[Problem, Mask]:
    """Return a canonical draw with a random mask over single weights and outputs."""
    problem = Problem.from_draw(Draw(dimension, seed, init), width, 0.1, Weight(), readout)
    generator = np.random.default_rng([seed, 7])
    return problem, Mask(generator.random((width, dimension)) < 0.7, generator.random(width) < 0.8)


def fitted_claim(dimension: int, rows: int, seed: int, readout: Readout) -> Claim:
    """Return a claim whose error is small next to its slopes, as a ticket's is: v fitted to the target."""
    generator = np.random.default_rng([seed, 11])
    weights = generator.uniform(-1, 1, (rows, dimension))
    target = generator.standard_normal(dimension)
    target /= np.linalg.norm(target)
    inputs = generator.standard_normal((500, dimension))
    hidden = np.maximum(inputs @ weights.T, 0.0)
    outputs = np.linalg.lstsq(hidden, np.maximum(inputs @ target, 0.0), rcond=1e-3)[0]
    return Claim(weights, outputs, target, readout)


def degenerate_claim(dimension: int, seed: int, readout: Readout) -> Claim:
    """Return a claim of small integers: parallel, opposite and repeated rows, rows along the axes and the target."""
    generator = np.random.default_rng([seed, 13])
    rows = int(generator.integers(1, 8))
    weights = generator.integers(-2, 3, (rows, dimension)).astype(float)
    weights[generator.random(rows) < 0.3, 1:] = 0.0
    outputs = generator.integers(-2, 3, rows).astype(float)
    target = generator.integers(-2, 3, dimension).astype(float)
    if seed % 2 and weights[0].any():
        target = -weights[0] if seed % 4 == 1 else weights[0]
    if not target.any():
        target[0] = 1.0
    computing = (outputs != 0.0) & weights.any(axis=1)
    return Claim(weights[computing], outputs[computing], target, readout)


def separable_claim(dimension: int, rows: int, seed: int, readout: Readout) -> Claim:
    """Return a claim of rows with one weight each, strong enough to come near the target."""
    generator = np.random.default_rng([seed, 17])
    weights = np.zeros((rows, dimension))
    weights[np.arange(rows), generator.integers(0, dimension, rows)] = generator.uniform(-1, 1, rows)
    target = generator.standard_normal(dimension)
    return Claim(weights, generator.uniform(-1, 1, rows), target / np.linalg.norm(target), readout)


def network_of(claim: Claim) -> tuple[Network, Mask]:
    """Return the claim's rows as a network with nothing removed."""
    return Network(claim.weights, claim.outputs), Mask.from_rows(np.ones(claim.weights.shape, dtype=np.bool_))


def embedded(claim: Claim, seed: int) -> Claim:
    """Return a plane claim in three dimensions: a coordinate nobody reads, then a signed permutation."""
    generator = np.random.default_rng([seed, 19])
    order, signs = generator.permutation(3), generator.choice([-1.0, 1.0], 3)

    def lift(vectors: Matrix) -> Matrix:
        return np.concatenate((vectors, np.zeros((vectors.shape[0], 1))), axis=1)[:, order] * signs

    return Claim(lift(claim.weights), claim.outputs, lift(claim.target[None])[0], claim.readout)


def error_at(claim: Claim, direction: Vector | tuple[float, ...]) -> float:
    """Return |f - g| in plain floats at the unit input of that direction."""
    x = np.asarray(direction) / np.linalg.norm(direction)
    p = np.maximum(claim.weights @ x, 0.0) @ claim.outputs
    f = max(p, 0.0) if claim.readout is Readout.RELU else p
    return abs(float(f) - max(float(claim.target @ x), 0.0))


def agree(one: Certificate, other: Certificate) -> bool:
    """Return whether both enclosures can be true."""
    return one.error_lower <= other.error_upper and other.error_lower <= one.error_upper


def width_of(certificate: Certificate) -> float:
    return certificate.error_upper - certificate.error_lower


def rounding_of(claim: Claim) -> float:
    """Return the width that rounding alone may give an enclosure, in roundoffs of the Lipschitz constant."""
    lipschitz = np.abs(claim.outputs) @ np.linalg.norm(claim.weights, axis=1) + np.linalg.norm(claim.target)
    return float(3 * (claim.rows + 40) * 2.0**-53 * lipschitz)
