"""Projection on the CPU. An array is seen as (outer, n, inner) elements, n along the axis.

Where many elements lie side by side (inner), rows of them are joined; where few do, pieces of lines are first put so
that rows are long; of one, `project_lines` goes along the lines. All sums of floating-point numbers are in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.families import project_lines
from gridstride.workers.families.pool_cpu import further, whole_mean
from gridstride.workers.families.project_lines import apart
from gridstride.workers.families.rows import in_order
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.project import Project

ROW = 4096  # elements of a row worked on at a time: their sums stay in the first-level cache
SHORT = 256  # rows of fewer are put together


def project(op: Project, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and op.out_dtype."""
    if out.size == 0:
        return
    data = window.part(op.needed(window.want, window.grid)).data
    data = in_order(data.view(np.uint8) if data.dtype == np.bool_ else data)
    outer, n, inner = prod(data.shape[: op.axis]), data.shape[op.axis], prod(data.shape[op.axis + 1 :])
    lines = data.reshape(outer, n, inner)
    if op.method in ("max", "min"):
        best = lines[:, 0].astype(np.float32) if data.dtype == np.float16 else lines[:, 0].copy()
        join_extremes(lines, op.method == "max", best.reshape(-1))
        out[...] = best.reshape(out.shape)
    elif data.dtype.kind == "f":
        out[...] = of_numbers(lines, op.method).reshape(out.shape)
    else:
        out[...] = of_whole(lines, op.method, out.dtype).reshape(out.shape)


def alone(lines: np.ndarray) -> np.ndarray | None:
    """The lines, where the elements of each lie side by side."""
    return lines[:, :, 0] if lines.shape[2] == 1 and lines.dtype != np.float16 else None


def join_extremes(lines: np.ndarray, largest: bool, best: np.ndarray) -> None:
    if (single := alone(lines)) is None:
        for part, place in panels(lines):
            extreme(*part, largest, best[place])
    elif lines.dtype.kind == "f":
        project_lines.extreme_of_numbers(single, largest, best)
    else:
        project_lines.extreme_of_whole(single, largest, best)


def of_numbers(lines: np.ndarray, method: str) -> np.ndarray:
    """Sums, means or deviations, float64 (outer * inner)."""
    outer, n, inner = lines.shape
    total = np.full(outer * inner, -0.0)
    if (single := alone(lines)) is not None:
        project_lines.add_numbers(single, total)
    else:
        for part, place in panels(lines):
            add_numbers(*part, total[place])
    if method == "sum":
        return total
    total /= n
    return total if method == "mean" else deviations(lines, total, np.zeros_like(total))


def of_whole(lines: np.ndarray, method: str, dtype: np.dtype) -> np.ndarray:
    """The same of integers, from exact sums: high * 2^32 + low. dtype: of the result"""
    outer, n, inner = lines.shape
    high, low = np.zeros((2, outer * inner), np.int64)
    if (single := alone(lines)) is not None:
        project_lines.add_whole(single, high, low)
    else:
        for part, place in panels(lines):
            add_whole(*part, high[place], low[place])
    result = np.empty(outer * inner, dtype)
    if method == "sum":
        saturate(high, low, lines.dtype == np.uint64, result)
    elif method == "mean" and dtype.kind != "f":
        round_means(high, low, n, result)
    elif method == "mean":
        divide(high, low, n, lines.dtype == np.uint64, result)
    else:
        mean = np.empty(outer * inner, lines.dtype if lines.itemsize == 8 else np.float64)
        result = deviations(lines, mean, split_means(high, low, n, mean, np.empty(outer * inner)))
    return result


def deviations(lines: np.ndarray, mean: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Square roots of the means of squares of distances from mean + rest."""
    squares = np.zeros(mean.size)
    if (single := alone(lines)) is not None:
        project_lines.add_squares(single, mean, rest, squares)
    else:
        for part, place in panels(lines):
            add_squares(*part, mean[place], rest[place], squares[place])
    squares /= lines.shape[1]
    return np.sqrt(squares, out=squares)


Part = tuple[np.ndarray, int, int, int]


def panels(lines: np.ndarray) -> Iterator[tuple[Part, slice]]:
    """Rows to be joined: (flat array, where the first begins, elements from one to the next, how many), and where their
    results are. Where rows would be short, those of several lines are put together, some of each line at a time."""
    outer, n, inner = lines.shape
    if inner >= SHORT and lines.dtype != np.float16:
        flat = lines.reshape(-1)
        for o in range(outer):
            for x in range(0, inner, ROW):
                yield (flat, o * n * inner + x, inner, n), slice(o * inner + x, o * inner + min(x + ROW, inner))
        return
    kind = np.float32 if lines.dtype == np.float16 else lines.dtype
    group, width = max(1, SHORT // inner), min(inner, ROW)
    for o in range(0, outer, group):
        for x in range(0, inner, width):
            for k in range(0, n, SHORT):
                piece = lines[o : o + group, k : k + SHORT, x : x + width]
                size = piece.shape[0] * piece.shape[2]
                rows = piece.transpose(1, 0, 2).astype(kind, order="C").reshape(-1)
                yield (rows, 0, size, piece.shape[1]), slice(o * inner + x, o * inner + x + size)


@njit(inline="always")
def four(flat, first, stride, size):
    """Four rows, of which an element each is joined in registers."""
    second, third, last = first + stride, first + 2 * stride, first + 3 * stride
    return (
        flat[first : first + size],
        flat[second : second + size],
        flat[third : third + size],
        flat[last : last + size],
    )


@njit(nogil=True, cache=True)
def extreme(flat, base, stride, n, largest, best):
    """best[x] = the largest element of each line, or the smallest; NaN if it has one. It holds one of them already."""
    size, k = len(best), 0
    while k + 4 <= n:
        p, q, r, s = four(flat, base + k * stride, stride, size)
        for x in range(size):
            v = further(further(best[x], p[x], largest), q[x], largest)
            best[x] = further(further(v, r[x], largest), s[x], largest)
        k += 4
    while k < n:
        p = flat[base + k * stride : base + k * stride + size]
        for x in range(size):
            best[x] = further(best[x], p[x], largest)
        k += 1


@njit(nogil=True, cache=True)
def add_numbers(flat, base, stride, n, total):
    """total[x] += the elements of each line, in order."""
    size, k = len(total), 0
    while k + 4 <= n:
        p, q, r, s = four(flat, base + k * stride, stride, size)
        for x in range(size):
            t = (total[x] + np.float64(p[x])) + np.float64(q[x])
            total[x] = (t + np.float64(r[x])) + np.float64(s[x])
        k += 4
    while k < n:
        p = flat[base + k * stride : base + k * stride + size]
        for x in range(size):
            total[x] += np.float64(p[x])
        k += 1


@njit(nogil=True, cache=True)
def add_whole(flat, base, stride, n, high, low):
    """high[x] * 2^32 + low[x] += the elements of each line. Those of 64 bits are summed in two parts."""
    size, k = len(low), 0
    while k + 4 <= n and flat.itemsize < 8:
        p, q, r, s = four(flat, base + k * stride, stride, size)
        for x in range(size):
            low[x] += (np.int64(p[x]) + np.int64(q[x])) + (np.int64(r[x]) + np.int64(s[x]))
        k += 4
    while k < n:
        p = flat[base + k * stride : base + k * stride + size]
        for x in range(size):
            if flat.itemsize < 8:
                low[x] += np.int64(p[x])
            else:
                high[x] += np.int64(p[x] >> 32)
                low[x] += np.int64(p[x] & 0xFFFFFFFF)
        k += 1


@njit(nogil=True, cache=True)
def add_squares(flat, base, stride, n, mean, rest, squares):
    """squares[x] += the squares of distances of each line's elements from mean[x] + rest[x], in order."""
    size = len(squares)
    for k in range(n):
        p = flat[base + k * stride : base + k * stride + size]
        for x in range(size):
            d = apart(p[x], mean[x], rest[x])
            squares[x] += d * d


@njit(nogil=True, cache=True)
def saturate(high, low, unsigned, out):
    """out (int64, or uint64) = high * 2^32 + low."""
    cast = out.dtype.type
    for x in range(len(out)):
        upper, lower = high[x] + (low[x] >> 32), low[x] & 0xFFFFFFFF
        if unsigned:
            out[x] = cast((upper << 32) + lower) if upper < 2**32 else cast(-1)
        elif upper >= 2**31:
            out[x] = cast(2**63 - 1)
        elif upper < -(2**31):
            out[x] = cast(-(2**63))
        else:
            out[x] = cast((upper << 32) + lower)


@njit(nogil=True, cache=True, error_model="numpy")
def round_means(high, low, n, out):
    """out (int64, or uint64) = (high * 2^32 + low) / n, half to even."""
    for x in range(len(out)):
        out[x] = out.dtype.type(whole_mean(high[x], low[x], n))


@njit(inline="always")
def floor_mean(high, low, n):
    """The whole part of (high * 2^32 + low) / n, and what is left of n. Divisions are towards -infinity."""
    quotient, rest = high // n, high % n
    low += rest << 32
    return (quotient << 32) + low // n, low % n


@njit(nogil=True, cache=True, error_model="numpy")
def split_means(high, low, n, mean, rest):
    """mean + rest (float64) = (high * 2^32 + low) / n, the first of them whole."""
    for x in range(len(rest)):
        whole, left = floor_mean(high[x], low[x], n)
        mean[x] = mean.dtype.type(whole)
        rest[x] = left / np.float64(n)
    return rest


@njit(nogil=True, cache=True, error_model="numpy")
def divide(high, low, n, unsigned, out):
    """out (float64) = (high * 2^32 + low) / n, rounded once."""
    for x in range(len(out)):
        if high[x] == 0 and -(2**53) <= low[x] <= 2**53:
            out[x] = low[x] / np.float64(n)
            continue
        whole, rest = floor_mean(high[x], low[x], n)
        if unsigned and whole < 0:  # of 64 bits, of which float64 has 53: the last says that there is more
            out[x] = np.float64(np.uint64(whole | (rest != 0)))
            continue
        scale = 1.0
        while rest != 0 and -(2**55) < whole < 2**55:  # eight more bits of the quotient
            whole, rest, scale = (whole << 8) + (rest << 8) // n, (rest << 8) % n, scale / 256
        out[x] = np.float64(whole | (rest != 0)) * scale
