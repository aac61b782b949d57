"""A sparse matrix times many columns, for matrices whose zeros are anywhere: y = W x + b in single precision.

What bounds such a product is how fast the processor fetches the rows of x that the kept weights ask for. So x is cut
into tiles of LANES samples, and W into strips of so few columns that a tile's part of a strip (STRIP_BYTES) stays in
the first cache; the sums of one row of W over one strip are held in vector registers. One thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from prunegap.kernels.jit import compiled
from prunegap.kernels.vector_code import called, memory_of, spread_over

VECTOR, VECTORS, UNROLLED = 16, 2, 4
LANES = VECTOR * VECTORS
"""Samples of a tile: the sums of so many are in registers at once."""
STRIP_BYTES = 48 << 10
STRIP = STRIP_BYTES // (4 * LANES)
"""Columns of W whose rows of a tile are used together."""
Strips = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


def strips_of(matrix: NDArray[np.float32]) -> Strips:
    """Return a matrix (rows, columns) as (starts, places, values), strip after strip, row after row.

    starts (strips, rows + 1) int32: row r of strip s is values[starts[s, r] : starts[s, r + 1]]; places count columns
    from the strip's first one.
    """
    rows, columns = matrix.shape
    count = -(-columns // STRIP)
    starts = np.zeros((count, rows + 1), dtype=np.int32)
    places, values = list[NDArray[np.int32]](), list[NDArray[np.float32]]()
    for strip in range(count):
        part = matrix[:, strip * STRIP : (strip + 1) * STRIP]
        row, place = np.nonzero(part)
        starts[strip, 1:] = np.cumsum(np.bincount(row, minlength=rows))
        starts[strip] += sum(p.size for p in places)
        places.append(place.astype(np.int32))
        values.append(part[row, place])
    return (
        starts,
        np.concatenate([*places, np.zeros(0, np.int32)]),
        np.concatenate([*values, np.zeros(0, np.float32)]),
    )


def whole_matrix(strips: Strips, columns: int) -> NDArray[np.float32]:
    """Return the matrix (rows, columns) that `strips_of` took apart."""
    starts, places, values = strips
    matrix = np.zeros((starts.shape[1] - 1, columns), dtype=np.float32)
    for strip, ends in enumerate(starts):
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(ends))
        part = slice(ends[0], ends[-1])
        matrix[row, strip * STRIP + places[part]] = values[part]
    return matrix


def _add_row(
    _: Any, values: Any, places: Any, begin: Any, end: Any, tiles: Any, first: Any, out: Any, place: Any
) -> Any:
    """Add values[k] tiles[first + LANES places[k] :][:LANES], k from begin to end, to out[place : place + LANES]."""
    signature = types.void(values, places, begin, end, tiles, first, out, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(i: int) -> Any:
            return memory_of(context, builder, signature, arguments, i)

        index, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), VECTOR)
        name = f"llvm.fmuladd.v{VECTOR}f32"
        weights, columns, samples = data(0), data(1), builder.gep(data(4), [arguments[5]])
        sums = builder.gep(data(6), [arguments[7]])
        held = [[cgutils.alloca_once(builder, vector) for _ in range(VECTORS)] for _ in range(UNROLLED)]

        def at(pointer: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

        def add(k: Any, chain: int) -> None:
            weight = spread_over(builder, builder.load(builder.gep(weights, [k])), vector)
            offset = builder.mul(builder.sext(builder.load(builder.gep(columns, [k])), index), index(LANES))
            for v in range(VECTORS):
                sample = builder.load(at(samples, builder.add(offset, index(VECTOR * v))), align=4)
                slot = held[chain][v]
                builder.store(called(builder, name, vector, [weight, sample, builder.load(slot)]), slot)

        for chain in range(UNROLLED):
            for v in range(VECTORS):
                known = builder.load(at(sums, index(VECTOR * v)), align=4)
                builder.store(known if chain == 0 else ir.Constant(vector, None), held[chain][v])
        count = builder.sub(arguments[3], arguments[2])
        middle = builder.add(arguments[2], builder.sub(count, builder.srem(count, index(UNROLLED))))
        with cgutils.for_range_slice(builder, arguments[2], middle, index(UNROLLED), index) as (k, _):
            for chain in range(UNROLLED):
                add(builder.add(k, index(chain)), chain)
        with cgutils.for_range_slice(builder, middle, arguments[3], index(1), index) as (k, _):
            add(k, 0)
        for v in range(VECTORS):
            total = builder.load(held[0][v])
            for chain in range(1, UNROLLED):
                total = builder.fadd(total, builder.load(held[chain][v]))
            builder.store(total, at(sums, index(VECTOR * v)), align=4)
        return context.get_dummy_value()

    return signature, generate


add_row: Any = intrinsic(_add_row)


@compiled
def product(starts, places, values, tiles, bias, out):
    """Write W x + b, (rows, samples) with samples a multiple of LANES, into `out`.

    starts, places, values are W (`strips_of`); `tiles` is x as `tiled_rows` or `tiled_columns` lay it out.
    """
    strips, rows = starts.shape[0], starts.shape[1] - 1
    samples = out.shape[1]
    columns = tiles.shape[0] // max(samples, 1)
    flat = out.reshape(-1)
    for tile in range(samples // LANES):
        for strip in range(strips):
            first = (tile * columns + strip * STRIP) * LANES
            for row in range(rows):
                place = row * samples + tile * LANES
                if strip == 0:
                    for lane in range(LANES):
                        flat[place + lane] = bias[row]
                begin, end = np.int64(starts[strip, row]), np.int64(starts[strip, row + 1])
                add_row(values, places, begin, end, tiles, first, flat, place)


def _turn_square(_: Any, x: Any, first: Any, stride: Any, tiles: Any, place: Any) -> Any:
    """tiles[place + LANES c + i] = x[first + stride i + c] for i, c < VECTOR: a square, turned in registers."""
    signature = types.void(x, first, stride, tiles, place)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def at(i: int, offset: Any) -> Any:
            data = memory_of(context, builder, signature, arguments, i)
            return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        index, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), VECTOR)
        order = ir.VectorType(ir.IntType(32), VECTOR)
        starts = [builder.add(arguments[1], builder.mul(arguments[2], index(i))) for i in range(VECTOR)]
        lines = [builder.load(at(0, start), align=4) for start in starts]
        apart = VECTOR // 2
        while apart:
            # Of each two lines this far apart, the off-diagonal blocks of this size change places.
            for i in (i for i in range(VECTOR) if not i & apart):
                upper, lower = lines[i], lines[i | apart]
                first = [c if not c & apart else VECTOR + (c ^ apart) for c in range(VECTOR)]
                second = [c ^ apart if not c & apart else VECTOR + c for c in range(VECTOR)]
                lines[i] = builder.shuffle_vector(upper, lower, ir.Constant(order, first))
                lines[i | apart] = builder.shuffle_vector(upper, lower, ir.Constant(order, second))
            apart //= 2
        for c, line in enumerate(lines):
            builder.store(line, at(3, builder.add(arguments[4], index(LANES * c))), align=4)
        return context.get_dummy_value()

    return signature, generate


turn_square: Any = intrinsic(_turn_square)


@compiled
def tiled_rows(x, tiles):
    """Lay out x (samples, columns) as tiles of LANES samples, column after column, zeros behind the last sample."""
    samples, columns = x.shape
    flat = x.reshape(-1)
    for lanes in range(-(-samples // LANES) * VECTORS):
        sample, even = lanes * VECTOR, columns - columns % VECTOR
        base = sample // LANES * columns * LANES + sample % LANES
        if sample + VECTOR <= samples:
            for c in range(0, even, VECTOR):
                turn_square(flat, sample * columns + c, columns, tiles, base + c * LANES)
        else:
            even = 0
        for c in range(even, columns):
            for i in range(VECTOR):
                tiles[base + c * LANES + i] = x[sample + i, c] if sample + i < samples else np.float32(0.0)


@compiled
def tiled_columns(x, tiles):
    """Lay out x given as (columns, samples), as `tiled_rows` does."""
    columns, samples = x.shape
    for tile in range(-(-samples // LANES)):
        there = min(LANES, samples - tile * LANES)
        base = tile * columns * LANES
        for c in range(columns):
            for lane in range(there):
                tiles[base + c * LANES + lane] = x[c, tile * LANES + lane]
            for lane in range(there, LANES):
                tiles[base + c * LANES + lane] = 0.0
