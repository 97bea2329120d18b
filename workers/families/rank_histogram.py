"""Ranks of large boxes of bytes, by histograms that slide: the time of an element does not depend on the box's width.

Each column x has the histogram of its sheet of the box (along z and y), which moves down by a row at a time. The
window's own moves along x by adding one sheet and leaving out another:

    sheets    | x | . | . | . | x+c |        window(x + 1) = window(x) + sheet(x + c) - sheet(x)

There are 16 coarse bins, which are kept, and 16 fine ones in each, which are only brought up to date where the rank
falls into it. S. Perreault, P. Hebert, "Median filtering in constant time", 2007, whose column is the sheet here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.vectors import add, every, get, put, sub

MOST_ELEMENTS = 2**16 - 1  # of a box: counts are of 16 bits
TILE = 512  # columns whose histograms are in use at a time, so that they stay in the second-level cache
WIDE = 32  # counts in a vector: a segment's 16, and as many that are not looked at


@njit(nogil=True, cache=True)
def move_sheets(keys, apart, z, y, a, b, x0, n, coarse, fine):
    """Count row y of the planes from z on in the sheets of n columns, and no longer row y - b."""
    one = np.uint16(1)
    for k in range(z, z + a):
        first = k * apart[0] + y * apart[1] + x0
        row = keys[first : first + n]
        if y < b:
            for x in range(n):
                value = row[x]
                coarse[x, value >> 4] += one
                fine[x, value] += one
            continue
        first -= b * apart[1]
        left = keys[first : first + n]
        for x in range(n):
            value, other = row[x], left[x]
            if value != other:
                coarse[x, value >> 4] += one
                coarse[x, other >> 4] -= one
                fine[x, value] += one
                fine[x, other] -= one


@njit(nogil=True, cache=True)
def find_in_row(coarse, fine, c, rank, kept, segments, seen, line, n):
    """The elements of a rank of the windows of c sheets, for n windows in a row."""
    kept[:] = 0
    window = every(kept, np.uint16(0))
    for x in range(c - 1):
        window = add(window, get(coarse, x * WIDE))
    seen[:] = -2 * c
    for x in range(n):
        window = add(window, get(coarse, (x + c - 1) * WIDE))
        put(kept, 0, window)
        bin_, below = 0, 0
        while below + kept[bin_] <= rank:
            below += kept[bin_]
            bin_ += 1
        if x - seen[bin_] > c // 2:  # summing anew is less work
            segment = every(kept, np.uint16(0))
            for i in range(x, x + c):
                segment = add(segment, get(fine, i * 256 + bin_ * 16))
        else:
            segment = get(segments, bin_ * WIDE)
            for i in range(seen[bin_] + 1, x + 1):
                segment = add(segment, get(fine, (i + c - 1) * 256 + bin_ * 16))
                segment = sub(segment, get(fine, (i - 1) * 256 + bin_ * 16))
        put(segments, bin_ * WIDE, segment)
        seen[bin_] = x
        value = 0
        while below + segments[bin_, value] <= rank:
            below += segments[bin_, value]
            value += 1
        line[x] = bin_ * 16 + value
        window = sub(window, get(coarse, x * WIDE))


@njit(nogil=True, cache=True)
def slide(keys, apart, a, b, c, rank, turn, out, shape, steps):
    """The elements of a rank of boxes of a along z, b along y and c along x.

    keys: uint8, planes of rows with the whole boundary; apart: elements from one plane and row to the next
    turn: 128 if results are signed, or else 0
    out, shape, steps: the result, and all between; (z, y, x); elements from one to the next along these
    """
    nz, ny, nx = shape
    columns = min(TILE, nx) + c - 1
    coarse, fine = np.empty((columns, WIDE), np.uint16), np.empty((columns + 1, 256), np.uint16)
    kept, segments, seen = np.empty(WIDE, np.uint16), np.empty((16, WIDE), np.uint16), np.empty(16, np.int64)
    line = np.empty(TILE, np.uint8)
    for z in range(nz):
        for x0 in range(0, nx, TILE):
            n = min(TILE, nx - x0)
            coarse[:] = 0
            fine[:] = 0
            for y in range(ny + b - 1):
                move_sheets(keys, apart, z, y, a, b, x0, n + c - 1, coarse, fine)
                if y < b - 1:
                    continue
                find_in_row(coarse, fine, c, rank, kept, segments, seen, line, n)
                target = z * steps[0] + (y - b + 1) * steps[1] + x0 * steps[2]
                for x in range(n):
                    out[target + x * steps[2]] = line[x] ^ turn
