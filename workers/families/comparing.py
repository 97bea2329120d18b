"""Vectors compared with others: which lanes are as large, and a choice between two by it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gridstride.workers.vectors import Vector


def _compared(builder: Any, kind: Vector, how: str, a: Any, b: Any) -> Any:
    if isinstance(kind.dtype, types.Float):
        return builder.fcmp_ordered(how, a, b)
    return (builder.icmp_signed if kind.dtype.signed else builder.icmp_unsigned)(how, a, b)


@intrinsic
def reaching(typing: Any, a: Vector, b: Vector) -> Any:
    """Where a >= b: a bit for each lane, the lowest for the first."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.bitcast(_compared(builder, a, ">=", *arguments), ir.IntType(a.count))
        return builder.zext(found, ir.IntType(64)) if a.count < 64 else found

    return types.uint64(a, b), code


@intrinsic
def if_less(typing: Any, a: Vector, b: Vector, x: Vector, y: Vector) -> Any:
    """x where a < b, else y; both have as many lanes as a and b."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(_compared(builder, a, "<", *arguments[:2]), *arguments[2:])

    return x(a, b, x, y), code
