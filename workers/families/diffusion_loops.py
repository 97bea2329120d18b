"""Anisotropic diffusion on the CPU, compiled by Numba: several iterations go through the planes together, from one
memory to another and back, each a plane behind the one before."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gridstride.workers.families.likeness import half_to
from gridstride.workers.families.variation_loops import INNER, within
from gridstride.workers.vectors import absolute, add, div, elements, every, fma, get, if_less, lanes, low, mul, put, sub


class Plan(NamedTuple):
    """Where rows lie. Lengths are in elements; axes are the filtered ones, of which the last is along rows.

    axes, planes, rows, size: how many there are; of the first axis; of a plane; and the elements of a row
    pitch, far: from a row to the next, and of a memory
    first: the vector before a row, whose last element is the row's first, as the one after a row is its last
    together: iterations that go through the planes together
    """

    axes: int
    planes: int
    rows: int
    size: int
    pitch: int
    far: int
    first: int
    together: int


@njit(**INNER)
def flowed(source, at, beside, plan, scales, weights, quadratic, largest, out):
    """A row of the result. beside: how far the rows after and before it on each axis are from it, or 0"""
    n = lanes(source)
    zero, one, infinite, most = every(source, 0.0), every(source, 1.0), every(source, np.inf), every(source, largest)
    for x in range(0, plan.size, n):
        i = at + x
        u, total = get(source, i), zero
        for k in range(plan.axes):
            scale, weight = every(source, scales[k]), every(source, weights[k])
            for side in range(2):
                slope = sub(get(source, i + beside[2 * k + side]), u)
                slope = if_less(absolute(slope), infinite, slope)
                scaled = mul(slope, scale)
                square = mul(scaled, scaled)
                if quadratic:
                    share = div(one, add(square, one))
                else:
                    share = if_less(square, most, half_to(low(square, most)))
                total = fma(mul(share, weight), slope, total)
        put(out, i, add(u, total))
    out[at - 1] = out[at]  # nothing flows through the ends
    out[at + plan.size] = out[at + plan.size - 1]


@njit(**INNER)
def flowed_plane(source, z, coordinates, strides, limits, plan, beside, scales, weights, quadratic, largest, out):
    """The rows of a plane that lie in a box."""
    inner = plan.axes - 2
    for row in range(plan.rows):
        if within(coordinates, row, inner, limits, 0):
            beside[0] = plan.rows * plan.pitch if z + 1 < plan.planes else 0
            beside[1] = -plan.rows * plan.pitch if z > 0 else 0
            for k in range(inner):
                c = coordinates[row * inner + k]
                beside[2 + 2 * k] = strides[k] * plan.pitch if c + 1 < strides[inner + k] else 0
                beside[3 + 2 * k] = -strides[k] * plan.pitch if c > 0 else 0
            beside[2 + 2 * inner], beside[3 + 2 * inner] = 1, -1
            at = (z * plan.rows + row) * plan.pitch + plan.first
            flowed(source, at, beside, plan, scales, weights, quadratic, largest, out)


@njit(nogil=True, cache=True, error_model="numpy")
def iterate(one, other, boxes, coordinates, strides, beside, rates, plan, quadratic, largest):
    """All iterations, from `one` to `other`, back, and so on.

    boxes: (iterations, axes but the last, 2): where each is made; coordinates: of the rows of a plane, on its axes but
    the last; strides: of these axes in rows, then their sizes; beside: room for two indices on each axis
    """
    a, b, c, s, near = elements(one), elements(other), elements(coordinates), elements(strides), elements(beside)
    scales, weights = elements(rates[0]), elements(rates[1])
    for start in range(0, len(boxes), plan.together):
        count = min(plan.together, len(boxes) - start)
        for wave in range(plan.planes + count):
            for t in range(start, start + count):
                z, limits = wave - (t - start), elements(boxes[t])
                if boxes[t, 0, 0] <= z < boxes[t, 0, 1]:
                    if t % 2 == 0:
                        flowed_plane(a, z, c, s, limits, plan, near, scales, weights, quadratic, largest, b)
                    else:
                        flowed_plane(b, z, c, s, limits, plan, near, scales, weights, quadratic, largest, a)
