"""Windows on the CPU: a row of results at a time, tap by tap in C order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import six
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.windows import Windows


def windows(op: Windows, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window that has just what it needs."""
    data = in_order(window.data).reshape(six(window.data.shape, 1))
    into = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    result = into.reshape(six(out.shape, 1))
    steps = np.array([six([getattr(step, key) for step in op.steps], 1) for key in ("taps", "stride", "dilation")])
    tables = tuple(op.six_tables(window))
    if op.method == "max":
        largest(data, steps, tables, result)
    else:
        means(data, steps, tables, tuple(op.six_counts(window)), result)
    if into is not out:
        out[...] = into


@njit(inline="always")
def inside(table, stride, at, n):
    """The first and the last + 1 of n results whose tap, at `at` of the first one's window, exists."""
    first, end = 0, n
    while first < end and table[first * stride + at] < 0:
        first += 1
    while end > first and table[(end - 1) * stride + at] < 0:
        end -= 1
    return first, end


@njit(inline="always")
def tapped(tables, at, stride, tap, dilation):
    """Where a tap of a row's windows lies on all axes but the last; below 0 where it does not exist."""
    return (
        tables[0][at[0] * stride[0] + tap[0] * dilation[0]],
        tables[1][at[1] * stride[1] + tap[1] * dilation[1]],
        tables[2][at[2] * stride[2] + tap[2] * dilation[2]],
        tables[3][at[3] * stride[3] + tap[3] * dilation[3]],
        tables[4][at[4] * stride[4] + tap[4] * dilation[4]],
    )


@njit(inline="always")
def further(best, v):
    """The larger of two; NaN if one is."""
    return v if v > best or v != v else best


@njit(nogil=True, cache=True)
def largest(data, steps, tables, out):
    """out = the largest element of each window, of those that exist."""
    taps, stride, dilation = steps[0], steps[1], steps[2]
    step = stride[5]
    for a, b, c, z, y in np.ndindex(out.shape[:5]):
        row = out[a, b, c, z, y]
        row[:] = -np.inf
        for i, j, k, p, q in np.ndindex((taps[0], taps[1], taps[2], taps[3], taps[4])):
            place = tapped(tables, (a, b, c, z, y), stride, (i, j, k, p, q), dilation)
            if min(place) < 0:
                continue
            line = data[place]
            for t in range(taps[5]):
                at = t * dilation[5]
                first, end = inside(tables[5], step, at, len(row))
                if first == end:
                    continue
                part, source = row[first:end], line[tables[5][first * step + at] :]
                if step == 1:
                    for x in range(len(part)):
                        part[x] = further(part[x], source[x])
                elif step == 2:
                    for x in range(len(part)):
                        part[x] = further(part[x], source[2 * x])
                else:
                    for x in range(len(part)):
                        part[x] = further(part[x], source[step * x])


@njit(nogil=True, cache=True, error_model="numpy")
def means(data, steps, tables, counts, out):
    """out = the mean of each window, of sums in float64."""
    taps, stride, dilation = steps[0], steps[1], steps[2]
    step, sums = stride[5], np.empty(out.shape[5])
    for a, b, c, z, y in np.ndindex(out.shape[:5]):
        sums[:] = -0.0
        for i, j, k, p, q in np.ndindex((taps[0], taps[1], taps[2], taps[3], taps[4])):
            place = tapped(tables, (a, b, c, z, y), stride, (i, j, k, p, q), dilation)
            if min(place) < 0:
                continue
            line = data[place]
            for t in range(taps[5]):
                at = t * dilation[5]
                first, end = inside(tables[5], step, at, len(sums))
                if first == end:
                    continue
                part, source = sums[first:end], line[tables[5][first * step + at] :]
                if step == 1:
                    for x in range(len(part)):
                        part[x] += np.float64(source[x])
                elif step == 2:
                    for x in range(len(part)):
                        part[x] += np.float64(source[2 * x])
                else:
                    for x in range(len(part)):
                        part[x] += np.float64(source[step * x])
        row = out[a, b, c, z, y]
        several = counts[0][a] * counts[1][b] * counts[2][c] * counts[3][z] * counts[4][y]
        for x in range(len(row)):
            row[x] = sums[x] / (several * counts[5][x])
