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
