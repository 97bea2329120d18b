"""Vectors of 64 bytes in Numba's compiled code: what a processor does to many elements at once, said explicitly.

    @njit(nogil=True, cache=True)
    def smallest(a, b, out):                      # three contiguous arrays of one dtype
        for i in range(0, len(out), lanes(out)):  # their lengths: whole numbers of vectors
            put(out, i, low(get(a, i), get(b, i)))

Numba's own loops become vector code only where LLVM can prove that rows do not overlap, and widen small integers to 64
bits. Here the operations, their order and so the bits are fixed. A processor with narrower vectors takes each in two or
four steps: the same code, the same bits.

Arrays are contiguous, of integers or of float32 and float64 (view bool as uint8); an index counts elements from the
array's first, in C order, and may have any alignment. Nothing checks bounds. Files that use these functions are cached
by Numba like any others; what they call here is inlined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

BYTES = 64


class Vector(types.Type):
    """The type of a vector: as many elements as fit in 64 bytes, unless it was made from one of another dtype."""

    def __init__(self, dtype: types.Number, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(f"Vector({dtype}, {count})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.count))


def vector_of(array: types.Array) -> Vector:
    return Vector(array.dtype, BYTES * 8 // array.dtype.bitwidth)


def _is_float(kind: types.Number) -> bool:
    return isinstance(kind, types.Float)


def pointer(context: Any, builder: Any, kind: types.Array, array: Any, index: Any, vector: Any) -> Any:
    data = array if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def splat(builder: Any, element: Any, vector: Any) -> Any:
    word = ir.IntType(32)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), element, word(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(word, vector.count), [0] * vector.count))


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


def suffix(kind: Vector) -> str:
    return f"v{kind.count}{'f' if _is_float(kind.dtype) else 'i'}{kind.dtype.bitwidth}"


def converted(builder: Any, value: Any, have: types.Number, want: types.Number, to: Any) -> Any:
    """A vector of `have` as one of `want`: numbers that `want` has not give anything."""
    if _is_float(have) and _is_float(want):
        same = have.bitwidth == want.bitwidth
        return value if same else (builder.fpext if want.bitwidth > have.bitwidth else builder.fptrunc)(value, to)
    if _is_float(have):
        return (builder.fptosi if want.signed else builder.fptoui)(value, to)
    if _is_float(want):
        return (builder.sitofp if have.signed else builder.uitofp)(value, to)
    if have.bitwidth == want.bitwidth:
        return value
    if have.bitwidth > want.bitwidth:
        return builder.trunc(value, to)
    return (builder.sext if have.signed else builder.zext)(value, to)


@intrinsic
def elements(typing: Any, array: types.Array) -> Any:
    """A pointer to an array's elements, which all functions here take in its place, and which can be indexed.

    Numba counts references to arrays, with a locked instruction or two for each array that is given to a function that
    is called in a loop: pointers cost nothing. The array must live as long: be an argument of the outermost function.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), code


@intrinsic
def lanes(typing: Any, array: types.Array) -> Any:
    """How many elements of the array's dtype make a vector."""
    count = vector_of(array).count

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.IntType(64)(count)

    return types.int64(array), code


@intrinsic
def get(typing: Any, array: types.Array, index: types.Integer) -> Any:
    """The vector that begins at an index."""
    kind = vector_of(array)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, array, arguments[0], arguments[1], context.get_value_type(kind))
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return kind(array, types.int64), code


@intrinsic
def get_as(typing: Any, array: types.Array, index: types.Integer, like: types.Array) -> Any:
    """The elements from an index on, as many as make a vector of the dtype of `like`, converted to it."""
    kind = vector_of(like)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = context.get_value_type(array.dtype)
        place = pointer(context, builder, array, arguments[0], arguments[1], ir.VectorType(element, kind.count))
        value = builder.load(place, align=array.dtype.bitwidth // 8)
        return converted(builder, value, array.dtype, kind.dtype, context.get_value_type(kind))

    return kind(array, types.int64, like), code


@intrinsic
def put(typing: Any, array: types.Array, index: types.Integer, vector: Vector) -> Any:
    """Store a vector at an index, converted to the array's dtype, which must have its numbers."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = ir.VectorType(context.get_value_type(array.dtype), vector.count)
        value = converted(builder, arguments[2], vector.dtype, array.dtype, to)
        place = pointer(context, builder, array, arguments[0], arguments[1], to)
        builder.store(value, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), code


def _saturated(builder: Any, value: Any, have: Vector, want: types.Integer, to: Any) -> Any:
    """A vector of floating-point numbers as integers: NaN is 0, and what is too large or too small the limit."""
    least = -(2 ** (want.bitwidth - 1)) if want.signed else 0
    beyond = least + 2**want.bitwidth
    of = value.type

    def number(number: float) -> Any:
        return ir.Constant(of, [float(number)] * have.count)

    value = _library("rint")(builder, have, value)
    value = builder.select(builder.fcmp_ordered("ord", value, value), value, number(0))
    if want.bitwidth - want.signed <= (24 if have.dtype == types.float32 else 53):  # it has the limits
        value = builder.select(builder.fcmp_ordered(">", value, number(least)), value, number(least))
        value = builder.select(builder.fcmp_ordered("<", value, number(beyond - 1)), value, number(beyond - 1))
        return converted(builder, value, have.dtype, want, to)
    small, large = (ir.Constant(to, [limit] * have.count) for limit in (least, beyond - 1))
    found = converted(builder, value, have.dtype, want, to)
    found = builder.select(builder.fcmp_ordered("<=", value, number(least)), small, found)
    return builder.select(builder.fcmp_ordered(">=", value, number(beyond)), large, found)


@intrinsic
def put_rounded(typing: Any, array: types.Array, index: types.Integer, vector: Vector) -> Any:
    """Store a vector at an index as any dtype: as integers rounded half to even and saturated, with 0 for NaN."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = ir.VectorType(context.get_value_type(array.dtype), vector.count)
        if _is_float(vector.dtype) and not _is_float(array.dtype):
            value = _saturated(builder, arguments[2], vector, array.dtype, to)
        else:
            value = converted(builder, arguments[2], vector.dtype, array.dtype, to)
        place = pointer(context, builder, array, arguments[0], arguments[1], to)
        builder.store(value, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), code


@intrinsic
def every(typing: Any, array: types.Array, element: types.Number) -> Any:
    """A vector of the array's dtype, each of whose elements is `element`."""
    kind = vector_of(array)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return splat(builder, arguments[1], context.get_value_type(kind))

    return kind(array, array.dtype), code


@intrinsic
def convert(typing: Any, vector: Vector, like: types.Array) -> Any:
    """A vector's elements as those of the dtype of `like`, as many as there are."""
    kind = Vector(like.dtype, vector.count)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return converted(builder, arguments[0], vector.dtype, like.dtype, context.get_value_type(kind))

    return kind(vector, like), code


def _operation(count: int, make: Callable[..., Any], text: str) -> Any:
    """An operation on `count` vectors of one type."""

    def define(typing: Any, *kinds: Vector) -> Any:
        if any(kind != kinds[0] for kind in kinds) or not isinstance(kinds[0], Vector):
            return None

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return make(builder, kinds[0], *arguments)

        return kinds[0](*kinds), code

    def one(typing: Any, a: Vector) -> Any:
        return define(typing, a)

    def two(typing: Any, a: Vector, b: Vector) -> Any:
        return define(typing, a, b)

    def three(typing: Any, a: Vector, b: Vector, c: Vector) -> Any:
        return define(typing, a, b, c)

    function = (one, two, three)[count - 1]
    function.__doc__ = text
    return intrinsic(function)


def _less(builder: Any, kind: Vector, a: Any, b: Any) -> Any:
    if _is_float(kind.dtype):
        return builder.fcmp_ordered("<", a, b)
    return (builder.icmp_signed if kind.dtype.signed else builder.icmp_unsigned)("<", a, b)


def _low(builder: Any, kind: Vector, a: Any, b: Any) -> Any:
    return builder.select(_less(builder, kind, a, b), a, b)


def _high(builder: Any, kind: Vector, a: Any, b: Any) -> Any:
    return builder.select(_less(builder, kind, a, b), b, a)


def _if_less(builder: Any, kind: Vector, a: Any, b: Any, c: Any) -> Any:
    return builder.select(_less(builder, kind, a, b), c, ir.Constant(c.type, None))


def _arithmetic(name: str) -> Callable[..., Any]:
    def make(builder: Any, kind: Vector, a: Any, b: Any) -> Any:
        return getattr(builder, f"f{name}" if _is_float(kind.dtype) else name)(a, b)

    return make


def _library(name: str) -> Callable[..., Any]:
    def make(builder: Any, kind: Vector, *values: Any) -> Any:
        return call(builder, f"llvm.{name}.{suffix(kind)}", values[0].type, *values)

    return make


def _power_of_two(builder: Any, kind: Vector, n: Any) -> Any:
    mantissa, bits = (23, 32) if kind.dtype == types.float32 else (52, 64)
    whole = ir.VectorType(ir.IntType(bits), kind.count)

    def number(value: int) -> Any:
        return ir.Constant(whole, [value] * kind.count)

    exponent = builder.add(builder.fptosi(n, whole), number(2 ** (bits - mantissa - 2) - 1))
    return builder.bitcast(builder.shl(exponent, number(mantissa)), n.type)


def _multiply_add(builder: Any, kind: Vector, a: Any, b: Any, c: Any) -> Any:
    if kind.dtype == types.float32:
        return _library("fma")(builder, kind, a, b, c)
    return _arithmetic("add")(builder, kind, _arithmetic("mul")(builder, kind, a, b), c)


def _add_saturated(builder: Any, kind: Vector, a: Any, b: Any) -> Any:
    return builder.fadd(a, b) if _is_float(kind.dtype) else _library("uadd.sat")(builder, kind, a, b)


low = _operation(2, _low, "a where a < b, else b: with `high`, of a pair each value is kept, even beside a NaN.")
high = _operation(2, _high, "b where a < b, else a.")
if_less = _operation(3, _if_less, "c where a < b, else 0; nothing is less than NaN.")
add = _operation(2, _arithmetic("add"), "a + b; integers wrap around.")
add_saturated = _operation(2, _add_saturated, "a + b; unsigned integers are the largest where that is too large.")
sub = _operation(2, _arithmetic("sub"), "a - b; integers wrap around.")
mul = _operation(2, _arithmetic("mul"), "a * b; integers wrap around.")
div = _operation(2, _arithmetic("div"), "a / b, of floating-point numbers.")
fma = _operation(3, _library("fma"), "a * b + c, rounded once, of floating-point numbers.")
multiply_add = _operation(3, _multiply_add, "a * b + c: of float32 rounded once, of others after each step.")
sqrt = _operation(1, _library("sqrt"), "The square root, of floating-point numbers.")
rint = _operation(1, _library("rint"), "The nearest whole number, half to even, of floating-point numbers.")
power_of_two = _operation(
    1, _power_of_two, "2^n, of whole n in floating-point numbers; of the least, -127 or -1023, it is 0."
)
absolute = _operation(1, _library("fabs"), "The absolute value of floating-point numbers.")


@intrinsic
def filled(typing: Any, array: types.Array, index: types.Integer) -> Any:
    """Of a vector of bytes, which are not 0: a bit for each, the lowest for the first."""
    if array.dtype.bitwidth != 8:
        return None

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of = ir.VectorType(ir.IntType(8), BYTES)
        place = pointer(context, builder, array, arguments[0], arguments[1], of)
        found = builder.icmp_unsigned("!=", builder.load(place, align=1), ir.Constant(of, [0] * BYTES))
        return builder.bitcast(found, ir.IntType(BYTES))

    return types.uint64(array, types.int64), code


@intrinsic
def lowest(typing: Any, bits: types.Integer) -> Any:
    """The number of the lowest bit that is set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "llvm.cttz.i64", ir.IntType(64), arguments[0], ir.IntType(1)(0))

    return types.int64(types.uint64), code


@intrinsic
def ones(typing: Any, bits: types.Integer) -> Any:
    """How many bits are set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "llvm.ctpop.i64", ir.IntType(64), arguments[0])

    return types.int64(types.uint64), code


@intrinsic
def prefetch(typing: Any, array: types.Array, index: types.Integer) -> Any:
    """Ask for the line of cache that holds an element."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        place = pointer(context, builder, array, arguments[0], arguments[1], ir.IntType(8))
        call(builder, "llvm.prefetch.p0i8", ir.VoidType(), place, word(0), word(3), word(1))
        return context.get_dummy_value()

    return types.void(array, types.int64), code
