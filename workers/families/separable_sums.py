"""Weighted sums of rows of numbers, compiled by Numba: in vectors, and in an order that no cut changes.

All passes of a separable filter are one thing: a row of results is a weighted sum of rows that lie somewhere in memory.
For a pass along z or y these are rows of other planes or lines; for one along x, the padded row itself at offsets 0, 1,
2, ... A row that is loaded serves up to four sums in registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

from gridstride.workers.vectors import (
    Vector,
    add,
    convert,
    div,
    every,
    fma,
    get,
    get_as,
    high,
    lanes,
    low,
    mul,
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


def tap(weight: Any, value: Any, total: Any) -> Any:
    """total + weight * value; float32 rounds once, others twice, as scipy does."""


@overload(tap, inline="always")
def _tap(weight, value, total):
    if isinstance(weight, Vector) and weight.dtype == types.float32:
        return lambda weight, value, total: fma(weight, value, total)
    return lambda weight, value, total: add(total, mul(weight, value))


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
                    a, b, c, d = tap(w, s, a), tap(w, t, b), tap(w, u, c), tap(w, v, d)
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
                    a = tap(every(out, weights[k]), s, a)
                put(out, to + i, divided(a, by) if divisor != 1 else a)
                i += n


@njit(**INNER)
def four(flat, jobs, count, g, places, step, size, out, pitch):
    """The same as `line` for rows g .. g + 3 of every job, of four taps or more that are added in order. In pieces of
    two vectors, of which the last may overlap."""
    n, weights, taps, divisor = lanes(out), step.weights, len(step.weights), step.divisor
    by, none = every(out, divisor), every(out, -out.dtype.type(0))  # adding to -0.0 changes nothing
    for job in range(count):
        base, p, to = jobs[job, 0], jobs[job, 1] + g, jobs[job, 2] + g * pitch
        for start in range(0, size, 2 * n):
            i = max(min(start, size - 2 * n), 0)
            at = base + i
            w2, w1, w0 = every(out, weights[2]), every(out, weights[1]), every(out, weights[0])
            j = at + places[p]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            a, aa = mul(w0, v), mul(w0, vv)
            j = at + places[p + 1]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            a, aa, b, bb = tap(w1, v, a), tap(w1, vv, aa), mul(w0, v), mul(w0, vv)
            j = at + places[p + 2]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            a, aa, b, bb = tap(w2, v, a), tap(w2, vv, aa), tap(w1, v, b), tap(w1, vv, bb)
            c, cc = mul(w0, v), mul(w0, vv)
            d = dd = none
            for k in range(3, taps):
                w3 = every(out, weights[k])
                j = at + places[p + k]
                v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
                a, aa, b, bb = tap(w3, v, a), tap(w3, vv, aa), tap(w2, v, b), tap(w2, vv, bb)
                c, cc, d, dd = tap(w1, v, c), tap(w1, vv, cc), tap(w0, v, d), tap(w0, vv, dd)
                w0, w1, w2 = w1, w2, w3
            j = at + places[p + taps]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            b, bb, c, cc = tap(w2, v, b), tap(w2, vv, bb), tap(w1, v, c), tap(w1, vv, cc)
            d, dd = tap(w0, v, d), tap(w0, vv, dd)
            j = at + places[p + taps + 1]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            c, cc, d, dd = tap(w2, v, c), tap(w2, vv, cc), tap(w1, v, d), tap(w1, vv, dd)
            j = at + places[p + taps + 2]
            v, vv = get_as(flat, j, out), get_as(flat, j + n, out)
            d, dd = tap(w2, v, d), tap(w2, vv, dd)
            if divisor != 1:
                a, aa, b, bb = divided(a, by), divided(aa, by), divided(b, by), divided(bb, by)
                c, cc, d, dd = divided(c, by), divided(cc, by), divided(d, by), divided(dd, by)
            i += to
            put(out, i, a)
            put(out, i + n, aa)
            put(out, i + pitch, b)
            put(out, i + pitch + n, bb)
            put(out, i + 2 * pitch, c)
            put(out, i + 2 * pitch + n, cc)
            put(out, i + 3 * pitch, d)
            put(out, i + 3 * pitch + n, dd)


def fours(flat: Any, jobs: Any, count: Any, rows: Any, places: Any, step: Any, size: Any, out: Any, pitch: Any) -> Any:
    """Those rows of all jobs that can be made four at a time; how many of each."""


@overload(fours)
def _fours(flat, jobs, count, rows, places, step, size, out, pitch):
    if out.dtype != types.float32:
        return lambda flat, jobs, count, rows, places, step, size, out, pitch: 0

    def made(flat, jobs, count, rows, places, step, size, out, pitch):
        if len(step.weights) < 4:
            return 0
        for g in range(0, rows - 3, 4):
            four(flat, jobs, count, g, places, step, size, out, pitch)
        return rows // 4 * 4

    return made


@njit(**INNER)
def weigh(flat, jobs, count, rows, places, step, size, out, pitch):
    """Rows 0 .. rows - 1 of every job, as `line` says."""
    made = fours(flat, jobs, count, rows, places, step, size, out, pitch)
    if made < rows:
        line(flat, jobs, count, (made, rows), places, step, size, out, pitch)


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
