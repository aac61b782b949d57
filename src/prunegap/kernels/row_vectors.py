"""Loops over integer rows, sixteen at a time, in LLVM's vector types: what `kernels.branch` spends its time on.

LLVM does not vectorise these loops by itself, since it must expect every array to overlap every other. Each function
goes through the first `count` entries, a multiple of LANES; offsets are where a row begins
in the memory of an array, whatever its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
ABREAST = 4
"""Rows that are added up together."""

_INDEX = ir.IntType(64)
_NARROW = ir.IntType(32)
_INTEGERS = ir.VectorType(_NARROW, LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> Callable[[int, Any, Any], Any]:
    """Return a function that gives the place of an offset in array argument i, as a pointer to some type."""

    def pointer(i: int, offset: Any, kind: Any) -> Any:
        data = context.make_array(signature.args[i])(context, builder, arguments[i]).data
        return builder.bitcast(builder.gep(data, [offset]), kind.as_pointer())

    return pointer


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(pointer, align=4)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer, align=4)


def _least(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_signed("<", one, other), one, other)


def _greatest(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_signed(">", one, other), one, other)


def _decide(
    _: Any, steps: Any, row: Any, ups: Any, downs: Any, level: Any, touched: Any, count: Any, kept: Any
) -> Any:
    """Take the column steps[row :] to be kept or not: change what is left to either bound of each row, mark the rows
    it stands in, and return a negative number where something less than nothing is left."""
    signature = types.int32(steps, row, ups, downs, level, touched, count, kept)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        zero = ir.Constant(_INTEGERS, None)
        signs = cgutils.alloca_once_value(builder, zero)
        is_kept = builder.icmp_signed("!=", arguments[7], ir.Constant(arguments[7].type, 0))
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[6], _INDEX(LANES), _INDEX) as (r, _):
            at = builder.add(arguments[4], r)
            up, down, mark = pointer(2, at, _INTEGERS), pointer(3, at, _INTEGERS), pointer(5, r, _INTEGERS)
            k = _load(builder, pointer(0, builder.add(arguments[1], r), _INTEGERS))
            rise, fall = _greatest(builder, k, zero), _least(builder, k, zero)
            # Kept: ups lose what it adds, downs what it takes away. Not kept: the other way round.
            less_up = builder.select(is_kept, rise, builder.sub(zero, fall))
            less_down = builder.select(is_kept, builder.sub(zero, fall), rise)
            new_up = builder.sub(_load(builder, up), less_up)
            new_down = builder.sub(_load(builder, down), less_down)
            _store(builder, new_up, up)
            _store(builder, new_down, down)
            _store(builder, builder.or_(_load(builder, mark), k), mark)
            builder.store(builder.or_(builder.load(signs), builder.or_(new_up, new_down)), signs)
        kind = ir.FunctionType(_NARROW, [_INTEGERS])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.or.v{LANES}i32")
        return builder.call(reduce, [builder.load(signs)])

    return signature, generate


def _find_tight(_: Any, ups: Any, downs: Any, level: Any, touched: Any, reach: Any, tight: Any, count: Any) -> Any:
    """Write to bit i of tight[w] whether row LANES w + i is marked and has less left than its reach; unmark all."""
    signature = types.void(ups, downs, level, touched, reach, tight, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        zero, bits = ir.Constant(_INTEGERS, None), ir.IntType(LANES)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[6], _INDEX(LANES), _INDEX) as (r, _):
            at, mark = builder.add(arguments[2], r), pointer(3, r, _INTEGERS)
            up, down = (_load(builder, pointer(i, at, _INTEGERS)) for i in (0, 1))
            few = builder.icmp_signed("<", _least(builder, up, down), _load(builder, pointer(4, at, _INTEGERS)))
            marked = builder.icmp_signed("!=", _load(builder, mark), zero)
            word = builder.bitcast(builder.and_(few, marked), bits)
            builder.store(word, pointer(5, builder.sdiv(r, _INDEX(LANES)), bits), align=2)
            _store(builder, zero, mark)
        return context.get_dummy_value()

    return signature, generate


def _add_scaled(_: Any, scores: Any, sizes: Any, rows: Any, weights: Any, first: Any, count: Any) -> Any:
    """scores[j] += sum over i < ABREAST of weights[first + i] sizes[rows[first + i] + j], for j < count; floats."""
    signature = types.void(scores, sizes, rows, weights, first, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        unknown, lanes = ir.Constant(_FLOATS, ir.Undefined), ir.Constant(_INTEGERS, None)
        places, spread = [], []
        for i in range(ABREAST):
            at = builder.add(arguments[4], _INDEX(i))
            places.append(builder.load(pointer(2, at, _INDEX)))
            weight = builder.load(pointer(3, at, ir.FloatType()))
            spread.append(builder.shuffle_vector(builder.insert_element(unknown, weight, _NARROW(0)), unknown, lanes))
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[5], _INDEX(LANES), _INDEX) as (j, _):
            score = pointer(0, j, _FLOATS)
            total = _load(builder, score)
            for place, weight in zip(places, spread, strict=True):
                size = _load(builder, pointer(1, builder.add(place, j), _FLOATS))
                total = builder.fadd(total, builder.fmul(weight, size))
            _store(builder, total, score)
        return context.get_dummy_value()

    return signature, generate


decide: Any = intrinsic(_decide)
find_tight: Any = intrinsic(_find_tight)
add_scaled: Any = intrinsic(_add_scaled)
