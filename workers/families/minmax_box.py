"""The minimum of keys over boxes: the work does not grow with the size along z and y, and with its logarithm along x.

Along x: doubling (the minimum of w from two overlapping windows of 2^k), in a row that stays in the first-level cache.
Along y and z: M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal
kernels", 1992, and J. Gil, M. Werman, "Computing 2-D min, median, and max filters", 1993, with whole rows for elements:

    rows        | block of w | block of w |        a window is the end of one block and the beginning of the next:
    window              [----------]              suffix minima of the one, running minimum of the other

Rows come one by one through all three: nothing between them is larger than a tile's rings of w rows.
"""

from __future__ import annotations

from numba import njit

from gridstride.workers.families.minmax_keys import load, store, to_keys, turned
from gridstride.workers.vectors import elements, every, get, lanes, low, prefetch, put

DIRECT = 4  # windows of so many rows are made from them directly


@njit(nogil=True, cache=True)
def padded_row(data, base, table, first, last, x0, m, floats, flip, cval, row, spare):
    """row[:m] = the keys of data[base + table[x0 : x0 + m]], cval where the table is negative.

    table[first:last] is a run of consecutive indices.
    """
    a = min(max(first - x0, 0), m)
    b = min(max(last - x0, a), m)
    turn = flip ^ flip if floats else flip
    for x in range(a):
        t = table[x0 + x]
        row[x] = (data[base + t] if t >= 0 else cval) ^ turn
    if floats:
        to_keys(row, 0, a, floats, flip)  # of whole vectors: what follows is not there yet
    for x in range(b, m):
        t = table[x0 + x]
        row[x] = (data[base + t] if t >= 0 else cval) ^ turn
    if floats:
        to_keys(row, b, m - b, floats, flip)
    if b > a:
        load(data, base + table[x0 + a], b - a, floats, flip, row, a, spare)


@njit(nogil=True, cache=True)
def ahead(row, at, n):
    """Ask for the next row before this one is worked on: processors look ahead within a page only, often a row."""
    for x in range(0, n, lanes(row)):
        prefetch(row, at + x)


@njit(nogil=True, cache=True)
def doubled(row, m, w, step):
    """Minima over `have` elements, `step` apart, in place of row[:m]; returns have: at least half of w, or w."""
    have, n = 1, lanes(row)
    while 2 * have <= w:
        d = have * step
        if 4 * have <= w:  # two doublings at once: fewer loads and stores
            for x in range(0, m, n):
                a, b = low(get(row, x), get(row, x + d)), low(get(row, x + 2 * d), get(row, x + 3 * d))
                put(row, x, low(a, b))
            have *= 4
        else:
            for x in range(0, m, n):
                put(row, x, low(get(row, x), get(row, x + d)))
            have *= 2
    return have


@njit(nogil=True, cache=True)
def slide(row, d, n, w, k, ring, first, pitch, to, at, flip):
    """to[at : at + n] = the minima of the last w rows, turned round with `flip`.

    row, d: the newest row, of number k modulo w, is the minimum of row and row[d:]
    ring: w rows from `first`, `pitch` elements apart, and after them a running minimum
    """
    step, turn = lanes(row), every(row, flip)
    if w == 1:
        for x in range(0, n, step):
            put(to, at + x, turned(low(get(row, x), get(row, x + d)), turn))
        return
    here = first + k * pitch
    if w <= DIRECT:
        a = here + pitch if k + 1 < w else here + (1 - w) * pitch
        b = a + pitch if a < first + (w - 1) * pitch else first
        c = b + pitch if b < first + (w - 1) * pitch else first
        for x in range(0, n, step):
            v = low(get(row, x), get(row, x + d))
            put(ring, here + x, v)
            v = low(v, get(ring, a + x))
            if w > 2:
                v = low(v, get(ring, b + x))
            if w > 3:
                v = low(v, get(ring, c + x))
            put(to, at + x, turned(v, turn))
        return
    running = first + w * pitch
    if k == 0:
        suffix = first + pitch
        for x in range(0, n, step):
            v = low(get(row, x), get(row, x + d))
            put(ring, here + x, v)
            put(ring, running + x, v)
            put(to, at + x, turned(low(v, get(ring, suffix + x)), turn))
    elif k < w - 1:
        suffix = here + pitch
        for x in range(0, n, step):
            new = low(get(row, x), get(row, x + d))
            v = low(new, get(ring, running + x))
            put(ring, here + x, new)
            put(ring, running + x, v)
            put(to, at + x, turned(low(v, get(ring, suffix + x)), turn))
    else:
        for x in range(0, n, step):
            v = low(get(row, x), get(row, x + d))
            put(ring, here + x, v)
            put(to, at + x, turned(low(v, get(ring, running + x)), turn))
            for j in range(w - 2, 0, -1):
                v = low(v, get(ring, first + j * pitch + x))
                put(ring, first + j * pitch + x, v)


@njit(nogil=True, cache=True)
def box(data, strides, taps, tables, run, keys, tile, work, out):
    """out (z, y, x) = the minima of keys over boxes of data; both seen as unsigned integers one after another.

    strides: elements between planes and between rows of the data, and of the result
    taps:    (z, y, x, step): elements of the box, those along x `step` apart
    tables:  of z, y and x: where each padded element is in the data, -1 is the constant; run: consecutive ones along x
    keys:    (whether numbers are floats, what their bits are turned round with, the bits of the constant)
    tile:    (rows, columns, pitch): of the result that is made at a time, and elements between its rows in `work`
    work:    a padded row, a ring of rows, one of planes, a row after y and one after z, and a vector
    """
    wz, wy, wx, step = taps
    tz, ty, tx = tables
    floats, flip, cval = keys
    rows, columns, pitch = tile
    none = flip ^ flip
    ny, nx = len(ty) - wy + 1, len(tx) - (wx - 1) * step
    source, result, table = elements(data), elements(out), elements(tx)
    row, ring, planes, after_y, after_z, spare = work
    line, ring_y, ring_z, made_y, made_z, part = (
        elements(row), elements(ring), elements(planes), elements(after_y), elements(after_z), elements(spare),
    )  # fmt: skip
    for y0 in range(0, ny, rows):
        for x0 in range(0, nx, columns):
            n = min(columns, nx - x0)
            m = n + (wx - 1) * step
            direct = not floats and n % lanes(line) == 0  # results need no row of their own
            for p in range(len(tz)):
                kz, ky = p % wz, -1
                for r in range(min(rows, ny - y0) + wy - 1):
                    ky = ky + 1 if ky + 1 < wy else 0
                    q, s, d = tz[p], ty[y0 + r], 0
                    if q < 0 or s < 0:
                        for x in range(n):
                            line[x] = cval
                        to_keys(line, 0, n, floats, flip)
                    else:
                        base = q * strides[0] + s * strides[1]
                        padded_row(source, base, table, run[0], run[1], x0, m, floats, flip, cval, line, part)
                        d = (wx - doubled(line, m, wx, step)) * step
                    y, z = r - wy + 1, p - wz + 1
                    to = z * strides[2] + (y0 + y) * strides[3] + x0
                    if q >= 0 and y0 + r + 1 < len(ty) and ty[y0 + r + 1] >= 0:
                        ahead(source, q * strides[0] + ty[y0 + r + 1] * strides[1] + x0, n)
                    if y >= -1 and z >= 0:
                        ahead(result, to + strides[3], n)
                    if wz == 1 and direct and y >= 0:
                        slide(line, d, n, wy, ky, ring_y, 0, pitch, result, to, flip)
                        continue
                    slide(line, d, n, wy, ky, ring_y, 0, pitch, made_y, 0, none)
                    if y < 0:
                        continue
                    first = y * (wz + 1) * pitch
                    if wz == 1:
                        store(made_y, 0, n, floats, flip, result, to, part)
                    elif direct and z >= 0:
                        slide(made_y, 0, n, wz, kz, ring_z, first, pitch, result, to, flip)
                    else:
                        slide(made_y, 0, n, wz, kz, ring_z, first, pitch, made_z, 0, none)
                        if z >= 0:
                            store(made_z, 0, n, floats, flip, result, to, part)
