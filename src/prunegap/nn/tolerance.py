"""Where error matters least: how the tolerance of a network is shared among its layers.

A weight's paths cost about log(1 / epsilon). If every layer adds noise relative to its own output, n_l epsilon_l^2 /
||W_l||_F^2 for n_l weights, the cheapest way to a given sum of noise is epsilon_l proportional to ||W_l||_F: every
weight of the network then adds the same relative noise, and small layers, which all inputs pass, are built more
exactly at almost no cost.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from prunegap.model.errors import BadInputError
from prunegap.nn.target import LayerWeights, Target

LEAST = 1.0 / 8.0
"""No layer is asked for less than this part of epsilon: ever wider sources would be needed."""


class Share(StrEnum):
    """even: epsilon for every weight. layers: epsilon times ||W_l||_F / max ||W||_F for those of layer l."""

    EVEN = "even"
    LAYERS = "layers"

    @classmethod
    def parse(cls, name: str) -> Share:
        """Return the share called `name`; raises BadInputError for any other name."""
        try:
            return cls(name)
        except ValueError:
            raise BadInputError(f"share {name!r}", "must be even or layers", "use --share layers") from None


def tolerances(target: Target, epsilon: float, share: Share) -> dict[str, NDArray[np.float64]]:
    """Return for each layer the tolerances, at most epsilon, of its input channels, the constant one last.

    Shapes (inputs + bias,).
    """
    norms = {step.name: _norm(target.weights[step.name]) for step in target.graph.layers}
    largest = max(norms.values())
    shared = {}
    for step in target.graph.layers:
        part = 1.0
        if share is Share.LAYERS and largest > 0.0:
            part = max(LEAST, norms[step.name] / largest)
        shared[step.name] = np.full(step.shape.inputs + step.shape.bias, epsilon * part)
    return shared


def _norm(weights: LayerWeights) -> float:
    return float(np.linalg.norm(weights.weight))
