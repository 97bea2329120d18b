"""Means weighted by likeness on the CPU, from a copy of the data with their whole boundary, in float32 or float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families.exponential import LARGEST
from gridstride.workers.families.likeness import (
    add_weighted,
    add_within,
    count_within,
    falling,
    half_to,
)
from gridstride.workers.families.local import padded
from gridstride.workers.launches import strides
from gridstride.workers.operators.base import Window
from gridstride.workers.vectors import BYTES, add, div, elements, every, fma, get, high, lanes, mul, put, sub

if TYPE_CHECKING:
    from gridstride.workers.families.patches import BilateralMean, LikeMean, NonLocalMean


def bilateral(op: BilateralMean, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the data's dtype."""
    if out.size == 0:
        return
    steps = strides(op.padded_shape(window.want, window.grid))
    last = max((axis for axis, n in enumerate(op.size) if n > 1), default=out.ndim - 1)
    bases = np.zeros((), np.int64)
    for n, step in zip(out.shape[:last], steps, strict=False):
        bases = np.add.outer(bases, np.arange(n) * step)
    dtype = out.dtype.type
    result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    terms = op.taps @ np.array(steps), op.spatial.astype(dtype), dtype(op.scale), dtype(LARGEST[out.dtype])
    rows = result.reshape(bases.size, -1)
    line = np.empty(rows.shape[1] + 2 * BYTES, dtype)
    with Borrowed() as memory:
        data = _padded(op, window, range(out.ndim), memory)
        _bilateral(data, bases.reshape(-1), int(np.dot(op.before, steps)), *terms, line, rows)
    if result is not out:
        out[...] = result


def _padded(op: LikeMean, window: Window, order: Sequence[int], memory: Borrowed) -> np.ndarray:
    """The data with their whole boundary, the axes in an order, one after another, with room for vectors at the end."""
    shape = op.padded_shape(window.want, window.grid)
    size = prod(shape)
    data = memory.array((size + 2 * BYTES,), window.data.dtype)
    data[size:] = 0
    view = data[:size].reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
    padded(op, window, op.cval, into=view)
    return data


@njit(nogil=True, cache=True)
def _bilateral(data, bases, centre, offsets, spatial, scale, most, line, out):
    """out[r, x] = the mean at bases[r] + x, over offsets; centre: where the element itself is."""
    width, step = out.shape[1], lanes(data)
    last = max(0, (width + step - 1) // step * step - 2 * step)
    numbers, into = elements(data), elements(line)
    far, part, one = every(data, most), every(data, scale), every(data, data.dtype.type(1))
    for r in range(len(bases)):
        for start in range(0, width, 2 * step):
            x = min(start, last)  # two vectors at a time; the last two may overlap those before
            a = bases[r] + x
            b = a + step
            here, there = get(numbers, a + centre), get(numbers, b + centre)
            sum_a, sum_b, weights_a, weights_b = here, there, one, one
            for k in range(len(offsets)):
                away = every(data, spatial[k])
                v, w = get(numbers, a + offsets[k]), get(numbers, b + offsets[k])
                d, e = mul(sub(v, here), part), mul(sub(w, there), part)
                d, e = fma(d, d, away), fma(e, e, away)
                p, q = half_to(d), half_to(e)
                sum_a, sum_b = add_within(d, far, p, v, sum_a), add_within(e, far, q, w, sum_b)
                weights_a, weights_b = count_within(d, far, p, weights_a), count_within(e, far, q, weights_b)
            put(into, x, div(sum_a, weights_a))
            put(into, x + step, div(sum_b, weights_b))
        for x in range(width):
            out[r, x] = line[x]


def non_local(op: NonLocalMean, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window, tile by tile; out: of the data's dtype."""
    if out.size == 0:
        return
    order = [*(axis for axis in range(out.ndim) if axis not in op.axes), *op.axes]
    shape = op.padded_shape(window.want, window.grid)
    with Borrowed() as memory:
        data = _padded(op, window, order, memory)
        _tile_by_tile(op, data, strides(tuple(shape[axis] for axis in order)), out.transpose(order))


def _tile_by_tile(op: NonLocalMean, data: np.ndarray, steps: list[int], out: np.ndarray) -> None:
    """data, out: with the filtered axes last; steps: of each axis in the data"""
    count = out.ndim - len(op.axes)
    outer, inner = steps[:count], np.array([0] * (3 - len(op.axes)) + steps[count:])  # inner: of z, y and x
    own, corner = int(inner.sum()) * op.reach, int(inner.sum()) * (op.patch // 2 - 1)
    terms = op.terms(data.dtype)
    for place in np.ndindex(*out.shape[:count]):
        volume = out[place][(None,) * (3 - len(op.axes))]
        first = own + int(np.dot(place, outer))
        for part in _tiles(volume.shape, op.tile(volume.shape, data.dtype)):
            begin = first + int(np.dot([piece.start for piece in part], inner))
            tile = volume[part]
            tile[...] = _non_local(data, begin, corner, inner, np.array(tile.shape), op.shifts, op.patch - 1, terms)


def _tiles(shape: tuple[int, ...], tile: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The parts of a volume."""
    for first in product(*(range(0, n, step) for n, step in zip(shape, tile, strict=True))):
        yield tuple(slice(a, min(a + step, n)) for a, step, n in zip(first, tile, shape, strict=True))


@njit(nogil=True, cache=True)
def _non_local(data, begin, corner, steps, shape, shifts, taps, terms):
    """The means of a tile, (z, y, x).

    begin: where its first element is, which is `corner` after the first element of its patch; taps: of a patch, along x
    terms: what squared differences are times and less, the cutoff, and an element's own weight
    """
    step, (nz, ny, nx) = lanes(data), (shape[0], shape[1], shape[2])
    wide = (nx + step - 1) // step * step
    reach = np.zeros(3, np.int64)
    for shift in shifts:
        for axis in range(3):
            reach[axis] = max(reach[axis], abs(shift[axis]))
    pitch, lines = wide + (reach[2] + taps + step) // step * step + step, ny + reach[1] + taps
    dtype = data.dtype
    line, rows = np.zeros(pitch + taps, dtype), np.zeros(lines * pitch, dtype)
    weights = np.zeros((nz + reach[0]) * lines * pitch + step, dtype)
    sums, counts = np.empty((nz, ny, wide), dtype), np.empty((nz, ny, wide), dtype)
    own = every(data, terms[3])
    for z in range(nz):
        for y in range(ny):
            for x in range(0, wide, step):
                i = (z * ny + y) * wide + x
                put(sums, i, mul(own, get(data, begin + z * steps[0] + y * steps[1] + x)))
                put(counts, i, own)
    for shift in shifts:
        low = np.minimum(0, -shift)
        whole = shape + np.abs(shift)
        away = shift[0] * steps[0] + shift[1] * steps[1] + shift[2]
        lowest = begin + low[0] * steps[0] + low[1] * steps[1] + low[2]
        page = (steps[0], steps[1], pitch, lines)
        _weigh(data, lowest - corner, away, page, whole, taps, terms, line, rows, weights)
        _gather(data, begin, away, page, shape, shift, low, weights, sums, counts)
    for i in range(0, sums.size, step):
        put(sums, i, div(get(sums, i), get(counts, i)))
    return sums[:, :, :nx]


@njit(nogil=True, cache=True)
def _weigh(data, first, away, page, whole, taps, terms, line, rows, weights):
    """The weights between patches and those `away` from them: of each, the squared differences are added along z, then
    along x, then along y. Axes that are not filtered have a step of 0."""
    step, (plane, row, pitch, lines) = lanes(data), page
    numbers, into, table, found = elements(data), elements(line), elements(rows), elements(weights)
    none = every(data, data.dtype.type(0))
    scale, less, most = every(data, terms[0]), every(data, -terms[1]), every(data, terms[2])
    deep, high_ = (taps if plane else 1), (taps if row else 1)
    for z in range(whole[0]):
        for y in range(whole[1] + high_ - 1):
            base = first + z * plane + y * row
            for x in range(0, whole[2] + taps - 1, step):
                at, total = base + x, none
                for _ in range(deep):
                    difference = sub(get(numbers, at), get(numbers, at + away))
                    total = fma(difference, difference, total)
                    at += plane
                put(into, x, total)
            for x in range(0, whole[2], step):
                total = get(into, x)
                for k in range(1, taps):
                    total = add(total, get(into, x + k))
                put(table, y * pitch + x, total)
        for y in range(whole[1]):
            for x in range(0, whole[2], step):
                total = get(table, y * pitch + x)
                for k in range(1, high_):
                    total = add(total, get(table, (y + k) * pitch + x))
                total = high(fma(total, scale, less), none)
                put(found, (z * lines + y) * pitch + x, falling(total, most))


@njit(nogil=True, cache=True)
def _gather(data, begin, away, page, shape, shift, low, weights, sums, counts):
    """Add the elements `away` from each, and then those as far on the other side."""
    step, (plane, row, pitch, lines) = lanes(data), page
    numbers, found, totals, weighed = elements(data), elements(weights), elements(sums), elements(counts)
    back = (shift[0] * lines + shift[1]) * pitch + shift[2]
    for z in range(shape[0]):
        for y in range(shape[1]):
            i = (z * shape[1] + y) * sums.shape[2]
            w = ((z - low[0]) * lines + y - low[1]) * pitch - low[2]
            at = begin + z * plane + y * row
            for x in range(0, sums.shape[2], step):
                near, far = get(found, w + x), get(found, w + x - back)
                total = add_weighted(near, get(numbers, at + x + away), get(totals, i + x))
                put(totals, i + x, add_weighted(far, get(numbers, at + x - away), total))
                put(weighed, i + x, add(add(get(weighed, i + x), near), far))
