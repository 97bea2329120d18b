"""Where cells of labels meet: the runs on their faces, and joining them, compiled by Numba; it releases the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.families.labels_cpu import link, root
from gridstride.workers.vectors import elements


@njit(nogil=True, cache=True)
def _face_of_rows(
    first, start, stop, number, value, several, shape, origin, whole, axis, side, s, seam, base, out, n
):  # fmt: skip
    """Add the runs of a face along another axis than the last, in one slice; returns how many there are then."""
    d, rows, inner = len(shape), 1, 1
    for other in range(d - 1):
        rows *= shape[other]
        if other > axis:
            inner *= shape[other]  # rows that follow each other and have one index along `axis`
    for c in range(rows // shape[axis]):
        rest = (c // inner * shape[axis] + side * (shape[axis] - 1)) * inner + c % inner
        r = s * rows + rest
        if first[r] == first[r + 1]:
            continue
        row, size = seam, rows
        for other in range(d - 1):
            size //= shape[other]
            if other != axis:
                row = row * whole[other] + origin[other] + rest // size
            rest %= size
        for i in range(first[r], first[r + 1]):
            out[n, 0], out[n, 3] = row, base + number[i]
            out[n, 1], out[n, 2] = origin[-1] + start[i], origin[-1] + stop[i]
            out[n, 4] = np.int64(value[i]) if several else 0
            n += 1
    return n


@njit(nogil=True, cache=True)
def _face_of_ends(first, start, stop, number, value, several, shape, origin, whole, side, s, seam, base, out, n):
    """Add the runs of a face where rows begin or end, which go from row to row; returns how many there are then."""
    d, rows, begin = len(shape), 1, n
    for other in range(d - 1):
        rows *= shape[other]
    for rest in range(rows):
        r = s * rows + rest
        if first[r] == first[r + 1]:
            continue
        i = first[r] if side == 0 else first[r + 1] - 1
        if (start[i] if side == 0 else shape[-1] - stop[i]) != 0:
            continue
        row, size, at = seam, rows, 0
        for other in range(d - 1):
            size //= shape[other]
            at = origin[other] + rest // size
            if other < d - 2:
                row = row * whole[other] + at
            rest %= size
        name = base + number[i]
        if n > begin and out[n - 1, 0] == row and out[n - 1, 2] == at and out[n - 1, 3] == name:
            out[n - 1, 2] = at + 1
        else:
            out[n, 0], out[n, 1], out[n, 2], out[n, 3] = row, at, at + 1, name
            out[n, 4] = np.int64(value[i]) if several else 0
            n += 1
    return n


@njit(nogil=True, cache=True)
def faces(first, start, stop, number, value, several, shape, origin, whole, cell, slices, total, base, out, ends):
    """What of a stack's components lies on its faces, as runs in `out`: row, start, stop, component, value.

    A face has one axis less; its runs go along the last of the axes that are left, and its rows are numbered by the
    seam they lie at (that before cell q of an axis is q), their slice, and the other axes, globally. Faces at the
    array's ends are left out. slices: the global numbers of the stack's, of `total`; base: added to components
    ends: runs until the end of each face, in the order axis 0 low, axis 0 high, axis 1 low, ...
    """
    n = np.int64(0)  # of a type that is final: what it is given to is compiled once
    for axis in range(len(shape)):
        for side in range(2):
            edge = origin[axis] + side * shape[axis]
            if 0 < edge < whole[axis]:
                seam = edge // cell[axis] * total
                for s in range(len(slices)):
                    if axis < len(shape) - 1:
                        n = _face_of_rows(
                            first, start, stop, number, value, several, shape, origin, whole, axis, side, s,
                            seam + slices[s], base, out, n,
                        )  # fmt: skip
                    else:
                        n = _face_of_ends(
                            first, start, stop, number, value, several, shape, origin, whole, side, s, seam + slices[s],
                            base, out, n,
                        )  # fmt: skip
            ends[2 * axis + side] = n


@njit(nogil=True, cache=True)
def join_faces(
    a, a1, b, b1, starts, stops, values, names, starts_b, stops_b, values_b, names_b, reach, several, parent
):
    """The same of rows of two faces, whose runs have names in `parent`."""
    while a < a1 and b < b1:
        meet = starts[a] < stops_b[b] + reach and starts_b[b] < stops[a] + reach
        if meet and (not several or values[a] == values_b[b]):
            link(parent, names[a], root(parent, names_b[b]))
        if stops[a] < stops_b[b]:
            a += 1
            continue
        if several and reach and stops[a] == stops_b[b] and a + 1 < a1:
            meet = starts[a + 1] < stops_b[b] + reach
            if meet and values[a + 1] == values_b[b]:
                link(parent, names[a + 1], root(parent, names_b[b]))
        b += 1


@njit(nogil=True, cache=True)
def join_seams(low, high, lengths, near, reaches, several, parent):
    """Unite components over the seams of one axis: of runs on high faces, and of those on low faces beyond.

    low, high: columns row, start, stop, component, value, each in order of row and start
    lengths:   of the axes that number rows, the seam and the slice aside
    near, reaches: rows that touch a row, as steps along these axes; whether with corners
    """
    lead = len(lengths)
    starts, stops, names, values = elements(high[1]), elements(high[2]), elements(high[3]), elements(high[4])
    starts_b, stops_b, names_b, values_b = elements(low[1]), elements(low[2]), elements(low[3]), elements(low[4])
    for k in range(len(near)):
        step = 0
        for axis in range(lead):
            step = step * lengths[axis] + near[k, axis]
        a, b = np.int64(0), np.int64(0)
        while a < high.shape[1]:
            row, rest, there = high[0, a], high[0, a], True
            for axis in range(lead - 1, -1, -1):
                at = rest % lengths[axis] + near[k, axis]
                rest //= lengths[axis]
                there &= 0 <= at < lengths[axis]
            a1 = a
            while a1 < high.shape[1] and high[0, a1] == row:
                a1 += 1
            if there:
                while b < low.shape[1] and low[0, b] < row + step:
                    b += 1
                b1 = b
                while b1 < low.shape[1] and low[0, b1] == row + step:
                    b1 += 1
                join_faces(
                    a, a1, b, b1, starts, stops, values, names, starts_b, stops_b, values_b, names_b, reaches[k],
                    several, elements(parent),
                )  # fmt: skip
            a = a1


@njit(nogil=True, cache=True)
def gather(parent, firsts, counts, touches):
    """Number the roots in order and gather what is known of those that have one root, in their first elements.

    Returns how many roots there are; parent: the number of each one's root
    """
    n = 0
    for i in range(len(parent)):  # a root is before what it is the root of
        if parent[i] == i:
            firsts[n], counts[n], touches[n] = firsts[i], counts[i], touches[i]
            parent[i] = n
            n += 1
        else:
            to = parent[parent[i]]
            parent[i] = to
            firsts[to] = min(firsts[to], firsts[i])
            counts[to] += counts[i]
            touches[to] |= touches[i]
    return n
