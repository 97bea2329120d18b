"""Chambolle's iteration on the CPU, compiled by Numba: several updates of the dual field go through the planes
together, so that what one has made is still in a near cache when the next reads it.

    update t      plane 0 1 2 3 4 5 ...     u = image + div p of plane z is made, and then p of plane z - 1 in place,
    update t + 1          0 1 2 3 4 ...     so that two planes of u are held for each update
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from gridstride.workers.vectors import (
    absolute,
    add,
    div,
    elements,
    every,
    fma,
    get,
    if_less,
    lanes,
    mul,
    put,
    sqrt,
    sub,
)

INNER: dict[str, Any] = {
    "nogil": True, "cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True
}  # fmt: skip


class Field(NamedTuple):
    """Where rows lie. Lengths are in elements; axes are the filtered ones, of which the last is along rows.

    axes, planes, rows, size: how many there are; of the first axis; of a plane; and the elements of a row
    pitch, apart: from a row to the next in the fields, and in the planes that are held
    far: from a field to the next: the image, then a component of p for each axis. Before the first row is one of zeros
    first: the vector before a row, whose last element is 0
    together: updates that go through the planes together
    """

    axes: int
    planes: int
    rows: int
    size: int
    pitch: int
    apart: int
    far: int
    first: int
    together: int


@njit(**INNER)
def diverged(fields, at, behind, field, out, to):
    """A row of image + div p. at: where it is in the image; behind: the row before it along each axis."""
    n = lanes(out)
    for x in range(0, field.size, n):
        total = sub(get(fields, field.far + behind[0] + x), get(fields, field.far + at + x))
        for k in range(1, field.axes):
            here = (1 + k) * field.far + x
            total = add(total, sub(get(fields, here + behind[k]), get(fields, here + at)))
        put(out, to + x, add(get(fields, at + x), total))
    out[to + field.size] = out[to + field.size - 1]  # no gradient at the end


@njit(**INNER)
def updated(fields, at, held, here, ahead, field, step, share):
    """A row of p = (p - step grad u) / (1 + share |grad u|). here: where its row of u is in `held`; ahead: the row
    after it along each axis. A gradient that is no number, beside an element that is none, counts as 0."""
    n = lanes(held)
    one, zero, infinite = every(held, 1.0), every(held, 0.0), every(held, np.inf)
    minus, part = every(held, -step), every(held, share)
    for x in range(0, field.size, n):
        u, squares = get(held, here + x), zero
        for k in range(field.axes):
            slope = sub(get(held, ahead[k] + x), u)
            slope = if_less(absolute(slope), infinite, slope)
            squares = fma(slope, slope, squares)
        by = div(one, fma(sqrt(squares), part, one))
        for k in range(field.axes):
            slope = sub(get(held, ahead[k] + x), u)
            slope = if_less(absolute(slope), infinite, slope)
            p = (1 + k) * field.far + at + x
            put(fields, p, mul(fma(minus, slope, get(fields, p)), by))


@njit(**INNER)
def within(coordinates, row, inner, limits, more):
    """Whether a row of a plane is in a box, `more` rows larger at its end on each axis."""
    for k in range(inner):
        c = coordinates[row * inner + k]
        if c < limits[2 * k + 2] or c >= limits[2 * k + 3] + more:
            return False
    return True


@njit(**INNER)
def plane_of_u(fields, z, coordinates, strides, limits, more, field, behind, out, begin):
    """The rows of plane z of image + div p that lie in a box."""
    inner = field.axes - 2
    for row in range(field.rows):
        if within(coordinates, row, inner, limits, more):
            at = (1 + z * field.rows + row) * field.pitch + field.first
            behind[0] = at - field.rows * field.pitch if z > 0 else field.first
            for k in range(inner):
                behind[1 + k] = at - strides[k] * field.pitch if coordinates[row * inner + k] > 0 else field.first
            behind[1 + inner] = at - 1
            diverged(fields, at, behind, field, out, begin + row * field.apart)


@njit(**INNER)
def plane_of_p(fields, z, coordinates, strides, limits, field, ahead, held, here, after, numbers):
    """The same of p. here, after: where planes z and z + 1 of u begin; numbers: step and share"""
    inner = field.axes - 2
    for row in range(field.rows):
        if within(coordinates, row, inner, limits, 0):
            at = (1 + z * field.rows + row) * field.pitch + field.first
            to = here + row * field.apart
            ahead[0] = after + row * field.apart
            for k in range(inner):
                last = coordinates[row * inner + k] == strides[inner + k] - 1
                ahead[1 + k] = to if last else to + strides[k] * field.apart
            ahead[1 + inner] = to + 1
            updated(fields, at, held, to, ahead, field, numbers[0], numbers[1])


@njit(nogil=True, cache=True, error_model="numpy")
def update(fields, held, boxes, coordinates, strides, places, numbers, field):
    """All updates of p.

    boxes: (updates, axes but the last, 2): where each is made; coordinates: of the rows of a plane, on its axes but the
    last; strides: of these axes in rows, then their sizes; places: room for an index on each axis, twice
    """
    f, u, c, s, n = elements(fields), elements(held), elements(coordinates), elements(strides), elements(numbers)
    behind, ahead = elements(places), elements(places[field.axes :])
    size = field.rows * field.apart
    for start in range(0, len(boxes), field.together):
        count = min(field.together, len(boxes) - start)
        for wave in range(field.planes + count):
            for t in range(count):
                z, limits = wave - t, elements(boxes[start + t])
                low, high = boxes[start + t, 0, 0], boxes[start + t, 0, 1]
                here = (2 * t + (z & 1)) * size
                if low <= z < min(high + 1, field.planes):
                    plane_of_u(f, z, c, s, limits, 1, field, behind, u, here)
                if low < z <= high:
                    before = (2 * t + (z - 1 & 1)) * size
                    after = here if z < field.planes else before
                    plane_of_p(f, z - 1, c, s, limits, field, ahead, u, before, after, n)


@njit(nogil=True, cache=True, error_model="numpy")
def result(fields, held, limits, coordinates, strides, places, field, column, out):
    """image + div p in a box of planes and rows, from a column on; out: (planes, rows of the box, width)"""
    f, u, c, s = elements(fields), elements(held), elements(coordinates), elements(strides)
    for z in range(limits[0, 0], limits[0, 1]):
        plane_of_u(f, z, c, s, elements(limits), 0, field, elements(places), u, 0)
        place = 0
        for row in range(field.rows):
            if within(c, row, field.axes - 2, elements(limits), 0):
                begin = row * field.apart + column
                out[z - limits[0, 0], place] = held[begin : begin + out.shape[2]]
                place += 1
