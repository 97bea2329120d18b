"""Pooling on the CPU: a row of outputs at a time, box by box in C order of its elements."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.families.casting import store
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import six
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.pool import Pool

MEAN, MAX, MIN = range(3)


def pool(op: Pool, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and op.out_dtype."""
    if out.size == 0:
        return
    data = window.part(op.needed(window.want, window.grid)).data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    data = in_order(data.view(np.uint8) if data.dtype == np.bool_ else data).reshape(six(data.shape, 1))
    factors, shape = six(op.factors, 1), six(out.shape, 1)
    whole = data.dtype.kind != "f"
    if op.method != "mean" or (whole and op.out_dtype == data.dtype):  # which holds all means of its elements
        into = _plain(out, shape)
        if op.method == "mean":
            whole_means(data, factors, short_sums(data, factors), into)
        else:
            extreme(data, factors, op.method == "max", into)
        if not np.may_share_memory(into, out):
            out[...] = into.reshape(out.shape)
    elif whole and op.out_dtype.kind != "f":
        wide = np.empty(shape, np.uint64 if data.dtype == np.uint64 else np.int64)
        means = whole_means(data, factors, short_sums(data, factors), wide)
        _store_whole(means.reshape(out.shape), out)
    else:
        store(number_means(data, factors, np.empty(shape)).reshape(out.shape), out, "round")


def _plain(out: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The result as an array of six axes, of a type that loops write: itself, where that can be."""
    plain = {"float16": np.float32, "bool": np.uint8}.get(out.dtype.name, out.dtype)
    same = out.flags.c_contiguous and out.dtype != np.float16
    return out.view(plain).reshape(shape) if same else np.empty(shape, plain)


def _store_whole(means: np.ndarray, out: np.ndarray) -> None:
    """64-bit integers as others, saturated."""
    if out.dtype.kind == "b":
        np.greater(means, 0, out=out)
        return
    have, limits = np.iinfo(means.dtype), np.iinfo(out.dtype)
    out[...] = means.clip(max(have.min, limits.min), min(have.max, limits.max))


@njit(inline="always")
def span(index, factor, n):
    """The elements of a box on one axis of n."""
    return index * factor, min((index + 1) * factor, n)


@njit(inline="always")
def further(best, v, largest):
    """The larger of two, or the smaller; NaN if one is."""
    return v if (v > best if largest else v < best) or v != v else best


@njit(nogil=True, cache=True)
def extreme(data, factors, largest, out):
    """out = the largest element of each box, or the smallest; NaN if it has one."""
    width = factors[5]
    for a, b, c, z, y in np.ndindex(out.shape[:5]):
        row, first = out[a, b, c, z, y], True
        a0, a1 = span(a, factors[0], data.shape[0])
        b0, b1 = span(b, factors[1], data.shape[1])
        c0, c1 = span(c, factors[2], data.shape[2])
        z0, z1 = span(z, factors[3], data.shape[3])
        y0, y1 = span(y, factors[4], data.shape[4])
        for i in range(a0, a1):
            for j in range(b0, b1):
                for k in range(c0, c1):
                    for p in range(z0, z1):
                        for q in range(y0, y1):
                            line = data[i, j, k, p, q]
                            if first:
                                for x in range(len(row)):
                                    row[x] = line[x * width]
                                first = False
                            if width == 2:
                                for x in range(len(line) // 2):
                                    best = further(row[x], line[2 * x], largest)
                                    row[x] = further(best, line[2 * x + 1], largest)
                                if len(line) % 2:
                                    row[-1] = further(row[-1], line[-1], largest)
                            else:
                                for x in range(len(row)):
                                    best = row[x]
                                    for t in range(x * width, min((x + 1) * width, len(line))):
                                        best = further(best, line[t], largest)
                                    row[x] = best


@njit(nogil=True, cache=True, error_model="numpy")
def number_means(data, factors, out):
    """out (float64) = the mean of each box, of sums in float64 in C order."""
    width, nx = factors[5], out.shape[5]
    for a, b, c, z, y in np.ndindex(out.shape[:5]):
        row = out[a, b, c, z, y]
        row[:] = -0.0
        a0, a1 = span(a, factors[0], data.shape[0])
        b0, b1 = span(b, factors[1], data.shape[1])
        c0, c1 = span(c, factors[2], data.shape[2])
        z0, z1 = span(z, factors[3], data.shape[3])
        y0, y1 = span(y, factors[4], data.shape[4])
        for i in range(a0, a1):
            for j in range(b0, b1):
                for k in range(c0, c1):
                    for p in range(z0, z1):
                        for q in range(y0, y1):
                            add_numbers(data[i, j, k, p, q], width, row)
        lines = (a1 - a0) * (b1 - b0) * (c1 - c0) * (z1 - z0) * (y1 - y0)
        for x in range(nx):
            row[x] /= lines * (min((x + 1) * width, data.shape[5]) - x * width)
    return out


@njit(inline="always")
def add_numbers(line, width, row):
    """Add to each sum the elements of its part of a line, in order."""
    full = len(line) // width
    if width == 1:
        for x in range(full):
            row[x] += np.float64(line[x])
    elif width == 2:
        for x in range(full):
            row[x] = (row[x] + np.float64(line[2 * x])) + np.float64(line[2 * x + 1])
    else:
        for x in range(full):
            total = row[x]
            for t in range(width):
                total += np.float64(line[x * width + t])
            row[x] = total
    for i in range(full * width, len(line)):
        row[full] += np.float64(line[i])


def short_sums(data: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Room for sums of a line's elements in each line of a box: of 32 bits if they hold them, as twice as many are
    added at a time."""
    few = data.dtype.itemsize <= 2 and prod(factors) < 2**14
    return np.empty(data.shape[5], np.int32 if few else np.int64)


@njit(inline="always")
def shifted(sums, count, out):
    """out = the sum of each two divided by a power of 2, half to even."""
    kind = sums.dtype.type
    below, bits = kind(count - 1), kind(0)
    while count > 1 << bits:
        bits = kind(bits + 1)
    for x in range(len(out)):
        total = kind(sums[2 * x] + sums[2 * x + 1])
        mean, rest = kind(total >> bits), kind(kind(total & below) << 1)
        more = kind(kind(rest + kind(mean & kind(1))) > count)
        out[x] = out.dtype.type(kind(mean + more))


@njit(nogil=True, cache=True, error_model="numpy")
def whole_means(data, factors, low, out):
    """out (of integers that hold them) = the mean of each box of integers, rounded half to even.

    The high and the low 32 bits are summed apart, so that no sum of fewer than 2^31 elements is too large; lines first,
    whose elements lie side by side. low: room for a line of them (short_sums)
    """
    width, nx = factors[5], out.shape[5]
    high = np.empty(data.shape[5], np.int64)
    for a, b, c, z, y in np.ndindex(out.shape[:5]):
        row = out[a, b, c, z, y]
        high[:] = 0
        low[:] = 0
        a0, a1 = span(a, factors[0], data.shape[0])
        b0, b1 = span(b, factors[1], data.shape[1])
        c0, c1 = span(c, factors[2], data.shape[2])
        z0, z1 = span(z, factors[3], data.shape[3])
        y0, y1 = span(y, factors[4], data.shape[4])
        for i in range(a0, a1):
            for j in range(b0, b1):
                for k in range(c0, c1):
                    for p in range(z0, z1):
                        for q in range(y0, y1):
                            add_whole(data[i, j, k, p, q], high, low)
        lines = (a1 - a0) * (b1 - b0) * (c1 - c0) * (z1 - z0) * (y1 - y0)
        # Quotients of sums of few 32-bit integers are apart from halves by more than float64's rounding.
        quick = data.itemsize < 8 and lines * width < 2**20
        done = 0
        if quick and width == 2:
            done = data.shape[5] // 2
            if lines & (lines - 1) == 0:
                shifted(low, 2 * lines, row[:done])
            else:
                several = np.float64(2 * lines)
                for x in range(done):
                    row[x] = out.dtype.type(np.rint((low[2 * x] + low[2 * x + 1]) / several))
        for x in range(done, nx):
            x0, x1 = span(x, width, data.shape[5])
            upper, lower, count = np.int64(0), np.int64(0), lines * (x1 - x0)
            for i in range(x0, x1):
                upper += high[i]
                lower += low[i]
            if quick:
                row[x] = out.dtype.type(np.rint(lower / np.float64(count)))
            else:
                row[x] = whole_mean(upper, lower, count)
    return out


@njit(inline="always")
def add_whole(line, high, low):
    if line.itemsize < 8:
        for x in range(len(line)):
            low[x] += low.dtype.type(line[x])
    else:
        for x in range(len(line)):
            high[x] += np.int64(line[x] >> 32)
            low[x] += np.int64(line[x] & 0xFFFFFFFF)


@njit(inline="always")
def whole_mean(high, low, count):
    """(high * 2^32 + low) / count, half to even, for sums of `count` parts each. Divisions are towards -infinity."""
    quotient, rest = high // count, high % count
    low += rest << 32
    below, rest = low // count, low % count
    mean = (quotient << 32) + below
    if 2 * rest > count or (2 * rest == count and mean & 1):
        mean += 1
    return mean
