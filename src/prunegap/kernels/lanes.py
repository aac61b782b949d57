"""Numbers sixteen at a time, in LLVM's vector types: kernels compute with them as with single numbers.

Each lane of a vector is a problem of its own, so that every lane's result is, bit for bit, what the same kernel
written for one number gives. Processors without such vectors get code that does lane after lane.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

from prunegap.kernels.vector_code import called, gathered, memory_of, spread_over

LANES = 16

_INDEX = ir.IntType(64)
_ALIGNMENT = 8


class Lanes(types.Type):
    """The type of LANES numbers, or truth values, of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"Lanes({kind})")


FLOATS, INTEGERS, TRUTHS = Lanes("float64"), Lanes("int64"), Lanes("bool")
_KINDS = {"float64": ir.DoubleType(), "int64": _INDEX, "bool": ir.IntType(1)}
_VECTORS = {kind: ir.VectorType(element, LANES) for kind, element in _KINDS.items()}


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTORS[kind.kind])


def _compiled_in(function: Callable[..., Any]) -> Any:
    """Return an intrinsic as kernels see it, without the typing context that numba hands to `function`."""
    return intrinsic(function)


@_compiled_in
def spread(_: Any, value: Any) -> Any:
    """Return `value` in every lane."""
    result = FLOATS if isinstance(value, types.Float) else INTEGERS
    asked = types.float64 if result is FLOATS else types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return spread_over(builder, arguments[0], _VECTORS[result.kind])

    return result(asked), generate


@_compiled_in
def own_lane(_: Any) -> Any:
    """Return 0, 1, 2, ... in the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_VECTORS["int64"], list(range(LANES)))

    return INTEGERS(), generate


@_compiled_in
def gather(_: Any, array: Any, first: Any, places: Any) -> Any:
    """Return array[first + places] for places (lanes); `array` is contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.gep(memory_of(context, builder, signature, arguments, 0), [arguments[1]])
        offsets = builder.shl(arguments[2], ir.Constant(_VECTORS["int64"], [3] * LANES))
        return gathered(builder, start, offsets, _VECTORS["float64"])

    return FLOATS(array, types.int64, INTEGERS), generate


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    place = builder.gep(memory_of(context, builder, signature, arguments, 0), [arguments[1]])
    kind = "float64" if signature.args[0].dtype == types.float64 else "int64"
    return builder.bitcast(place, _VECTORS[kind].as_pointer())


@_compiled_in
def load(_: Any, array: Any, first: Any) -> Any:
    """Return array[first], array[first + 1], ... in the lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, arguments), align=_ALIGNMENT)

    return FLOATS(array, types.int64), generate


@_compiled_in
def store(_: Any, array: Any, first: Any, lanes: Any) -> Any:
    """Write the lanes, of floats or of integers, to array[first], array[first + 1], ..."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature, arguments), align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@_compiled_in
def chosen(_: Any, which: Any, one: Any, other: Any) -> Any:
    """Return in each lane that of `one` where `which` is true, else that of `other`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return one(TRUTHS, one, one), generate


@_compiled_in
def least(_: Any, one: Any, other: Any) -> Any:
    """Return the lesser in each lane, of floats that are numbers."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return FLOATS(FLOATS, FLOATS), generate


@_compiled_in
def any_of(_: Any, which: Any) -> Any:
    """Return whether any lane is true."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.IntType(LANES)(0))

    return types.boolean(TRUTHS), generate


@_compiled_in
def _absolute(_: Any, lanes: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return called(builder, f"llvm.fabs.v{LANES}f64", _VECTORS["float64"], arguments)

    return FLOATS(FLOATS), generate


@overload(abs, strict=False)
def _abs(lanes: Any) -> Any:
    return (lambda lanes: _absolute(lanes)) if lanes == FLOATS else None


def _operator(symbol: Any, name: str, kind: Lanes, result: Lanes, *given: str) -> None:
    """Let kernels write `symbol` between two vectors of a kind, for the builder's instruction `name`."""

    @_compiled_in
    def instruction(_: Any, one: Any, other: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*given, *arguments)

        return result(kind, kind), generate

    @overload(symbol, strict=False)
    def written(one: Any, other: Any) -> Any:
        return (lambda one, other: instruction(one, other)) if one == kind and other == kind else None


_operator(operator.add, "fadd", FLOATS, FLOATS)
_operator(operator.sub, "fsub", FLOATS, FLOATS)
_operator(operator.lt, "fcmp_ordered", FLOATS, TRUTHS, "<")
_operator(operator.le, "fcmp_ordered", FLOATS, TRUTHS, "<=")
_operator(operator.eq, "fcmp_ordered", FLOATS, TRUTHS, "==")
_operator(operator.add, "add", INTEGERS, INTEGERS)
_operator(operator.sub, "sub", INTEGERS, INTEGERS)
_operator(operator.or_, "or_", INTEGERS, INTEGERS)
