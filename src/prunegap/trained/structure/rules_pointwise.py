"""Rules for elementwise operations: labels pass through; what matters is whether zeros stay zeros."""

from __future__ import annotations

from typing import Any

from prunegap.trained.structure.labels import Dims, Propagation, rule, tensors_in

# f(0) = 0
_ODD = (
    "relu", "relu6", "gelu", "silu", "hardswish", "tanh", "leaky_relu", "elu", "selu", "celu", "mish", "abs",
    "neg", "sin", "erf", "sign", "sqrt", "square", "clone", "contiguous", "detach", "detach_", "alias", "to",
    "_to_copy", "type_as", "lift_fresh_copy", "lift_fresh", "dropout", "feature_dropout", "alpha_dropout",
    "hardshrink", "softshrink", "tanhshrink", "rrelu", "relu_", "log1p", "expm1", "nan_to_num", "positive",
    "zero", "zeros_like", "float", "fill_zero",
)  # fmt: skip
_OTHER = (
    "sigmoid", "hardsigmoid", "exp", "cos", "log", "rsqrt", "reciprocal", "softplus", "logsigmoid",
    "log_sigmoid", "bitwise_not", "logical_not", "ones_like", "full_like", "rsub", "fill", "pow", "floor",
    "round", "eq", "ne", "lt", "le", "gt", "ge", "minimum", "maximum", "bitwise_and", "bitwise_or",
    "logical_and", "logical_or", "where", "masked_fill", "remainder", "floor_divide", "isnan", "atan2",
)  # fmt: skip


def _spread(p: Propagation, a: dict[str, Any], shape: Any) -> tuple[list[Dims], Dims]:
    parts = [t for v in a.values() for t in tensors_in(v)]
    return parts, Dims(tuple(shape), p.broadcast(parts, len(shape)), [False] * len(shape))


def _zero_in(x: Dims, d: int) -> bool:
    return len(x.shape) >= -d and x.shape[d] > 1 and x.zero[d]


@rule(*_ODD)
def odd(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x = next(t for v in a.values() for t in tensors_in(v))
    return Dims(tuple(shape), list(x.labels), list(x.zero))


@rule(*_OTHER)
def other(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    return _spread(p, a, shape)[1]


@rule("hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
def clamp(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Zero stays zero when it lies between the ends."""
    parts, out = _spread(p, a, shape)
    low, high = a.get("min_val", a.get("min")), a.get("max_val", a.get("max"))
    holds = len(parts) == 1 and (low is None or low <= 0) and (high is None or high >= 0)
    out.zero = [holds and z for z in parts[0].zero]
    return out


@rule("mul", "div", "true_divide")
def mul(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """A product is zero where one factor is; a quotient where its numerator is."""
    parts, out = _spread(p, a, shape)
    if "div" in p.operation:
        parts = tensors_in(a["self"])
    out.zero = [any(_zero_in(x, d) for x in parts) for d in range(-len(shape), 0)]
    return out


@rule("add", "sub")
def add(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """A sum is zero where all of its terms are."""
    parts, out = _spread(p, a, shape)
    if len(parts) == 2:
        out.zero = [all(_zero_in(x, d) for x in parts) for d in range(-len(shape), 0)]
    return out


@rule("pow")
def power(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    parts, out = _spread(p, a, shape)
    if isinstance(a["exponent"], (int, float)) and a["exponent"] > 0:
        out.zero = list(parts[0].zero)
    return out


@rule("prelu")
def prelu(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    x, w = a["self"], a["weight"]
    if len(x.shape) > 1 and w.shape and w.shape[0] > 1:
        p.same(x.labels[1], w.labels[0])
    return Dims(tuple(shape), list(x.labels), list(x.zero))


@rule("glu")
def glu(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    """Values times sigmoid(gates): the halves go together."""
    x, d = a["self"], a["dim"] % len(shape)
    halves = p.units.split(x.labels[d], [2, shape[d]], f"halves gate each other in {p.where}")
    p.units.freeze(halves[0], f"halves gate each other in {p.where}")
    labels = list(x.labels)
    labels[d] = halves[1]
    return Dims(tuple(shape), labels, list(x.zero))


@rule("copy", "set_", "index_put")
def written(p: Propagation, a: dict[str, Any], shape: Any) -> Any:
    p.freeze_all(list(a.values()), f"it is written in place in {p.where}")
    return Dims(tuple(shape), [None] * len(shape), [False] * len(shape))
