"""Projection of whole lines of elements that lie side by side, along the last axis. lines: (results, n)

Sums of floating-point numbers are in order: those of four lines at a time, because each addition waits for the one
before it. What does not depend on the order is left to the compiler, which makes vectors of it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.families.pool_cpu import further


@njit(nogil=True, cache=True)
def extreme_of_whole(lines, largest, best):
    for i in range(len(best)):
        line, found = lines[i], best[i]
        if largest:
            for x in range(len(line)):
                found = max(found, line[x])
        else:
            for x in range(len(line)):
                found = min(found, line[x])
        best[i] = found


@njit(nogil=True, cache=True)
def extreme_of_numbers(lines, largest, best):
    """NaN if there is one; of zeros the first."""
    last = len(best) - 1
    for i in range(0, len(best), 4):
        p, q, r, s = lines[i], lines[min(i + 1, last)], lines[min(i + 2, last)], lines[min(i + 3, last)]
        a, b, c, d = p[0], q[0], r[0], s[0]
        for x in range(len(p)):
            a, b = further(a, p[x], largest), further(b, q[x], largest)
            c, d = further(c, r[x], largest), further(d, s[x], largest)
        put(best, i, (a, b, c, d))


@njit(inline="always")
def put(out, first, values):
    for k in range(min(4, len(out) - first)):
        out[first + k] = values[k]


@njit(nogil=True, cache=True)
def add_numbers(lines, total):
    last = len(total) - 1
    for i in range(0, len(total), 4):
        p, q, r, s = lines[i], lines[min(i + 1, last)], lines[min(i + 2, last)], lines[min(i + 3, last)]
        a, b, c, d = -0.0, -0.0, -0.0, -0.0
        for x in range(len(p)):
            a += np.float64(p[x])
            b += np.float64(q[x])
            c += np.float64(r[x])
            d += np.float64(s[x])
        put(total, i, (a, b, c, d))


@njit(nogil=True, cache=True)
def add_whole(lines, high, low):
    """high * 2^32 + low = the sum of a line. Elements of 64 bits are summed in two parts."""
    for i in range(len(low)):
        line, upper, lower = lines[i], np.int64(0), np.int64(0)
        if lines.itemsize < 8:
            for x in range(len(line)):
                lower += np.int64(line[x])
        else:
            for x in range(len(line)):
                upper += np.int64(line[x] >> 32)
                lower += np.int64(line[x] & 0xFFFFFFFF)
        high[i], low[i] = upper, lower


@njit(nogil=True, cache=True)
def add_squares(lines, mean, rest, squares):
    """The squares of distances from mean + rest."""
    last = len(squares) - 1
    for i in range(0, len(squares), 4):
        k1, k2, k3 = min(i + 1, last), min(i + 2, last), min(i + 3, last)
        p, q, r, s = lines[i], lines[k1], lines[k2], lines[k3]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for x in range(len(p)):
            a += apart(p[x], mean[i], rest[i]) ** 2
            b += apart(q[x], mean[k1], rest[k1]) ** 2
            c += apart(r[x], mean[k2], rest[k2]) ** 2
            d += apart(s[x], mean[k3], rest[k3]) ** 2
        put(squares, i, (a, b, c, d))


@njit(inline="always")
def apart(v, mean, rest):
    """The distance of an element from mean + rest, whose whole part is one of 64 bits where the element is."""
    if isinstance(mean, float):
        return (np.float64(v) - mean) - rest
    far = np.float64(np.uint64(v) - np.uint64(mean)) if v >= mean else -np.float64(np.uint64(mean) - np.uint64(v))
    return far - rest
