"""Weights by likeness, as vectors: exponentials in a few instructions, and sums that leave out what is too far.

The steps are those of cuda/patches.cu, in the same order: the CPU's bits are the GPU's. Vectors are of float32 or
float64.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, log
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gridstride.workers.families.exponential import ONE, ONE_SINGLE
from gridstride.workers.vectors import Vector, call, suffix

# 2^f for |f| <= 1/2, the highest power first: of float32 within a unit of the last place (Cephes' exp2f), of float64
# as far as Taylor's series counts.
SINGLE = (1.339887440266574e-3, 9.618437357674640e-3, 5.550332471162809e-2, 2.402264791363012e-1, 6.931472028550421e-1,
          1.0)  # fmt: skip
DOUBLE = tuple(log(2) ** k / factorial(k) for k in range(13, -1, -1))


def _constant(kind: Any, number: float) -> Any:
    return ir.Constant(kind, [number] * kind.count)


def _whole(kind: Vector) -> Any:
    return ir.VectorType(ir.IntType(kind.dtype.bitwidth), kind.count)


def _half_to(builder: Any, kind: Vector, x: Any) -> Any:
    whole, of = _whole(kind), x.type
    single = kind.dtype == types.float32
    nearest = call(builder, f"llvm.rint.{suffix(kind)}", of, x)
    rest = builder.fsub(nearest, x)
    first, *others = SINGLE if single else DOUBLE
    power = _constant(of, first)
    for term in others:
        power = call(builder, f"llvm.fma.{suffix(kind)}", of, power, rest, _constant(of, term))
    exponent = builder.shl(builder.fptosi(nearest, whole), _constant(whole, 23 if single else 52))
    return builder.bitcast(builder.sub(builder.bitcast(power, whole), exponent), of)


def _falling(builder: Any, kind: Vector, x: Any, most: Any) -> Any:
    whole = _whole(kind)
    single = kind.dtype == types.float32
    bits = builder.sub(_constant(whole, ONE_SINGLE if single else ONE), builder.fptosi(x, whole))
    bits = builder.shl(bits, _constant(whole, 3 if single else 32))
    near = builder.fcmp_ordered("<=", x, most)
    return builder.bitcast(builder.select(near, bits, _constant(whole, 0)), x.type)


def _add_within(builder: Any, kind: Vector, x: Any, most: Any, weight: Any, value: Any, total: Any) -> Any:
    more = call(builder, f"llvm.fma.{suffix(kind)}", total.type, weight, value, total)
    return builder.select(builder.fcmp_ordered("<=", x, most), more, total)


def _count_within(builder: Any, kind: Vector, x: Any, most: Any, weight: Any, total: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<=", x, most), builder.fadd(total, weight), total)


def _add_weighted(builder: Any, kind: Vector, weight: Any, value: Any, total: Any) -> Any:
    more = call(builder, f"llvm.fma.{suffix(kind)}", total.type, weight, value, total)
    return builder.select(builder.fcmp_ordered(">", weight, _constant(weight.type, 0.0)), more, total)


def _of(make: Callable[..., Any], *kinds: Vector) -> Any:
    """The signature and the code of an operation on vectors of one type."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return make(builder, kinds[0], *arguments)

    return kinds[0](*kinds), code


@intrinsic
def half_to(typing: Any, x: Vector) -> Any:
    """2^-x, 0 <= x <= LARGEST; of other numbers anything."""
    return _of(_half_to, x)


@intrinsic
def falling(typing: Any, x: Vector, most: Vector) -> Any:
    """exp(-x / STEPS) by Schraudolph's line, as scikit-image has it; 0 where x is more than `most`, or NaN."""
    return _of(_falling, x, most)


@intrinsic
def add_within(typing: Any, x: Vector, most: Vector, weight: Vector, value: Vector, total: Vector) -> Any:
    """total + weight * value, rounded once, where x <= most; else total."""
    return _of(_add_within, x, most, weight, value, total)


@intrinsic
def count_within(typing: Any, x: Vector, most: Vector, weight: Vector, total: Vector) -> Any:
    """total + weight where x <= most, else total."""
    return _of(_count_within, x, most, weight, total)


@intrinsic
def add_weighted(typing: Any, weight: Vector, value: Vector, total: Vector) -> Any:
    """total + weight * value, rounded once, where there is a weight; else total, whatever the value is."""
    return _of(_add_weighted, weight, value, total)
