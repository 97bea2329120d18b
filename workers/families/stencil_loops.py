"""The loops of stencils: rows put into a padded ring, and sums of several rows of it at a time, in registers.

The sums of a tile (ROWS rows of the result, some vectors wide) never leave the registers, and each vector that is
loaded is added to all the rows that it is part of:

    row r of the ring  ->  the sums of rows r - 2, r - 1 and r of the result, by the three weights of a column of taps

`Program` says so, load by load, in the order in which taps are added up: the same for every element, so that results
do not depend on how the array is cut. With many output channels the sums of a tile are those of ROWS channels instead.

    of a strip of rows, the ring holds    | plane z | z + 1 | z + 2 |    for 3 taps along z; the next takes z's place
    of a plane                            | rows y .. y + strip + taps - 1 |, each padded

It holds these of several volumes: of each channel, and for each tap of the axes before the last three.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import binding
from numba import njit

from gridstride.workers.families.stencil_ring import ROWS
from gridstride.workers.vectors import elements, every, get, get_as, lanes, multiply_add, prefetch, put, put_rounded

# Vectors beside each other in a tile: a processor with AVX-512 has 32 registers of 64 bytes, others at most half that.
WIDE = 4 if binding.get_host_cpu_features().get("avx512f") else 1


class Source(NamedTuple):
    """Where rows of the input begin, in elements: sums of these three, and outside if below 0.

    volumes: (volumes of the result, volumes that each needs); planes, rows: with their halos
    table:   where to find each element of a padded row, -1 outside
    """

    volumes: np.ndarray
    planes: np.ndarray
    rows: np.ndarray
    table: np.ndarray


class Line(NamedTuple):
    """A padded row. step: from an element to the next in the input; from begin to end the table counts up;
    outside: the value there"""

    length: int
    step: int
    begin: int
    end: int
    outside: float


class Sizes(NamedTuple):
    """Of the result: planes, height, width; of the ring: taps (planes of a volume), strip and halo (rows), pitch;
    apart: from a row of the input to the next; padded: whether rows go through the ring, and are not read where they
    lie."""

    planes: int
    height: int
    width: int
    taps: int
    strip: int
    halo: int
    pitch: int
    apart: int
    padded: bool


class Program(NamedTuple):
    """Sums of up to ROWS results at a time, load by load.

    plane:   of each load, which of the planes that the taps reach, volume by volume
    row, x:  of each load, from the first tap of the first result in that plane
    used:    bit g: it is part of result g
    weights: ROWS for each load
    starts:  what the sums of each part start from, ROWS for each
    parts:   (parts, 6): first load, last + 1, results made at a time, the first one's output channel, rows of the
             result they are of, and whether for that many rows that are left when all others are made
    """

    plane: np.ndarray
    row: np.ndarray
    x: np.ndarray
    used: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    parts: np.ndarray


class Target(NamedTuple):
    """Steps to the next plane, row and output channel of the result, in elements."""

    plane: int
    row: int
    output: int


if WIDE == 4:

    @njit(inline="always")
    def _all(value):
        return value, value, value, value

    @njit(inline="always")
    def _get(flat, i, n):
        return get(flat, i), get(flat, i + n), get(flat, i + 2 * n), get(flat, i + 3 * n)

    @njit(inline="always")
    def _add(weight, v, s):
        return (
            multiply_add(weight, v[0], s[0]),
            multiply_add(weight, v[1], s[1]),
            multiply_add(weight, v[2], s[2]),
            multiply_add(weight, v[3], s[3]),
        )

    @njit(inline="always")
    def _put(flat, i, n, s):
        put_rounded(flat, i, s[0])
        put_rounded(flat, i + n, s[1])
        put_rounded(flat, i + 2 * n, s[2])
        put_rounded(flat, i + 3 * n, s[3])

else:

    @njit(inline="always")
    def _all(value):
        return (value,)

    @njit(inline="always")
    def _get(flat, i, n):
        return (get(flat, i),)

    @njit(inline="always")
    def _add(weight, v, s):
        return (multiply_add(weight, v[0], s[0]),)

    @njit(inline="always")
    def _put(flat, i, n, s):
        put_rounded(flat, i, s[0])


@njit(nogil=True, error_model="numpy")
def _tile(ring, begin, program, part, loads, out, to, apart, flat, ahead):
    """A tile of up to ROWS results. begin: where the first begins in the ring; apart: from one to the next in `out`.

    ahead: (first element, from a row to the next, lines of cache) of what is needed next: to load it takes as long as
    all else, so it is asked for meanwhile, a line with each load.
    """
    at, used, weights, starts = program
    first, last, results, s = loads[0], loads[1], loads[2], ROWS * part
    n, line = lanes(ring), lanes(flat)
    lines = max(1, WIDE * n // line)
    a, b, c = _all(every(ring, starts[s])), _all(every(ring, starts[s + 1])), _all(every(ring, starts[s + 2]))
    d, e, f = _all(every(ring, starts[s + 3])), _all(every(ring, starts[s + 4])), _all(every(ring, starts[s + 5]))
    for load in range(first, last):
        i = load - first
        if i < ahead[2]:
            prefetch(flat, ahead[0] + i // lines * ahead[1] + i % lines * line)
        v, bits, w = _get(ring, at[load] + begin, n), used[load], ROWS * load
        if bits & 1:
            a = _add(every(ring, weights[w]), v, a)
        if bits & 2:
            b = _add(every(ring, weights[w + 1]), v, b)
        if bits & 4:
            c = _add(every(ring, weights[w + 2]), v, c)
        if bits & 8:
            d = _add(every(ring, weights[w + 3]), v, d)
        if bits & 16:
            e = _add(every(ring, weights[w + 4]), v, e)
        if bits & 32:
            f = _add(every(ring, weights[w + 5]), v, f)
    _put(out, to, n, a)
    if results > 1:
        _put(out, to + apart, n, b)
    if results > 2:
        _put(out, to + 2 * apart, n, c)
    if results > 3:
        _put(out, to + 3 * apart, n, d)
    if results > 4:
        _put(out, to + 4 * apart, n, e)
    if results > 5:
        _put(out, to + 5 * apart, n, f)


@njit(nogil=True, error_model="numpy")
def _fill(flat, row, table, line, ring, target):
    """A row of the input as a padded row of the ring, in its dtype."""
    if row < 0:
        for x in range(line.length):
            ring[target + x] = line.outside
        return
    for x in range(line.length - (line.end - line.begin)):
        x += 0 if x < line.begin else line.end - line.begin
        if table[x] >= 0:  # one value of two types would be a float64 of both
            ring[target + x] = flat[row + table[x] * line.step]
        else:
            ring[target + x] = line.outside
    n, x = lanes(ring), line.begin
    row += (table[x] - x) * line.step
    if line.step == 1:
        while x + n <= line.end:
            put(ring, target + x, get_as(flat, row + x, ring))
            x += n
    while x < line.end:
        ring[target + x] = flat[row + x * line.step]
        x += 1


@njit(nogil=True, error_model="numpy")
def _row(ring, begin, program, part, loads, width, out, to, apart, flat, ahead, short):
    """A row of up to ROWS results, tile by tile. short: where those of less than a tile are made"""
    tile = WIDE * lanes(ring)
    into, first, step = (out, to, apart) if width >= tile else (short, 0, tile)
    for start in range(0, width, tile):
        x = max(min(start, width - tile), 0)  # the last two tiles may overlap: they make the same numbers
        near = ahead[0] + x, ahead[1], ahead[2]
        _tile(ring, begin + x, program, part, loads, into, first + x, step, flat, near)
    if width < tile:
        for result in range(loads[2]):
            for x in range(width):
                out[to + result * apart + x] = short[result * tile + x]


@njit(nogil=True, error_model="numpy")
def _plane(ring, program, parts, rows, sizes, out, to, target, flat, ahead, short):
    """The results in `rows` rows of a plane, which begin at `to`. ahead: where what is filled next begins"""
    lines = max(1, WIDE * lanes(ring) // lanes(flat)) if sizes.padded else 0
    for p in range(len(parts)):
        loads, output, high = (parts[p, 0], parts[p, 1], parts[p, 2]), parts[p, 3], parts[p, 4]
        apart = target.row if high == loads[2] else target.output
        y, end = 0, rows // high * high
        if parts[p, 5]:
            y, end = (rows - high, rows) if rows % ROWS == high else (0, 0)
        while y < end:
            near = ahead + y * sizes.apart, sizes.apart, lines * high if p == 0 else 0
            first = to + y * target.row + output * target.output
            _row(ring, y * sizes.pitch, program, p, loads, sizes.width, out, first, apart, flat, near, short)
            y += high


@njit(nogil=True, cache=True, error_model="numpy")
def correlate(flat, source, line, sizes, program, ring, out, begins, target):
    """All results. ring: memory for it, or what holds the input; out: of any dtype; begins: of volumes in it"""
    taps, strip, halo = sizes.taps, sizes.strip, sizes.halo
    volumes, plane_begins, row_begins = source.volumes, source.planes, source.rows
    plane, row, x, parts = program.plane, program.row, program.x, program.parts
    each, area = volumes.shape[1], (strip + halo) * sizes.pitch
    at, places = np.empty(len(plane), np.int64), np.empty(each * taps, np.int64)
    short = np.empty(ROWS * WIDE * lanes(ring), out.dtype)
    what = elements(at), elements(program.used), elements(program.weights), elements(program.starts)
    table, data, memory, results = elements(source.table), elements(flat), elements(ring), elements(out)
    for v in range(len(volumes)):
        for y0 in range(0, sizes.height, strip):
            rows, filled = min(strip, sizes.height - y0), 0
            for z in range(sizes.planes):
                while filled < z + taps and sizes.padded:
                    for t in range(each):
                        begin, place = volumes[v, t] + plane_begins[filled], (t * taps + filled % taps) * area
                        for r in range(rows + halo):
                            _fill(data, begin + row_begins[y0 + r], table, line, memory, place + r * sizes.pitch)
                    filled += 1
                for t in range(each):
                    for k in range(taps):
                        places[t * taps + k] = (t * taps + (z + k) % taps) * area
                        if not sizes.padded:
                            places[t * taps + k] = volumes[v, t] + plane_begins[z + k] + row_begins[y0] + table[0]
                for load in range(len(at)):
                    at[load] = places[plane[load]] + row[load] * sizes.pitch + x[load]
                # What is filled next: the same rows of the plane to come, or those of the next strip.
                last = z + 1 == sizes.planes
                ahead = row_begins[min(y0 + strip + halo, len(row_begins) - 1) if last else y0 + halo // 2]
                ahead += volumes[v, 0] + plane_begins[0 if last else z + taps]
                to = begins[v] + z * target.plane + y0 * target.row
                _plane(memory, what, parts, rows, sizes, results, to, target, data, ahead, elements(short))
    return len(at) + len(short)  # Numba frees an array after it was last mentioned
