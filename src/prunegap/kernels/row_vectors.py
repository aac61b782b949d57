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

from prunegap.kernels.vector_code import called, memory_of, spread_over, store_chosen

LANES = 16
WIDE = 32
"""Columns whose sizes are compared at a time."""
ABREAST = 4
"""Rows that are added up together."""

_INDEX = ir.IntType(64)
_NARROW = ir.IntType(32)
_INTEGERS = ir.VectorType(_NARROW, LANES)
_HALVES = ir.VectorType(ir.IntType(16), LANES)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_SIZES = ir.VectorType(ir.IntType(16), WIDE)
_STATES = ir.VectorType(ir.IntType(8), WIDE)


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> Callable[[int, Any, Any], Any]:
    """Return a function that gives the place of an offset in array argument i, as a pointer to some type."""

    def pointer(i: int, offset: Any, kind: Any) -> Any:
        data = memory_of(context, builder, signature, arguments, i)
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


def _greatest_unsigned(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", one, other), one, other)


def _rows_from(builder: Any, r: Any) -> Any:
    """Return r, r + 1, r + 2, ... in the lanes."""
    return builder.add(
        spread_over(builder, builder.trunc(r, _NARROW), _INTEGERS), ir.Constant(_INTEGERS, [*range(LANES)])
    )


class _Listed:
    """Lists that are written without branches: of each vector the lanes that are wanted, behind those before."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder
        self._count = cgutils.alloca_once_value(builder, _INDEX(0))

    @property
    def count(self) -> Any:
        """How many there are."""
        return self._builder.load(self._count)

    def put(self, wanted: Any, lists: dict[Any, Any]) -> None:
        """Append the wanted lanes of the vectors that `lists` names by the ends of their lists.

        Up to a vector behind the new ends may be overwritten.
        """
        builder, word = self._builder, ir.IntType(LANES)
        for end, vector in lists.items():
            store_chosen(builder, vector, wanted, end)
        ones = called(builder, f"llvm.ctpop.i{LANES}", word, [builder.bitcast(wanted, word)])
        more = builder.zext(ones, _INDEX)
        builder.store(builder.add(self.count, more), self._count)


def _decide(_: Any, steps: Any, row: Any, ups: Any, downs: Any, level: Any, count: Any, kept: Any) -> Any:
    """Take the column steps[row :] to be kept or not: change what is left to either bound of each row.

    Returns a negative number where something less than nothing is left.
    """
    signature = types.int32(steps, row, ups, downs, level, count, kept)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        zero = ir.Constant(_INTEGERS, None)
        signs = cgutils.alloca_once_value(builder, zero)
        is_kept = builder.icmp_signed("!=", arguments[6], ir.Constant(arguments[6].type, 0))
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[5], _INDEX(LANES), _INDEX) as (r, _):
            at = builder.add(arguments[4], r)
            up, down = pointer(2, at, _INTEGERS), pointer(3, at, _INTEGERS)
            k = _load(builder, pointer(0, builder.add(arguments[1], r), _INTEGERS))
            rise, fall = _greatest(builder, k, zero), _least(builder, k, zero)
            # Kept: ups lose what it adds, downs what it takes away. Not kept: the other way round.
            less_up = builder.select(is_kept, rise, builder.sub(zero, fall))
            less_down = builder.select(is_kept, builder.sub(zero, fall), rise)
            new_up = builder.sub(_load(builder, up), less_up)
            new_down = builder.sub(_load(builder, down), less_down)
            _store(builder, new_up, up)
            _store(builder, new_down, down)
            builder.store(builder.or_(builder.load(signs), builder.or_(new_up, new_down)), signs)
        return called(builder, f"llvm.vector.reduce.or.v{LANES}i32", _NARROW, [builder.load(signs)])

    return signature, generate


def _find_tight(_: Any, ups: Any, downs: Any, level: Any, reach: Any, tight: Any, count: Any) -> Any:
    """List the rows with less left than their reach in `tight`, with room for a vector more; return how many."""
    signature = types.int64(ups, downs, level, reach, tight, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, found = _pointers(context, builder, signature, arguments), _Listed(builder)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[5], _INDEX(LANES), _INDEX) as (r, _):
            at = builder.add(arguments[2], r)
            up, down = (_load(builder, pointer(i, at, _INTEGERS)) for i in (0, 1))
            few = builder.icmp_signed("<", _least(builder, up, down), _load(builder, pointer(3, at, _INTEGERS)))
            found.put(few, {pointer(4, found.count, _NARROW): _rows_from(builder, r)})
        return found.count

    return signature, generate


def _mark_greater(_: Any, sizes: Any, place: Any, states: Any, begin: Any, least: Any, marks: Any, count: Any) -> Any:
    """Mark the free columns with sizes[place + column] > least; return the greatest size of the other free ones.

    Bit j of marks[i] stands for column 32 i + j < count, a multiple of WIDE. A column is free where
    states[begin + column] is -1; WIDE bytes behind the last state must be readable.
    """
    signature = types.int64(sizes, place, states, begin, least, marks, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        zero = ir.Constant(_SIZES, None)
        others = cgutils.alloca_once_value(builder, zero)
        least = spread_over(builder, builder.trunc(arguments[4], _SIZES.element), _SIZES)
        is_free = ir.Constant(_STATES, [-1] * WIDE)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[6], _INDEX(WIDE), _INDEX) as (j, _):
            size = builder.load(pointer(0, builder.add(arguments[1], j), _SIZES), align=2)
            state = builder.load(pointer(2, builder.add(arguments[3], j), _STATES), align=1)
            free = builder.icmp_signed("==", state, is_free)
            more = builder.and_(builder.icmp_unsigned(">", size, least), free)
            word = builder.bitcast(more, _NARROW)
            builder.store(word, pointer(5, builder.lshr(j, _INDEX(5)), _NARROW), align=4)
            rest = builder.select(builder.and_(free, builder.not_(more)), size, zero)
            builder.store(_greatest_unsigned(builder, builder.load(others), rest), others)
        name = f"llvm.vector.reduce.umax.v{WIDE}i16"
        return builder.zext(called(builder, name, _SIZES.element, [builder.load(others)]), _INDEX)

    return signature, generate


def _lowest_bit(_: Any, word: Any) -> Any:
    """Return the place of the lowest bit of a word of 32 that is not 0."""
    signature = types.int64(word)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.cttz(builder.trunc(arguments[0], _NARROW), ir.IntType(1)(1)), _INDEX)

    return signature, generate


def _hear(
    _: Any, ups: Any, downs: Any, level: Any, reach: Any, slack: Any, stride: Any, weights: Any, shifts: Any,
    heard: Any, voices: Any, loud: Any, count: Any,
) -> Any:  # fmt: skip
    """List the rows with at most slack times their reach left: where they begin, and what their sizes weigh.

    heard[i] is stride times the i-th such row, its place in the sizes, voices[i] its weight over what is left, times
    the unit of its sizes, 2^shift, and loud[i] the same at its reach: the most it says about any column. All have
    room for a vector more than there are rows. Returns how many there are.
    """
    signature = types.int64(ups, downs, level, reach, slack, stride, weights, shifts, heard, voices, loud, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, found = _pointers(context, builder, signature, arguments), _Listed(builder)
        one, bit = ir.Constant(_FLOATS, [1.0] * LANES), ir.Constant(_INTEGERS, [1] * LANES)
        wide = spread_over(builder, builder.trunc(arguments[5], _NARROW), _INTEGERS)
        times = spread_over(builder, builder.sitofp(arguments[4], ir.FloatType()), _FLOATS)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[11], _INDEX(LANES), _INDEX) as (r, _):
            at = builder.add(arguments[2], r)
            up, down, most = (_load(builder, pointer(i, at, _INTEGERS)) for i in (0, 1, 3))
            left = builder.sitofp(_least(builder, up, down), _FLOATS)
            most = builder.sitofp(most, _FLOATS)
            few = builder.fcmp_ordered("<=", left, builder.fmul(times, most))
            voice = builder.fdiv(_load(builder, pointer(6, r, _FLOATS)), builder.fadd(left, one))
            unit = builder.sitofp(builder.shl(bit, _load(builder, pointer(7, r, _INTEGERS))), _FLOATS)
            loud, voice = builder.fmul(voice, most), builder.fmul(voice, unit)
            begins = builder.mul(_rows_from(builder, r), wide)
            at = found.count
            ends = pointer(8, at, _NARROW), pointer(9, at, ir.FloatType()), pointer(10, at, ir.FloatType())
            found.put(few, dict(zip(ends, (begins, voice, loud), strict=True)))
        return found.count

    return signature, generate


def _keep_loud(_: Any, heard: Any, voices: Any, loud: Any, share: Any, count: Any) -> Any:
    """Leave out of the first `count` rows those less loud than `share` of the loudest; return how many are left.

    loud is 0 from `count` up to a multiple of LANES.
    """
    signature = types.int64(heard, voices, loud, share, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, found = _pointers(context, builder, signature, arguments), _Listed(builder)
        loudest = cgutils.alloca_once_value(builder, ir.Constant(_FLOATS, None))
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[4], _INDEX(LANES), _INDEX) as (r, _):
            one, other = _load(builder, pointer(2, r, _FLOATS)), builder.load(loudest)
            builder.store(builder.select(builder.fcmp_ordered(">", one, other), one, other), loudest)
        most = called(builder, f"llvm.vector.reduce.fmax.v{LANES}f32", ir.FloatType(), [builder.load(loudest)])
        least = spread_over(builder, builder.fmul(most, builder.fptrunc(arguments[3], ir.FloatType())), _FLOATS)
        # A row without any size left is as loud as the padding, and says as little.
        nothing = ir.Constant(_FLOATS, None)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[4], _INDEX(LANES), _INDEX) as (r, _):
            row, voice = _load(builder, pointer(0, r, _INTEGERS)), _load(builder, pointer(1, r, _FLOATS))
            one, at = _load(builder, pointer(2, r, _FLOATS)), found.count
            enough = builder.and_(builder.fcmp_ordered(">=", one, least), builder.fcmp_ordered(">", one, nothing))
            found.put(enough, {pointer(0, at, _NARROW): row, pointer(1, at, ir.FloatType()): voice})
        return found.count

    return signature, generate


def _repeat(_: Any, array: Any, source: Any, target: Any, count: Any) -> Any:
    """array[target + i] = array[source + i] for i < count."""
    signature = types.void(array, source, target, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[3], _INDEX(LANES), _INDEX) as (r, _):
            given = _load(builder, pointer(0, builder.add(arguments[1], r), _INTEGERS))
            _store(builder, given, pointer(0, builder.add(arguments[2], r), _INTEGERS))
        return context.get_dummy_value()

    return signature, generate


def _add_scaled(_: Any, scores: Any, sizes: Any, rows: Any, weights: Any, first: Any, count: Any) -> Any:
    """scores[j] += sum over i < ABREAST of weights[first + i] sizes[rows[first + i] + j], for j < count."""
    signature = types.void(scores, sizes, rows, weights, first, count)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointers(context, builder, signature, arguments)
        places, spread = [], []
        for i in range(ABREAST):
            at = builder.add(arguments[4], _INDEX(i))
            places.append(builder.sext(builder.load(pointer(2, at, _NARROW)), _INDEX))
            spread.append(spread_over(builder, builder.load(pointer(3, at, ir.FloatType())), _FLOATS))
        with cgutils.for_range_slice(builder, _INDEX(0), arguments[5], _INDEX(LANES), _INDEX) as (j, _):
            score = pointer(0, j, _FLOATS)
            total = _load(builder, score)
            for place, weight in zip(places, spread, strict=True):
                half = builder.load(pointer(1, builder.add(place, j), _HALVES), align=2)
                size = builder.sitofp(builder.zext(half, _INTEGERS), _FLOATS)
                total = called(builder, f"llvm.fmuladd.v{LANES}f32", _FLOATS, [weight, size, total])
            _store(builder, total, score)
        return context.get_dummy_value()

    return signature, generate


decide: Any = intrinsic(_decide)
find_tight: Any = intrinsic(_find_tight)
mark_greater: Any = intrinsic(_mark_greater)
lowest_bit: Any = intrinsic(_lowest_bit)
hear: Any = intrinsic(_hear)
keep_loud: Any = intrinsic(_keep_loud)
repeat: Any = intrinsic(_repeat)
add_scaled: Any = intrinsic(_add_scaled)
