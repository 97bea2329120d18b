"""Keys: unsigned integers in the order of the values, or in the reverse one, so that one minimum serves all dtypes.

    uint  as it is        int  the sign bit turned round        float  the bits, turned round if negative; NaN is 0

`flip` is what bits are turned round with (exclusive or). All bits turned round, the smallest key is the largest value.
NaN has the smallest key either way, so a minimum and a maximum with a NaN among their values are NaN. A row of an array
is read as keys, `load`, and written as values, `store`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

from gridstride.workers.vectors import Vector, every, get, lanes, put

# The bits of infinity by the number's own; none has 8.
INFINITY = {8: 0x78, 16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}


def flip_of(dtype: np.dtype, largest: bool) -> int:
    """What the bits of a dtype's values (of floats: of their order) are turned round with."""
    bits = 8 * dtype.itemsize
    sign = 1 << (bits - 1) if dtype.kind == "i" else 0
    return sign ^ ((1 << bits) - 1 if largest else 0)


def _constant(kind: Vector, value: int) -> Any:
    vector = ir.VectorType(ir.IntType(kind.dtype.bitwidth), kind.count)
    return ir.Constant(vector, [value] * kind.count)


@intrinsic
def turned(typing: Any, bits: Vector, flip: Vector) -> Any:
    """Bits, turned round where `flip` has ones."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.xor(arguments[0], arguments[1])

    return bits(bits, flip), code


@intrinsic
def float_keys(typing: Any, bits: Vector, flip: Vector) -> Any:
    """The keys of floating-point numbers, given as unsigned integers."""
    width = bits.dtype.bitwidth
    top, infinity = 1 << (width - 1), INFINITY[width]

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, flips = arguments
        size = builder.and_(value, _constant(bits, top - 1))
        nan = builder.icmp_unsigned(">", size, _constant(bits, infinity))
        negative = builder.ashr(value, _constant(bits, width - 1))
        key = builder.xor(builder.xor(value, builder.or_(negative, _constant(bits, top))), flips)
        return builder.select(nan, _constant(bits, 0), key)

    return bits(bits, flip), code


@intrinsic
def from_float_keys(typing: Any, keys: Vector, flip: Vector) -> Any:
    """The numbers of keys, as unsigned integers."""
    width = keys.dtype.bitwidth

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key = builder.xor(*arguments)
        negative = builder.ashr(builder.not_(key), _constant(keys, width - 1))
        return builder.xor(key, builder.or_(negative, _constant(keys, 1 << (width - 1))))

    return keys(keys, flip), code


@njit(nogil=True, cache=True)
def to_keys(bits, at, n, floats, flip):
    """bits[at : at + n], and what follows up to a whole vector, as keys in place."""
    turn = every(bits, flip)
    if floats:
        for x in range(at, at + n, lanes(bits)):
            put(bits, x, float_keys(get(bits, x), turn))
    else:
        for x in range(at, at + n, lanes(bits)):
            put(bits, x, turned(get(bits, x), turn))


@njit(nogil=True, cache=True)
def load(data, at, n, floats, flip, keys, to, spare):
    """keys[to : to + n] = the keys of data[at : at + n]; no other element is read or written. spare: one vector."""
    step = lanes(data)
    if n < step:
        for x in range(n):
            spare[x] = data[at + x]
        to_keys(spare, 0, n, floats, flip)
        for x in range(n):
            keys[to + x] = spare[x]
        return
    turn = every(data, flip)
    if floats:
        for x in range(0, n - step, step):
            put(keys, to + x, float_keys(get(data, at + x), turn))
        put(keys, to + n - step, float_keys(get(data, at + n - step), turn))
    else:
        for x in range(0, n - step, step):
            put(keys, to + x, turned(get(data, at + x), turn))
        put(keys, to + n - step, turned(get(data, at + n - step), turn))


@njit(nogil=True, cache=True)
def store(keys, at, n, floats, flip, out, to, spare):
    """out[to : to + n] = the values of keys[at : at + n], which a whole vector may follow. spare: one vector."""
    step, turn = lanes(keys), every(keys, flip)
    if n < step:
        if floats:
            put(spare, 0, from_float_keys(get(keys, at), turn))
        else:
            put(spare, 0, turned(get(keys, at), turn))
        for x in range(n):
            out[to + x] = spare[x]
    elif floats:
        for x in range(0, n - step, step):
            put(out, to + x, from_float_keys(get(keys, at + x), turn))
        put(out, to + n - step, from_float_keys(get(keys, at + n - step), turn))
    else:
        for x in range(0, n - step, step):
            put(out, to + x, turned(get(keys, at + x), turn))
        put(out, to + n - step, turned(get(keys, at + n - step), turn))
