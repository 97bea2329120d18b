"""Pooling by order on the CPU: lists of many boxes are sorted at a time, by a network whose steps are vectors.

Elements are compared as unsigned keys in the order of the numbers: NaN is the last, and zeros have no sign.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.families.pool_cpu import span
from gridstride.workers.families.pool_valid import between
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import six
from gridstride.workers.operators.base import Window

if TYPE_CHECKING:
    from gridstride.workers.families.pool_ordered import Ordered

KINDS = {"b": 0, "u": 0, "i": 1, "f": 2}
INFINITY = {1: 0, 2: 0, 4: 0x7F800000, 8: 0x7FF0000000000000}  # its bits, by the size of a floating-point number


def pool(op: Ordered, window: Window, out: np.ndarray) -> None:
    """Apply `op` to a window; out: of the want's shape and op.out_dtype."""
    if out.size == 0:
        return
    data = window.part(op.needed(window.want, window.grid)).data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    data = in_order(data.view(np.uint8) if data.dtype == np.bool_ else data)
    kind, unsigned = KINDS[data.dtype.kind], f"u{data.itemsize}"
    bits = data.view(unsigned).reshape(six(data.shape, 1))
    shape, factors = six(out.shape, 1), six(op.factors, 1)
    elements = prod(min(n, m) for n, m in zip(factors, bits.shape, strict=True))
    low = np.empty(shape, unsigned)
    high = low if op.method == "mode" else np.empty(shape, unsigned)
    top = 1 << 8 * data.itemsize - 1
    marks = np.array([top, top - 1, INFINITY[data.itemsize], 2 * top - 1], unsigned)
    lists = np.empty((elements, op.tile), unsigned)
    ordered(bits, factors, kind, marks, op.method == "mode", lists, low, high)
    found = [low] if op.method == "mode" else [low, high]
    values = [value_of(keys.reshape(-1), kind, marks).view(data.dtype).reshape(out.shape) for keys in found]
    out[...] = values[0] if op.method == "mode" else between(values[0], values[1], op.out_dtype)


@njit(inline="always")
def key_of(bits, kind, marks):
    """A number's key: of an integer with a sign, the top bit turned round; of a floating-point number, which is ordered
    by its bits, all of them where it is below 0. marks: the top bit, the others, those of infinity, and all bits"""
    top = marks[0]
    if kind == 0:
        return bits
    if kind == 1:
        return bits ^ top
    if bits & marks[1] > marks[2]:
        return marks[3]
    if bits == top:
        return top
    return ~bits if bits & top else bits | top


@njit(nogil=True, cache=True)
def value_of(keys, kind, marks):
    """The bits of keys' numbers, in their place."""
    top = marks[0]
    for i in range(len(keys) if kind else 0):
        k = keys[i]
        keys[i] = k ^ top if kind == 1 or k & top else ~k
    return keys


@njit(nogil=True, cache=True)
def ordered(data, factors, kind, marks, frequent, lists, low, high):
    """low, high = the keys of the two elements in the middle of each box; or low that of the most frequent."""
    width, full, size_of_tile = factors[5], data.shape[5] // factors[5], lists.shape[1]
    for a, b, c, z, y in np.ndindex(low.shape[:5]):
        a0, a1 = span(a, factors[0], data.shape[0])
        b0, b1 = span(b, factors[1], data.shape[1])
        c0, c1 = span(c, factors[2], data.shape[2])
        z0, z1 = span(z, factors[3], data.shape[3])
        y0, y1 = span(y, factors[4], data.shape[4])
        x = 0
        while x < low.shape[5]:
            size, wide = min(size_of_tile, full - x), width
            if x >= full:  # a box at the end of the row, of fewer elements
                size, wide = 1, data.shape[5] - full * width
            count = 0
            for i in range(a0, a1):
                for j in range(b0, b1):
                    for k in range(c0, c1):
                        for p in range(z0, z1):
                            for q in range(y0, y1):
                                line = data[i, j, k, p, q, x * width :]
                                for t in range(wide):
                                    put(line, width, t, kind, marks, lists[count, :size])
                                    count += 1
            these, those = low[a, b, c, z, y, x : x + size], high[a, b, c, z, y, x : x + size]
            if frequent:
                most_frequent(lists[:count], these)
            else:
                middle(lists[:count], kind, marks, these, those)
            x += size


@njit(inline="always")
def put(line, width, first, kind, marks, out):
    """Every width-th element of a line."""
    for x in range(len(out)):
        out[x] = key_of(line[x * width + first], kind, marks)


@njit(nogil=True, cache=True)
def middle(lists, kind, marks, low, high):
    count, size = len(lists), len(low)
    sort(lists, size)
    a, b, last = lists[(count - 1) // 2], lists[count // 2], lists[count - 1]
    for x in range(size):
        missing = kind == 2 and last[x] == marks[3]
        low[x] = last[x] if missing else a[x]
        high[x] = last[x] if missing else b[x]


@njit(nogil=True, cache=True)
def most_frequent(lists, out):
    """Lists of which all elements are alike, as in the middle of an object, are not sorted."""
    count, size, others = len(lists), len(out), 0
    places = np.empty(size, np.int32)
    apart = np.zeros(size, np.uint8)
    for k in range(1, count):
        for x in range(size):
            apart[x] |= np.uint8(lists[k, x] != lists[0, x])
    for x in range(size):
        out[x] = lists[0, x]
        if apart[x]:
            places[others] = x
            for k in range(count):
                lists[k, others] = lists[k, x]
            others += 1
    if others == 0:
        return
    sort(lists, others)
    run, most = np.ones(others, np.int32), np.ones(others, np.int32)
    found = lists[0, :others].copy()
    for k in range(1, count):
        for x in range(others):
            run[x] = run[x] + 1 if lists[k, x] == lists[k - 1, x] else 1
            if run[x] > most[x]:
                most[x] = run[x]
                found[x] = lists[k, x]
    for x in range(others):
        out[places[x]] = found[x]


@njit(nogil=True, cache=True)
def sort(lists, size):
    """Sort lists[:, x] for each x below size: D. E. Knuth, The Art of Computer Programming 3, algorithm 5.2.2M."""
    count, top = len(lists), 1
    while 2 * top < count:
        top *= 2
    p = top if count > 1 else 0
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            for i in range(count - d):
                if i & p == r:
                    exchange(lists[i, :size], lists[i + d, :size])
            d, q, r = q - p, q // 2, p
        p //= 2


@njit(inline="always")
def exchange(a, b):
    for x in range(len(a)):
        u, v = a[x], b[x]
        a[x], b[x] = min(u, v), max(u, v)
