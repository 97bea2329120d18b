"""Connected components of a cell, by its runs along the last axis, compiled by Numba; it releases the GIL.

Runs of each row are found 64 elements at a time (a bit for each; the bits of a row and of the row shifted by one say
where a run begins or has ended), joined with runs of the rows before (union-find: the earlier run is the root), and
numbered by their first element. The work of joining is by runs, not by elements.

L. He, Y. Chao, K. Suzuki, "A run-based two-scan labeling algorithm", 2008; K. Wu, E. Otoo, K. Suzuki, "Optimizing
two-pass connected-component labeling algorithms", 2009.

A stack of cells is a box (slices, c1, .., cd), contiguous: its slices are independent. A row has two coordinates, its
slice and the number of the row in it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.vectors import elements, every, filled, lanes, lowest, ones, prefetch, put

AHEAD = 16  # rows that are asked for before they are looked at


@njit(nogil=True, cache=True)
def root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def link(parent, a, b):
    """Unite what the root `b` is the root of with `a`; returns the root of both, the smaller one."""
    a = root(parent, a)
    if a < b:
        parent[b] = a
        return a
    if b < a:
        parent[a] = b
    return b


@njit(nogil=True, cache=True)
def bits_of(inside, size, at, count):
    """Which of `count` bytes from `at` on, 64 at most, are not 0: a bit for each, the lowest for the first."""
    if at + 64 <= size:
        found = filled(inside, at)
        return found if count >= 64 else found & ((np.uint64(1) << np.uint64(count)) - np.uint64(1))
    found = np.uint64(0)
    for k in range(min(count, 64)):
        if inside[at + k] != 0:
            found |= np.uint64(1) << np.uint64(k)
    return found


@njit(nogil=True, cache=True)
def find_runs(inside, turned, changes, several, bases, lines, length, first, start, stop, bits, begun):
    """The runs of each row: those of row r are first[r] to first[r + 1]. Returns how many there are.

    bits, begun: of 64 elements of a row each, which belong to objects, and where runs start

    inside:  bytes; elements that are not 0 (turned: that are) belong to objects. Rows begin at bases + lines
    changes: bytes of the rows one after another: elements that differ from the one before; several: whether they count,
             and touching runs of different values are apart
    """
    one, n, r, rows = np.uint64(1), 0, 0, len(lines)
    data, size, differ, differs = elements(inside), len(inside), elements(changes), len(changes)
    firsts, starts, stops, places = elements(first), elements(start), elements(stop), elements(lines)
    which, begin, word = elements(bits), elements(begun), 0
    for s in range(len(bases)):
        for row in range(rows):
            firsts[r] = n
            before, at = np.uint64(0), bases[s] + places[row]
            ahead = bases[s] + places[min(row + AHEAD, rows - 1)]
            for x in range(0, length, 64):
                prefetch(data, ahead + x)  # rows of a cell are too short for a processor to foresee them
                here = bits_of(data, size, at + x, length - x)
                if turned:
                    here = ~here if length - x >= 64 else here ^ ((one << np.uint64(length - x)) - one)
                last = (here << one) | before
                change = here ^ last
                if several:
                    change = bits_of(differ, differs, r * length + x, length - x)
                    if x == 0:
                        change |= one
                before = here >> np.uint64(63)
                which[word], begin[word] = here, change & here
                word += 1
                change &= here | last
                while change:
                    k = lowest(change)
                    bit = one << np.uint64(k)
                    change ^= bit
                    if last & bit:
                        stops[n - 1] = x + k
                    if here & bit:
                        starts[n], stops[n] = x + k, length
                        n += 1
            r += 1
    firsts[r] = n
    return n


@njit(nogil=True, cache=True)
def join_rows(a, b, word_a, word_b, words, bits, begun, values, reach, several, parent):
    """Unite the runs of one row, from `a` on, with those of a later one, from `b` on, that overlap, or touch over a
    corner (reach); if there are several values, those of the same one. All arrays are pointers.

    Where bits of both are set, and were not before, two runs meet; the runs that have started until there are counted.
    """
    one, carry_a, carry_b, carry = np.uint64(1), np.uint64(0), np.uint64(0), np.uint64(0)
    for w in range(words):
        here, there = bits[word_a + w], bits[word_b + w]
        begun_a, begun_b = begun[word_a + w], begun[word_b + w]
        both = here & there
        meet = both & (~((both << one) | carry) | begun_a | begun_b)
        corner_a = begun_a & ((there << one) | carry_b) & (~there | begun_b) if reach else np.uint64(0)
        corner_b = begun_b & ((here << one) | carry_a) & (~here | begun_a) if reach else np.uint64(0)
        left = meet | corner_a | corner_b
        while left:
            bit = left & (~left + one)
            left ^= bit
            before = bit - one
            p, q = a + ones(begun_a & before) - 1, b + ones(begun_b & before) - 1  # the last that started before
            p_now, q_now = p + (begun_a & bit != 0), q + (begun_b & bit != 0)
            if meet & bit and (not several or values[p_now] == values[q_now]):
                link(parent, p_now, root(parent, q_now))
            if corner_a & bit and (not several or values[p_now] == values[q]):
                link(parent, p_now, root(parent, q))
            if corner_b & bit and (not several or values[p] == values[q_now]):
                link(parent, p, root(parent, q_now))
        a, b = a + ones(begun_a), b + ones(begun_b)
        carry_a, carry_b, carry = here >> np.uint64(63), there >> np.uint64(63), both >> np.uint64(63)


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
def label(
    inside, turned, changes, values, several, bases, lines, length, steps, touch, reaches, bits, begun, first, start,
    stop, value, parent, begins,
):  # fmt: skip
    """Label a stack of cells. Returns how many components there are; parent: the component of each run.

    values:  of the elements, if there are several; value: room for those of the runs; bits, begun: for `find_runs`
    steps, reaches: to rows before a row, and whether these touch it over corners along the row; touch: (rows of a
             slice, steps) whether there is such a row
    begins:  (slices + 1,) components before each slice
    """
    rows, count, slices = len(touch), len(steps), len(bases)
    runs = find_runs(inside, turned, changes, several, bases, lines, length, first, start, stop, bits, begun)
    words, which, begin = (length + 63) // 64, elements(bits), elements(begun)
    there, step, reach, up = elements(touch), elements(steps), elements(reaches), elements(parent)
    firsts, starts, what = elements(first), elements(start), elements(value)
    for i in range(runs):
        up[i] = i
    if several:
        for r in range(slices * rows):
            for i in range(firsts[r], firsts[r + 1]):
                what[i] = values[r * length + starts[i]]
    for r in range(slices * rows):
        b = firsts[r]
        if b == firsts[r + 1]:
            continue
        mine = r % rows * count
        for k in range(count):
            o = r + step[k]
            if there[mine + k] != 0 and firsts[o] < firsts[o + 1]:
                join_rows(firsts[o], b, o * words, r * words, words, which, begin, what, reach[k] != 0, several, up)
    found = 0
    for s in range(slices):
        begins[s] = found
        for i in range(firsts[s * rows], firsts[(s + 1) * rows]):  # a root is before what it is the root of
            if up[i] == i:
                up[i] = found
                found += 1
            else:
                up[i] = up[up[i]]
    begins[slices] = found
    return found


@njit(nogil=True, cache=True)
def measure(first, start, stop, number, shape, origin, whole, step, bases, places, border, firsts, counts, touches):
    """Of each component: the smallest global index of its elements, how many they are, and whether one lies within
    `border` elements of an end of an axis.

    shape, origin, whole: of the cell along the filtered axes, where it begins, and of the whole array
    bases, places: global indices of the first elements of the slices, and of rows less that; step: of one along a row
    """
    rows, length = len(places), shape[-1]
    far = min(whole[-1] - border - origin[-1], length)
    for r in range(len(bases) * rows):
        if first[r] == first[r + 1]:
            continue
        beside = border > 0 and _beside(r % rows, shape, origin, whole, border)
        index = bases[r // rows] + places[r % rows]
        for i in range(first[r], first[r + 1]):
            n = number[i]
            firsts[n] = min(firsts[n], index + start[i] * step)
            counts[n] += stop[i] - start[i]
            touches[n] |= beside or origin[-1] + start[i] < border or stop[i] > far


@njit(nogil=True, cache=True)
def _beside(row, shape, origin, whole, border):
    """Whether a row of a cell lies within `border` elements of an end of one of the axes but the last."""
    for axis in range(len(shape) - 2, -1, -1):
        at = origin[axis] + row % shape[axis]
        row //= shape[axis]
        if at < border or at >= whole[axis] - border:
            return True
    return False


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


@njit(nogil=True, cache=True)
def fill(out, begin, stop, end, what):
    """Elements from `begin` to `stop`, and perhaps some more before `end`."""
    wide = lanes(out)
    vector = every(out, what)
    while begin < stop and begin + wide <= end:
        put(out, begin, vector)
        begin += wide
    for i in range(begin, stop):
        out[i] = what


@njit(nogil=True, cache=True)
def paint(first, start, stop, number, rows, begins, places, table, background, low, high, bases, lines, out):
    """What the table has for each run's component, and the background elsewhere, from `low` to `high` along rows.

    places: in the table, of the first component of each slice
    bases, lines: in `out`, of the first element of each slice, and of rows less that; below 0: rows that are left out
    """
    for s in range(len(bases)):
        shift = places[s] - begins[s]
        for r in range(rows):
            if lines[r] < 0:
                continue
            at = bases[s] + lines[r] - low
            x, end = low, at + high
            for i in range(first[s * rows + r], first[s * rows + r + 1]):
                if start[i] >= high:
                    break
                if stop[i] > x:
                    if start[i] > x:
                        fill(out, at + x, at + start[i], end, background)
                    fill(out, at + max(x, start[i]), at + min(stop[i], high), end, table[shift + number[i]])
                    x = stop[i]
            if x < high:
                fill(out, at + x, end, end, background)
