"""Weighted sums of rows of numbers, compiled by Numba: in vectors, and in an order that no cut changes.

All passes of a separable filter are one thing: a row of results is a weighted sum of rows that lie somewhere in memory.
For a pass along z or y these are rows of other planes or lines; for one along x, the padded row itself at offsets 0, 1,
2, ... A row that is loaded serves up to eight sums in registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from gridstride.workers.families.separable_blocks import sums_along_row, sums_of_rows
from gridstride.workers.vectors import (
    Vector,
    add,
    convert,
    div,
    every,
    get,
    get_as,
    high,
    lanes,
    low,
    mul,
    multiply_add,
    put,
    rint,
    sub,
)  # fmt: skip

# Of functions that only compiled code calls: Python's way to call them would take longer to compile than they do.
INNER: dict[str, Any] = {
    "nogil": True, "cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True
}  # fmt: skip


class Step(NamedTuple):
    """A pass. Sums of float32 take the taps in order; others as scipy does, for its bits.

    places:  of z and y, where each index of the padded axis lies: in elements from the source's first, or as the number
             of a row, -1 outside; of x, how far each tap is from the first
    weights: of the sums' type, one for each tap; none if there is no pass
    lead, symmetry: the tap that is added first, and 1 or -1 if the others follow in pairs, even or odd about it
    outside: the value there; divisor: of the sums
    """

    places: np.ndarray
    weights: np.ndarray
    lead: int
    symmetry: int
    outside: float
    divisor: float


def divided(total: Any, divisor: Any) -> Any:
    """The quotient; whole numbers are left as they are."""


@overload(divided, inline="always")
def _divided(total, divisor):
    if isinstance(total, Vector) and isinstance(total.dtype, types.Float):
        return lambda total, divisor: div(total, divisor)
    return lambda total, divisor: total


@njit(**INNER)
def line(flat, jobs, count, skip, places, step, size, out, pitch):
    """For each of `count` jobs (base, p, to), its rows g from skip[0] to skip[1] - 1:

    out[to + g * pitch + i] = sum over k of weights[k] * flat[base + places[p + g + k] + i]

    for whole vectors; the last may overlap. In the order that the step says.
    """
    n, weights, taps = lanes(out), step.weights, len(step.weights)
    lead, symmetry, divisor = step.lead, step.symmetry, step.divisor
    start, stop = (1, taps) if lead == 0 else (0, taps - 1)
    if symmetry != 0:
        start, stop = 0, taps // 2
    by = every(out, divisor)
    for job in range(count):
        for g in range(skip[0], skip[1]):
            base, p, to = jobs[job, 0], jobs[job, 1] + g, jobs[job, 2] + g * pitch
            i = 0
            while i + 4 * n <= size:
                at = base + i
                w, j = every(out, weights[lead]), at + places[p + lead]
                a, b = mul(w, get_as(flat, j, out)), mul(w, get_as(flat, j + n, out))
                c, d = mul(w, get_as(flat, j + 2 * n, out)), mul(w, get_as(flat, j + 3 * n, out))
                for k in range(start, stop):
                    w, j = every(out, weights[k]), at + places[p + k]
                    s, t = get_as(flat, j, out), get_as(flat, j + n, out)
                    u, v = get_as(flat, j + 2 * n, out), get_as(flat, j + 3 * n, out)
                    if symmetry != 0:
                        j = at + places[p + taps - 1 - k]
                        ss, tt = get_as(flat, j, out), get_as(flat, j + n, out)
                        uu, vv = get_as(flat, j + 2 * n, out), get_as(flat, j + 3 * n, out)
                        if symmetry > 0:
                            s, t, u, v = add(s, ss), add(t, tt), add(u, uu), add(v, vv)
                        else:
                            s, t, u, v = sub(s, ss), sub(t, tt), sub(u, uu), sub(v, vv)
                    a, b, c, d = (
                        multiply_add(w, s, a),
                        multiply_add(w, t, b),
                        multiply_add(w, u, c),
                        multiply_add(w, v, d),
                    )
                if divisor != 1:
                    a, b, c, d = divided(a, by), divided(b, by), divided(c, by), divided(d, by)
                put(out, to + i, a)
                put(out, to + i + n, b)
                put(out, to + i + 2 * n, c)
                put(out, to + i + 3 * n, d)
                i += 4 * n
            while i < size:
                i = max(min(i, size - n), 0)
                at = base + i
                a = mul(every(out, weights[lead]), get_as(flat, at + places[p + lead], out))
                for k in range(start, stop):
                    s = get_as(flat, at + places[p + k], out)
                    if symmetry != 0:
                        ss = get_as(flat, at + places[p + taps - 1 - k], out)
                        s = add(s, ss) if symmetry > 0 else sub(s, ss)
                    a = multiply_add(every(out, weights[k]), s, a)
                put(out, to + i, divided(a, by) if divisor != 1 else a)
                i += n


four, eight, along, one = sums_of_rows(4, 2), sums_of_rows(8, 2), sums_along_row(8), sums_along_row(1)


@njit(**INNER)
def rows_in_registers(flat, jobs, count, g, high, places, step, size, out, pitch):
    """The same as `line` for rows g .. g + high - 1 of every job, of at least as many taps, which are added in order.
    high: 4 or 8. In pieces of two vectors, of which the last may overlap."""
    n = lanes(out)
    for job in range(count):
        base, p, to = jobs[job, 0], jobs[job, 1] + g, jobs[job, 2] + g * pitch
        for start in range(0, size, 2 * n):
            i = max(min(start, size - 2 * n), 0)
            if high == 8:
                eight(flat, base + i, places, p, step.weights, step.divisor, out, to + i, pitch)
            else:
                four(flat, base + i, places, p, step.weights, step.divisor, out, to + i, pitch)


def in_blocks(
    flat: Any, jobs: Any, count: Any, rows: Any, places: Any, step: Any, size: Any, out: Any, pitch: Any
) -> Any:
    """Those rows of all jobs that can be made several at a time; how many of each."""


@overload(in_blocks)
def _in_blocks(flat, jobs, count, rows, places, step, size, out, pitch):
    if out.dtype != types.float32:
        return lambda flat, jobs, count, rows, places, step, size, out, pitch: 0

    def make(flat, jobs, count, rows, places, step, size, out, pitch):
        made = 0
        while len(step.weights) >= 4 and made + 4 <= rows:
            high = 8 if len(step.weights) >= 8 and made + 8 <= rows else 4
            rows_in_registers(flat, jobs, count, made, high, places, step, size, out, pitch)
            made += high
        return made

    return make


@njit(**INNER)
def weigh(flat, jobs, count, rows, places, step, size, out, pitch):
    """Rows 0 .. rows - 1 of every job, as `line` says."""
    made = in_blocks(flat, jobs, count, rows, places, step, size, out, pitch)
    if made < rows:
        line(flat, jobs, count, (made, rows), places, step, size, out, pitch)


@njit(**INNER)
def across_float32(flat, jobs, count, step, size, out):
    n, apart = lanes(out), step.places[min(1, len(step.places) - 1)]
    for job in range(count):
        base, to, i = jobs[job, 0], jobs[job, 2], 0
        while i + 8 * n <= size:
            along(flat, base + i, apart, step.weights, step.divisor, out, to + i)
            i += 8 * n
        while i < size:
            i = max(min(i, size - n), 0)
            one(flat, base + i, apart, step.weights, step.divisor, out, to + i)
            i += n


def across(flat: Any, jobs: Any, count: Any, step: Any, size: Any, out: Any) -> None:
    """The pass along x of each job's padded row, as `line` says."""


@overload(across)
def _across(flat, jobs, count, step, size, out):
    if out.dtype == types.float32:
        return lambda flat, jobs, count, step, size, out: across_float32(flat, jobs, count, step, size, out)
    return lambda flat, jobs, count, step, size, out: line(flat, jobs, count, (0, 1), step.places, step, size, out, 0)


class Out(NamedTuple):
    """The result, flat, as the one of these that `kind` names: the sums' dtype (0), the other type of float (8), or
    signed integers of 1, 2 or 4 bytes, which have the bits of unsigned ones.

    whole: any array of integers that hold all that may be stored; least, most: the limits of integers
    """

    kind: int
    same: np.ndarray
    other: np.ndarray
    int8: np.ndarray
    int16: np.ndarray
    int32: np.ndarray
    whole: np.ndarray
    least: float
    most: float


def rounded(value: Any, least: Any, most: Any, out: Any) -> Any:
    """For a result of integers: sums rounded half to even and kept within its limits; NaN becomes 0."""


@overload(rounded, inline="always")
def _rounded(value, least, most, out):
    if isinstance(out.dtype, types.Float) or not isinstance(value.dtype, types.Float):
        return lambda value, least, most, out: value

    def change(value, least, most, out):
        value, zero = rint(value), sub(least, least)
        return add(low(high(zero, value), most), high(least, low(value, zero)))

    return change


def held(value: Any, out: Any, whole: Any) -> Any:
    """A value, or a vector of them, as one that an array takes: by way of larger integers to integers."""


@overload(held, inline="always")
def _held(value, out, whole):
    if isinstance(out.dtype, types.Float):
        return lambda value, out, whole: value
    if isinstance(value, Vector):
        return lambda value, out, whole: convert(value, whole)
    return lambda value, out, whole: np.int64(value)


@njit(**INNER)
def store(room, jobs, count, size, result, out):
    n, whole = lanes(room), result.whole
    least, most = every(room, room.dtype.type(result.least)), every(room, room.dtype.type(result.most))
    for job in range(count):
        at, to = jobs[job, 0], jobs[job, 2]
        if size >= n:
            for start in range(0, size, n):
                i = min(start, size - n)
                put(out, to + i, held(rounded(get(room, at + i), least, most, out), out, whole))
        else:
            put(room, at, rounded(get(room, at), least, most, out))
            for i in range(size):
                out[to + i] = held(room[at + i], out, whole)


def store_rows(room: Any, jobs: Any, count: Any, size: Any, out: Any) -> None:
    """Store `size` sums of each of `count` jobs (at, _, to)."""


@overload(store_rows)
def _store_rows(room, jobs, count, size, out):
    if not isinstance(room.dtype, types.Float):
        return lambda room, jobs, count, size, out: store(room, jobs, count, size, out, out.same)
    wide = room.dtype == types.float64

    def choose(room, jobs, count, size, out):
        if out.kind == 0:
            store(room, jobs, count, size, out, out.same)
        elif out.kind == 8:
            store(room, jobs, count, size, out, out.other)
        elif out.kind == 1:
            store(room, jobs, count, size, out, out.int8)
        elif out.kind == 2:
            store(room, jobs, count, size, out, out.int16)
        elif wide:
            store(room, jobs, count, size, out, out.int32)

    return choose
