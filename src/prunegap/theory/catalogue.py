"""Every bound this project knows: the published ones as they are stated, its own with their constants.

A published bound is listed with the version it was read in. Its constant is "unknown" wherever the statement hides
it in O() or Omega(); no constant is guessed. Own bounds hold with chance at least 1/2 over the draw (or, for
counting, over the target), so they lie below or above the median width. Proofs of the own bounds: docs/theory.md.
"""

from __future__ import annotations

import math

from prunegap.model.draw import Initialisation
from prunegap.model.network import Readout
from prunegap.theory.bounds import PUBLISHED
from prunegap.theory.counting import counting_width, estimated_separable_width, separable_choices, weight_choices
from prunegap.theory.kinks import kink_width, linear_readout_width
from prunegap.theory.mass import mass_width, neuron_mass, weight_mass
from prunegap.theory.statement import Statement

OWN = "prunegap, docs/theory.md"
RELU_ONLY = (Readout.RELU,)
LINEAR_ONLY = (Readout.LINEAR,)
SUBSET_SUM = "numbers drawn in a random subset sum"


def catalogue() -> tuple[Statement, ...]:
    """Return every statement: the paper that prunegap measures, prior work, and what is proven here."""
    return (
        *_paper(),
        *_prior_work(),
        *_counting(),
        *(s for init in Initialisation for s in _of_draws(init)),
        _aligned(),
    )


def _paper() -> list[Statement]:
    hypotheses = "one bias-free ReLU neuron as target, a random bias-free two-layer ReLU network as source"
    return [
        Statement(
            name=f"{bound.granularity} pruning, v{bound.source.rpartition('v')[2]}",
            side=bound.side,
            granularity="neuron" if bound.granularity == "neuron" else "weight",
            formula=bound.formula,
            hypotheses=f"{hypotheses}; as read here it needs d >= {bound.least_dimension}"
            + ("" if len(bound.readouts) > 1 else " and a relu readout"),
            source=bound.source,
            shape=bound.shape,
            least_dimension=bound.least_dimension,
            readouts=bound.readouts,
        )
        for bound in PUBLISHED
    ]


def _prior_work() -> list[Statement]:
    return [
        Statement(
            "weight subnetworks", "upper", "weight", "poly(d, 1/ε)",
            "bounded distribution of inputs, target network of bounded weights, source twice as deep",
            "Malach et al. 2020, arXiv:2002.00585", readouts=RELU_ONLY,
        ),
        Statement(
            "neuron subnetworks are random features", "lower", "neuron", "no better than random features",
            "two-layer networks, whole neurons removed; some targets then take a width exponential in d",
            "Malach et al. 2020, arXiv:2002.00585",
        ),
        Statement(
            "subset sums for every weight", "upper", "weight", "O(log(d l / min(ε, δ))) times as wide as the target",
            "ReLU target of width d and depth l, source twice as deep, error ε with chance 1 - δ; here: d weights, "
            "each within ε / d; essentially optimal for constant depth",
            "Pensia et al. 2020, arXiv:2006.07990 v2",
            shape=lambda d, e: d * math.log(d / e), readouts=RELU_ONLY,
        ),
        Statement(
            "golden-ratio and binary decompositions", "upper", "weight",
            "a factor logarithmic in all variables but depth, neurons for each target weight",
            "ReLU target network", "Orseau, Hutter, Rivasplata 2020, arXiv:2006.12156", readouts=RELU_ONLY,
        ),
        Statement(
            "random subset sum", "upper", "weight", "O(log(1/ε))",
            "i.i.d. numbers of a density like the uniform one, one target number, every number of an interval",
            "Lueker 1998; proof again by da Cunha et al. 2022, arXiv:2204.13929",
            quantity=SUBSET_SUM, shape=lambda d, e: math.log(1.0 / e),
        ),
        Statement(
            "random subset sum of fixed size", "upper", "weight", "essentially tight in sample and subset size",
            "as random subset sum, but only subsets of one given size count: it bounds how sparse tickets can be",
            "Natale et al. 2024, arXiv:2410.14754", quantity=SUBSET_SUM,
        ),
        Statement(
            "random subset sum in d dimensions", "upper", "weight", "O(d³ log(1/ε) (log(1/ε) + log d))",
            "i.i.d. random vectors in R^d, every target of a cube within ε in each coordinate",
            "Becchetti et al. 2022, arXiv:2207.13944", quantity="vectors drawn in a random subset sum",
            shape=lambda d, e: d**3 * math.log(1.0 / e) * (math.log(1.0 / e) + math.log(d)),
        ),
        Statement(
            "structured tickets in convolutional networks", "upper", "neuron", "poly(1/ε, size of the target)",
            "random convolutional networks, channels removed: another source than the one measured here",
            "da Cunha, d'Amore, Natale 2023, arXiv:2311.09858", quantity="channels of a random convolutional network",
        ),
    ]  # fmt: skip


def _counting() -> list[Statement]:
    hypotheses = "any network; for at least half of all target directions"
    return [
        Statement(
            "counting, any mask", "lower", "weight", "(log ½ - log σ(4ε)) / (d log 2)", hypotheses, f"{OWN}, C",
            value=lambda d, e: float(counting_width(d, e, weight_choices(d))),
        ),
        Statement(
            "counting, whole neurons", "lower", "neuron", "(log ½ - log σ(4ε)) / log 2", hypotheses, f"{OWN}, C",
            value=lambda d, e: float(counting_width(d, e, math.log(2.0))),
        ),
        Statement(
            "cells of size ε for 2d sums", "estimate", "weight", "2 d log(1/ε) / log(d + 1)",
            "one weight a row; an estimate that leaves out constants and mass: no bound", f"{OWN}, C",
            value=estimated_separable_width, readouts=RELU_ONLY,
        ),
        Statement(
            "counting, one weight a row", "estimate", "weight", "(log ½ - log σ(4ε)) / log(d + 1)",
            f"{hypotheses}, as long as no row keeps two weights", f"{OWN}, C",
            value=lambda d, e: float(counting_width(d, e, separable_choices(d))),
        ),
    ]  # fmt: skip


def _of_draws(init: Initialisation) -> list[Statement]:
    """Return what holds for at least half of all draws of one initialisation, whatever the target of norm 1."""
    half = f"{init} initialisation, target of norm 1; for at least half of all draws"
    only = (init,)
    c, m = ("1/16", "1/(8√3)") if init is Initialisation.UNIFORM else ("1/(2π)", "1/(2π)")
    a = "8√(2d/3)" if init is Initialisation.UNIFORM else "8/3"
    chance = "√(2d) tan h" if init is Initialisation.UNIFORM else "2h/π"
    linear = f"½ / P, P = {chance}, h = arcsin(4ε)"
    return [
        Statement(
            "mass, any mask", "lower", "weight", f"½ (1 - ε) / ({c} · √d)", half, f"{OWN}, M", initialisations=only,
            value=lambda d, e: float(mass_width(e, weight_mass(d, init))),
        ),
        Statement(
            "mass, whole neurons", "lower", "neuron", f"½ (1 - ε) / ({m})", half, f"{OWN}, M", initialisations=only,
            value=lambda d, e: float(mass_width(e, neuron_mass(init))),
        ),
        Statement(
            "kinks, whole neurons", "lower", "neuron", f"n ε (A (n - 1) + B) >= ½ (1 - ε), A = {a}", half,
            f"{OWN}, K", initialisations=only, least_dimension=2,
            value=lambda d, e: float(kink_width(d, e, init)),
        ),
        Statement(
            "the target's own kink, whole neurons", "lower", "neuron", linear, half, f"{OWN}, L",
            initialisations=only, least_dimension=2, readouts=LINEAR_ONLY,
            value=lambda d, e: float(linear_readout_width(d, e, init)),
        ),
        Statement(
            "the target's own kink, any mask", "lower", "weight", linear,
            f"{half}; no axis within arcsin(4ε) of the target's kink", f"{OWN}, L",
            initialisations=only, least_dimension=2, greatest_dimension=2, readouts=LINEAR_ONLY,
            value=lambda d, e: float(linear_readout_width(d, e, init)),
        ),
    ]  # fmt: skip


def _aligned() -> Statement:
    return Statement(
        "aligned neurons and a subset sum of their strengths", "upper", "neuron", "O(ε^-(d-1) log(1/ε)^d), d fixed",
        "either initialisation, any readout; rests on random subset sum, whose constant is unknown", f"{OWN}, U",
        shape=_aligned_shape,
    )  # fmt: skip


def _aligned_shape(dimension: int, epsilon: float) -> float:
    logarithm = (dimension - 1) * -math.log(epsilon) + dimension * math.log(-math.log(epsilon))
    return math.exp(logarithm) if logarithm < 709.0 else math.inf
