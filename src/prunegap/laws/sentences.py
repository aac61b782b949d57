"""A comparison of laws in plain sentences: which law, which exponent, whether d matters, what range supports it.

A sentence never says more than the intervals do: what the data do not decide is said to be undecided, and a
published bound is only called at odds with a measured exponent together with what keeps it from being refuted.
"""

from __future__ import annotations

from collections.abc import Mapping

from prunegap.laws.compare import Comparison
from prunegap.laws.estimate import Estimate
from prunegap.laws.family import Family
from prunegap.laws.fit import Fit, Unfitted
from prunegap.laws.observation import Group

UNEQUAL_REACH = 3.0
"""From this ratio of their least epsilons on, two dimensions are measured in different ranges."""


def sentences(group: Group, comparison: Comparison, alone: Mapping[int, Comparison]) -> tuple[str, ...]:
    """Return the sentences about one group; `alone` holds each dimension's own comparison."""
    found = [_which_law(group, comparison)]
    laws = [law for law in (comparison.log, comparison.power) if isinstance(law, Fit)]
    shown = [comparison.fit] if comparison.fit is not None else laws
    for law in shown:
        assert law is not None
        found.append(_law(law))
        found.extend(_exponent(group, law))
        found.extend(_factor(group, law))
    if shown and shown[0] is not None:
        found.append(_support(shown[0]))
    dimensions = set() if not shown or shown[0] is None else set(shown[0].dimensions)
    if len(alone) > 1:
        found.extend(_alone(d, own, d in dimensions) for d, own in sorted(alone.items()))
    return tuple(dict.fromkeys(found))


def _which_law(group: Group, comparison: Comparison) -> str:
    about = f"{str(group)[0].upper()}{str(group)[1:]}"
    unfitted = [law for law in (comparison.log, comparison.power) if isinstance(law, Unfitted)]
    if len(unfitted) == 2:
        return f"{about}: no law can be fitted: {unfitted[0].reason}."
    if unfitted or comparison.held_out is None:
        return f"{about}: the two laws cannot be compared: {comparison.reason}."
    held_out = comparison.held_out
    gain = f"{abs(held_out.gain):.3g}"
    ends = sorted(abs(end) for end in (held_out.low, held_out.high))
    margin = f"by {gain} ({ends[0]:.3g} to {ends[1]:.3g}) in log-likelihood for each seed left out"
    if comparison.preferred is Family.POWER:
        return f"{about}: in this range widths grow as a power of 1/ε; it beats the logarithm {margin}."
    if comparison.preferred is Family.LOG:
        return f"{about}: in this range widths grow as log(1/ε); it beats the power of 1/ε {margin}."
    gains = f"the power law gains {held_out.gain:.3g} ({held_out.low:.3g} to {held_out.high:.3g})"
    return (
        f"{about}: the data do not decide between log(1/ε) and a power of 1/ε: {gains} in log-likelihood for each "
        "seed left out."
    )


def _law(law: Fit) -> str:
    """Return the law with its numbers."""
    term = "log(1/ε)" if law.family is Family.LOG else "ε^(-q)"
    d = "" if law.p is None else "d^p "
    names = [("a", law.a), ("b", law.b), ("p", law.p), ("q", law.q)]
    values = ", ".join(f"{name} = {estimate}" for name, estimate in names if estimate is not None)
    return f"Median width: a + b {d}{term} with {values}; in parentheses 95 % intervals over {_seeds(law.seeds)}."


def _exponent(group: Group, law: Fit) -> list[str]:
    if law.q is None or group.granularity != "neuron" or law.dimensions == (1,) or not law.q.known:
        return []
    if law.q.holds(1.0):
        return ["The exponent 1 of the published lower bound Ω(1/ε) lies in the interval of q."]
    if law.q.high < 1.0:
        return [
            "The exponent 1 of the published lower bound Ω(1/ε) lies above the interval of q: in this range widths "
            "grow more slowly than 1/ε. That refutes no theorem: its constant is unknown, and it rules the limit of "
            "small ε."
        ]
    return ["Widths grow faster than 1/ε in this range, as the published lower bound Ω(1/ε) allows."]


def _factor(group: Group, law: Fit) -> list[str]:
    """Return what p says about the factor d, on which the versions of arXiv:2603.02234 disagree."""
    with_d, without = ("d/ε", "1/ε") if law.family is Family.POWER else ("d log(1/ε)", "log(1/ε)")
    if law.p is None:
        where = f"d = {law.dimensions[0]}"
        return [f"Only {where} carries this law: whether the factor d is there cannot be said."]
    if not law.p.known:
        return ["A single seed in some dimension: whether the factor d is there cannot be said."]
    reach = {d: low for d, low, _ in law.ranges}
    if max(reach.values()) > UNEQUAL_REACH * min(reach.values()):
        reached = ", ".join(f"{low:g} at d = {d}" for d, low in reach.items())
        return [
            f"The dimensions do not reach equally small ε ({reached}), and the offset a may depend on d as well: p "
            "is a description, and whether the factor d is there cannot be said."
        ]
    one, none = law.p.holds(1.0), law.p.holds(0.0)
    versions = group.granularity in ("neuron", "weight")
    v1 = f" ({'v1' if versions else 'as v1 for neurons and weights'} of arXiv:2603.02234 says {with_d})"
    v3 = f" ({'v3' if versions else 'as v3 for neurons and weights'} of arXiv:2603.02234 says {without})"
    return [_factor_verdict(law.p, one, none, v1, v3)]


def _factor_verdict(p: Estimate, one: bool, none: bool, v1: str, v3: str) -> str:
    if one and none:
        return f"The factor d is undecided: the interval of p holds both 1{v1} and 0{v3}."
    if one:
        return f"A factor d is there: the interval of p holds 1{v1} and not 0{v3}."
    if none:
        return f"No factor d is there: the interval of p holds 0{v3} and not 1{v1}."
    if p.low > 0.0 and p.high < 1.0:
        return f"Widths grow with d, but more slowly than a factor d: p lies between 0{v3} and 1{v1}."
    if p.low > 1.0:
        return f"Widths grow with d faster than a factor d: p lies above 1{v1} and 0{v3}."
    return f"Widths fall as d grows: p lies below 0{v3}."


def _support(law: Fit) -> str:
    ranges = "; ".join(f"d = {d}: ε from {high:g} to {low:g}" for d, low, high in law.ranges)
    left_out = f", {law.cells.trivial} left out because they say nothing" if law.cells.trivial else ""
    notes = "".join(f" Note: {note}." for note in law.notes)
    return f"This rests on {ranges} ({law.cells} cells{left_out}) and says nothing beyond.{notes}"


def _alone(dimension: int, own: Comparison, is_part: bool) -> str:
    control = " (the control, not part of the law above)" if dimension == 1 and not is_part else ""
    about = f"d = {dimension} alone{control}"
    power = own.power
    if isinstance(power, Unfitted):
        return f"{about}: no exponent: {power.reason}."
    better = {Family.LOG: "log(1/ε) is better", Family.POWER: "a power of 1/ε is better", None: "neither is better"}
    reach = f"ε from {power.epsilon_greatest:g} to {power.epsilon_least:g}"
    decided = better[own.preferred] if own.held_out is not None else own.reason
    return f"{about}, {reach}: {decided}; fitted as a power, q = {power.q}."


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"
