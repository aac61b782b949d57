"""Sums of rows of integers and by how much they miss their bounds, sixteen at a time, in LLVM's vector types.

Offsets are where a row begins in the memory of an array, whatever its shape; `count`, the entries of a row, is a
multiple of LANES. Sums and bounds together must stay within 32 bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from prunegap.kernels.vector_code import called, memory_of

LANES = 16

_INDEX = ir.IntType(64)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_NO_INTEGERS, _NO_FLOATS = ir.Constant(_INTEGERS, None), ir.Constant(_FLOATS, None)


class _Arrays:
    """The array arguments of one call, read and written a vector at a time."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._builder = builder
        self._memory = {
            i: memory_of(context, builder, signature, arguments, i)
            for i, kind in enumerate(signature.args)
            if isinstance(kind, types.Array)
        }

    def _pointer(self, i: int, offset: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(self._memory[i], [offset]), _INTEGERS.as_pointer())

    def load(self, i: int, offset: Any) -> Any:
        return self._builder.load(self._pointer(i, offset), align=4)

    def store(self, value: Any, i: int, offset: Any) -> None:
        self._builder.store(value, self._pointer(i, offset), align=4)

    def moved(self, k: Any, offsets: Any) -> Any:
        """Return entries k, k + 1, ... of argument 0, plus those of rows of argument 1."""
        value = self.load(0, k)
        for offset in offsets:
            value = self._builder.add(value, self.load(1, self._builder.add(offset, k)))
        return value


def _greater(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_signed(">", one, other), one, other)


def _moved_excess(_: Any, sums: Any, rows: Any, a: Any, b: Any, low: Any, high: Any, count: Any) -> Any:
    """Return sum_k max(0, low_k - s_k, s_k - high_k)^2 for s = sums plus the rows at two offsets, as a float."""
    signature = types.float32(sums, rows, a, b, low, high, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = _Arrays(context, builder, signature, arguments)
        total = cgutils.alloca_once_value(builder, _NO_FLOATS)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[6], _INDEX(LANES), _INDEX) as (k, _):
            value = arrays.moved(k, arguments[2:4])
            below, above = builder.sub(arrays.load(4, k), value), builder.sub(value, arrays.load(5, k))
            excess = builder.sitofp(_greater(builder, _greater(builder, below, above), _NO_INTEGERS), _FLOATS)
            added = called(builder, f"llvm.fmuladd.v{LANES}f32", _FLOATS, [excess, excess, builder.load(total)])
            builder.store(added, total)
        zero = ir.Constant(ir.FloatType(), 0.0)
        result = _halves_added(builder, builder.load(total))
        return builder.fadd(zero, result)

    return signature, generate


def _halves_added(builder: Any, vector: Any) -> Any:
    """Return the sum of a vector's lanes, half added to half until one is left: the same on every machine."""
    lanes = vector.type.count
    while lanes > 1:
        lanes //= 2
        index = ir.VectorType(ir.IntType(32), lanes)
        first, second = ir.Constant(index, [*range(lanes)]), ir.Constant(index, [*range(lanes, 2 * lanes)])
        unknown = ir.Constant(vector.type, ir.Undefined)
        vector = builder.fadd(
            builder.shuffle_vector(vector, unknown, first), builder.shuffle_vector(vector, unknown, second)
        )
    return builder.extract_element(vector, ir.IntType(32)(0))


def _add_rows(_: Any, sums: Any, rows: Any, a: Any, b: Any, count: Any) -> Any:
    """Add the rows at two offsets to the sums."""
    signature = types.void(sums, rows, a, b, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = _Arrays(context, builder, signature, arguments)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[4], _INDEX(LANES), _INDEX) as (k, _):
            arrays.store(arrays.moved(k, arguments[2:4]), 0, k)
        return context.get_dummy_value()

    return signature, generate


moved_excess: Any = intrinsic(_moved_excess)
add_rows: Any = intrinsic(_add_rows)
