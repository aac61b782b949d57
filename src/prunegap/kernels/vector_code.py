"""What kernels in LLVM's vector types are generated from: LLVM's own functions, values in all lanes, gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils


def called(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """Return what LLVM's function `name` makes of the arguments, of type `result`."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def spread_over(builder: Any, value: Any, vector: Any) -> Any:
    """Return a vector, of the type `vector`, that holds the value in every lane."""
    index = ir.IntType(32)
    unknown, order = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(index, vector.count), None)
    return builder.shuffle_vector(builder.insert_element(unknown, value, index(0)), unknown, order)


def memory_of(context: Any, builder: Any, signature: Any, arguments: Any, i: int) -> Any:
    """Return where the memory of array argument i begins."""
    return context.make_array(signature.args[i])(context, builder, arguments[i]).data


def gathered(builder: Any, start: Any, offsets: Any, vector: Any) -> Any:
    """Return the elements of a vector, each read at `start` plus its lane's offset in bytes (64-bit integers)."""
    lanes, element = vector.count, vector.element
    base = spread_over(builder, builder.ptrtoint(start, ir.IntType(64)), offsets.type)
    places = builder.inttoptr(builder.add(base, offsets), ir.VectorType(element.as_pointer(), lanes))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(1), lanes), [1] * lanes)
    name = f"llvm.masked.gather.v{lanes}{element.intrinsic_name}.v{lanes}p0"
    return called(builder, name, vector, [places, ir.IntType(32)(1), everywhere, ir.Constant(vector, ir.Undefined)])


def store_chosen(builder: Any, vector: Any, chosen: Any, end: Any) -> None:
    """Store the chosen lanes of a vector from `end` on, one behind the other, and anything in the rest of a vector.

    They are gathered in a register, since AMD's Zen 4 takes some hundred cycles to do so in memory. LLVM can say that
    from its version 19 on.
    """
    suffix = f"v{vector.type.count}{vector.type.element.intrinsic_name}"
    if binding.llvm_version_info < (19,):
        called(builder, f"llvm.masked.compressstore.{suffix}", ir.VoidType(), [vector, end, chosen])
        return
    anything = ir.Constant(vector.type, ir.Undefined)
    name = f"llvm.experimental.vector.compress.{suffix}"
    together = called(builder, name, vector.type, [vector, chosen, anything])
    builder.store(together, builder.bitcast(end, vector.type.as_pointer()), align=4)
