"""The ticket: masks, the problem they answer, and the error claimed for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from prunegap.certify import certify
from prunegap.model.draw import Draw
from prunegap.model.errors import BadInputError
from prunegap.model.mask import Mask
from prunegap.model.outcome import Certificate
from prunegap.model.problem import Problem


@dataclass(frozen=True, eq=False)
class Ticket:
    """A mask with the network it belongs to and the claim ||f_mask - g|| <= error_upper <= epsilon.

    `draw` is the recipe of the network and the target, or None for a network that a user supplied. A claim is not a
    proof: `verify` is. Raises BadInputError where mask, network and draw do not belong together.
    """

    problem: Problem
    mask: Mask
    error_upper: float
    draw: Draw | None = None

    def __post_init__(self) -> None:
        self.mask.apply(self.problem.network)
        if not (math.isfinite(self.error_upper) and self.error_upper >= 0.0):
            raise BadInputError(f"claimed error {self.error_upper}", "must be finite and not negative", "certify it")
        if self.draw is not None and not self._is_drawn(self.draw):
            raise BadInputError(f"ticket of {self.draw}", "its network is not that draw", "leave the draw out")

    def _is_drawn(self, draw: Draw) -> bool:
        network = draw.network(self.problem.width)
        return (
            np.array_equal(network.weights, self.problem.network.weights)
            and np.array_equal(network.outputs, self.problem.network.outputs)
            and np.array_equal(draw.target(), self.problem.target)
        )

    def verify(self) -> Certificate:
        """Return a new certificate of error <= epsilon, made from the arrays alone.

        Raises BadInputError where the mask breaks its granularity, the error is not proven to be at most epsilon, or
        the claimed error is refuted.
        """
        remedy = "do not trust this ticket; make it anew"
        if not self.problem.granularity.admits(self.mask):
            raise BadInputError("mask", f"is not one that {self.problem.granularity} pruning can leave", remedy)
        certificate = certify(self.problem, self.mask)
        if not certificate.proves(self.problem.epsilon):
            rule = f"error up to {certificate.error_upper:.6g} is not proven to be at most epsilon"
            raise BadInputError(f"epsilon {self.problem.epsilon:g}", rule, remedy)
        if certificate.refutes(self.error_upper) or self.error_upper > self.problem.epsilon:
            rule = (
                f"does not fit the error, which lies in {certificate.error_lower:.6g}..{certificate.error_upper:.6g}"
            )
            raise BadInputError(f"claimed error {self.error_upper:.6g}", rule, remedy)
        return certificate
