"""Keys of values, unsigned integers in their order, and the value of a rank found by bisection of the keys' range."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic

from gridstride.workers.vectors import add, every, get, high, lanes, low, put, sub

UNSIGNED, SIGNED, FLOAT = range(3)


def key_of(value: float | int, unsigned: np.dtype, kind: int) -> np.generic:
    """The key of one value."""
    key = np.array([value], f"{'uif'[kind]}{unsigned.itemsize}").view(unsigned)
    if kind != UNSIGNED:
        to_keys(key, kind)
    return key[0]


@njit(nogil=True, cache=True)
def to_keys(keys, kind):
    """Bits of signed integers (or floating-point numbers) as unsigned integers of their order, in place."""
    cast = keys.dtype.type
    one = cast(1)
    top = cast(one << cast(8 * keys.itemsize - 1))
    largest = cast(~cast(0))
    # Bits above those of infinity are NaN's. Exponents have 5, 8 or 11 bits.
    mantissa = cast(10 if keys.itemsize == 2 else (23 if keys.itemsize == 4 else 52))
    infinity = cast(cast(cast(top - one) >> mantissa) << mantissa)
    for i in range(len(keys)):
        k = keys[i]
        if kind == SIGNED:
            keys[i] = k ^ top
        elif cast(k & cast(top - one)) > infinity:
            keys[i] = largest
        else:
            keys[i] = cast(~k) if k & top else cast(k | top)


@njit(nogil=True, cache=True)
def from_keys(keys, kind, out):
    """A row of keys as the bits of values."""
    cast = keys.dtype.type
    top = cast(cast(1) << cast(8 * keys.itemsize - 1))
    if kind == UNSIGNED:
        for x in range(len(out)):
            out[x] = keys[x]
    elif kind == SIGNED:
        for x in range(len(out)):
            out[x] = keys[x] ^ top
    else:
        for x in range(len(out)):
            out[x] = keys[x] ^ top if keys[x] & top else cast(~keys[x])


def _on_vectors(count, result, make):
    """An intrinsic of so many vectors of one type; result: the type of what it gives, from theirs."""

    def define(context, *kinds):
        def code(context, builder, signature, arguments):
            return make(builder, arguments)

        return result(kinds[0])(*kinds), code

    def three(context, a, b, c):
        return define(context, a, b, c)

    def four(context, a, b, c, d):
        return define(context, a, b, c, d)

    def one(context, a):
        return define(context, a)

    def two(context, a, b):
        return define(context, a, b)

    return intrinsic((one, two, three, four)[count - 1])


def _ones(vector):
    return ir.Constant(vector.type, [1] * vector.type.count)


def _largest(builder, arguments):
    vector = arguments[0].type
    kind = ir.FunctionType(vector.element, [vector])
    name = f"llvm.vector.reduce.umax.v{vector.count}i{vector.element.width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _counted(builder, arguments):
    count, value, middle = arguments
    return builder.sub(count, builder.sext(builder.icmp_unsigned("<=", value, middle), count.type))


def _halfway(builder, arguments):
    least, most = arguments
    return builder.add(least, builder.lshr(builder.sub(most, least), _ones(least)))


def _least(builder, arguments):
    least, middle, count, wanted = arguments
    return builder.select(builder.icmp_unsigned(">=", count, wanted), least, builder.add(middle, _ones(middle)))


def _most(builder, arguments):
    most, middle, count, wanted = arguments
    return builder.select(builder.icmp_unsigned(">=", count, wanted), middle, most)


largest = _on_vectors(1, lambda kind: kind.dtype, _largest)
counted = _on_vectors(3, lambda kind: kind, _counted)  # count + (value <= middle)
halfway = _on_vectors(2, lambda kind: kind, _halfway)
# The bounds after `count` elements were found not above the middle: enough of them, and the answer is not above either.
new_least = _on_vectors(4, lambda kind: kind, _least)
new_most = _on_vectors(4, lambda kind: kind, _most)


@njit(nogil=True, cache=True)
def bisect(keys, valid, bases, offsets, ranks, missing, kind, out):
    """out[r, x] = the value of a rank among those at bases[r] + offsets + x.

    keys: with a vector's room after the last, and wide enough to count the offsets; valid: 1 for each key that counts,
    0 for the others, which are the largest key, or empty if all do; ranks: by how many count; missing: the key where
    none does
    """
    cast, taps, step, width = keys.dtype.type, len(offsets), lanes(keys), out.shape[1]
    line = np.empty((width + step - 1) // step * step, out.dtype)
    counts, wanted = np.zeros(step, keys.dtype), np.empty(step, keys.dtype)
    wanted[:] = cast(ranks[taps] + 1)
    none = every(keys, cast(0))
    for r in range(len(bases)):
        for x in range(0, width, step):
            at = bases[r] + x
            least = most = get(keys, at + offsets[0])
            for k in range(1, taps):
                value = get(keys, at + offsets[k])
                least, most = low(least, value), high(most, value)
            if len(valid) > 0:
                count = none
                for k in range(taps):
                    count = add(count, get(valid, at + offsets[k]))
                put(counts, 0, count)
                for i in range(step):
                    wanted[i] = cast(ranks[counts[i]] + 1)
            enough = get(wanted, 0)
            while largest(sub(most, least)) > 0:
                middle, count, other = halfway(least, most), none, none
                for k in range(0, taps - 1, 2):
                    count = counted(count, get(keys, at + offsets[k]), middle)
                    other = counted(other, get(keys, at + offsets[k + 1]), middle)
                if taps % 2:
                    count = counted(count, get(keys, at + offsets[taps - 1]), middle)
                count = add(count, other)
                least, most = new_least(least, middle, count, enough), new_most(most, middle, count, enough)
            put(line, x, least)
            if len(valid) > 0:
                for i in range(step):
                    if counts[i] == 0:
                        line[x + i] = missing
        from_keys(line, kind, out[r])
