"""Squared Euclidean distances on the CPU, axis after axis, and the nearest labels.

Volumes are (outer, n, inner): n elements along the axis, `inner` of which lie beside each other. Squared distances are
int32 where all are whole and small, else float64; FAR stands for no element at all.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.buffers import Borrowed
from gridstride.workers.families.comparing import if_less, reaching
from gridstride.workers.vectors import add, elements, every, get, lanes, low, put

if TYPE_CHECKING:
    from gridstride.workers.families.distance import Expansion, Squares

NEAR = 96  # steps along an axis that take less time one by one than by the envelope
SPAN = 2  # vectors of neighbouring columns that are taken together


def squared(
    data: np.ndarray,
    squares: Squares,
    axes: tuple[int, ...],
    found: np.ndarray,
    begun: bool = False,
    most: tuple[int, ...] | None = None,
) -> None:
    """Squared distances of a whole window along some axes, the last of them first, into `found`, contiguous.

    begun: whether data are squared distances along other axes, else elements; most: steps along each axis of the array
    that are looked at, or None for all
    """
    left = sorted(axes, reverse=True)
    if begun:
        found[...] = data
    else:
        axis = left.pop(0)
        with Borrowed() as memory:
            zero = memory.array(data.shape, np.dtype(bool))
            np.equal(data, 0, out=zero)
            scan = _scan_rows if prod(data.shape[axis + 1 :]) == 1 else _scan
            table = squares.table(axis, data.shape[axis])
            scan(_volume(zero.view(np.uint8), axis), table, squares.far, _volume(found, axis))
    for axis in left:
        volume, reach = _volume(found, axis), NEAR if most is None else most[axis]
        n, span = volume.shape[1], SPAN * 64 // found.itemsize
        if n > 1:
            table = squares.table(axis, max(n, reach + 3))
            columns = np.full((n + 2 * reach + 2) * span, squares.far, found.dtype)
            scale = squares.sampling[axis] ** 2
            work = columns, np.zeros(n * span, found.dtype), np.empty(n, np.int64), np.empty(n + 1)
            _columns(volume, table, squares.far, scale, reach, n - 1 > reach and most is None, *work)


def _volume(array: np.ndarray, axis: int) -> np.ndarray:
    return array.reshape(prod(array.shape[:axis]), array.shape[axis], prod(array.shape[axis + 1 :]))


def roots(found: np.ndarray, squares: Squares, out: np.ndarray, most: float = np.inf) -> None:
    """Distances, `most` at most; infinity where there is nothing to be far from."""
    result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    _roots(np.ascontiguousarray(found).reshape(-1), squares.far, most, result.reshape(-1))
    if result is not out:
        out[...] = result


@njit(nogil=True, cache=True)
def _roots(squares, far, most, out):
    for i in range(len(squares)):
        out[i] = min(np.sqrt(np.float64(squares[i])) if squares[i] < far else np.inf, most)


@njit(nogil=True, cache=True)
def _scan(zero, table, far, out):
    """Along each line, to the next element that is zero: there and back."""
    outer, n, inner = zero.shape
    steps = np.empty(inner, np.int32)
    line = np.empty((n, inner), np.int32)
    for o in range(outer):
        steps[:] = n
        for i in range(n):
            for k in range(inner):
                steps[k] = 0 if zero[o, i, k] else steps[k] + 1
                line[i, k] = steps[k]
        steps[:] = n
        for i in range(n - 1, -1, -1):
            for k in range(inner):
                steps[k] = 0 if zero[o, i, k] else steps[k] + 1
                nearest = min(steps[k], line[i, k])
                out[o, i, k] = table[nearest] if nearest < n else far


@njit(nogil=True, cache=True)
def _scan_rows(zero, table, far, out):
    """The same of lines whose elements lie beside each other."""
    outer, n, _ = zero.shape
    squares = np.append(table[:n], far)
    line = np.empty(n, np.int32)
    for o in range(outer):
        steps = n
        for i in range(n):
            steps = 0 if zero[o, i, 0] else steps + 1
            line[i] = min(steps, n)
        steps = n
        for i in range(n - 1, -1, -1):
            steps = 0 if zero[o, i, 0] else steps + 1
            out[o, i, 0] = squares[min(steps, line[i])]


@njit(nogil=True, cache=True)
def _columns(squares, table, far, scale, reach, farther, columns, found, places, edges):
    """The smallest of squares[i +- d] + table[d] of each column, in place. Columns with an element that is farther than
    `reach` from all are done again another way.

    columns: a tile of them, with reach + 1 rows of `far` before and after
    """
    outer, n, inner = squares.shape
    step = lanes(columns)
    span = SPAN * step
    first = (reach + 1) * span
    for o in range(outer):
        for start in range(0, inner, span):
            count = min(span, inner - start)
            for i in range(n):
                for k in range(count):
                    columns[first + i * span + k] = squares[o, i, start + k]
            flags = _nearest(columns, n, first, table, reach, found)
            for k in range(count):
                if farther and flags >> np.uint64(k) & np.uint64(1):
                    _envelope(
                        columns[first + k : first + n * span : span], table, far, scale, places, edges, found[k::span]
                    )
            for i in range(n):
                for k in range(count):
                    squares[o, i, start + k] = found[i * span + k]


@njit(nogil=True, cache=True)
def _nearest(columns, n, first, table, reach, found):
    """The columns that are not done, a bit for each. Steps are taken until no lane can become less."""
    step, flags = lanes(columns), np.uint64(0)
    span = SPAN * step
    given, into, square = elements(columns), elements(found), elements(table)
    last = every(columns, table[reach + 1])
    for i in range(n):
        for v in range(0, span, step):
            at = first + i * span + v
            best = get(given, at)
            for d in range(1, reach + 1, 2):
                near = every(columns, square[d])
                if not reaching(best, near):
                    break
                best = low(best, low(add(get(given, at - d * span), near), add(get(given, at + d * span), near)))
                next_, e = every(columns, square[d + 1]), (d + 1) * span
                best = low(best, low(add(get(given, at - e), next_), add(get(given, at + e), next_)))
            flags |= reaching(best, last) << np.uint64(v)
            put(into, i * span + v, best)
    return flags


@njit(nogil=True, cache=True)
def _envelope(squares, table, far, scale, places, edges, out):
    """The same of one column, by the lower envelope of its parabolas, whatever the distances.

    P. F. Felzenszwalb, D. P. Huttenlocher, "Distance transforms of sampled functions", 2012. The parabolas beside the
    lowest one are looked at too: where they meet, it may be the wrong one by a rounding.
    """
    count = 0
    for q in range(len(squares)):
        if squares[q] >= far:
            continue
        edge = -np.inf
        while count:
            p = places[count - 1]
            rise = np.float64(squares[q]) - np.float64(squares[p])
            edge = rise / (2 * scale * (q - p)) + (q + p) / 2
            if count == 1 or edge > edges[count - 1]:
                break
            count -= 1
        edges[count], places[count] = edge, q
        count += 1
    k = 0
    for i in range(len(squares)):
        while k + 1 < count and edges[k + 1] < i:
            k += 1
        best = squares.dtype.type(far)
        for j in range(max(0, k - 1), min(count, k + 2)):
            best = min(best, squares[places[j]] + table[abs(i - places[j])])
        out[i] = best


def expanded(labels: np.ndarray, op: Expansion, inside: tuple[slice, ...], out: np.ndarray) -> None:
    """Grow the labels of a window, contiguous, axis after axis, the first of them first: of several label elements that
    are as near, the one that is first along the last axis is taken, and then along those before it."""
    squares, (first, *others) = op.squares, op.axes
    with Borrowed() as memory:
        some = memory.array(labels.shape, np.dtype(bool))
        costs = memory.array(labels.shape, squares.dtype)
        sources = memory.array(labels.shape, np.dtype(f"i{squares.dtype.itemsize}"))
        np.not_equal(labels, 0, out=some)
        table, volumes = squares.table(first, op.reach[first] + 2), [_volume(a, first) for a in (costs, sources)]
        _scan_labels(op.reach[first], _volume(some.view(np.uint8), first), table, squares.far, *volumes)
        for axis in others:
            reach, volumes = op.reach[axis], [_volume(a, axis) for a in (costs, sources)]
            if reach == 0:
                continue
            jump = span = SPAN * 64 // costs.itemsize
            if volumes[0].shape[2] == 1:  # lines whose elements lie beside each other
                volumes, jump, span = [a.reshape(len(a), 1, -1) for a in volumes], 1, costs.shape[axis]
            size = volumes[0].shape[1] * span + 64
            work = [np.full(size + 2 * reach * jump, squares.far, costs.dtype), np.empty(size, costs.dtype)]
            work += [np.zeros(a.size, sources.dtype) for a in work]
            _spread(*volumes, squares.table(axis, reach + 1), reach, jump, span, *work)
        result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        flat = [np.ascontiguousarray(a[inside]).reshape(-1) for a in (costs, sources)]
        bits = f"u{labels.itemsize}"
        most = squares.dtype.type(squares.within(op.bound))
        _gather(labels.reshape(-1).view(bits), *flat, most, result.reshape(-1).view(bits))
    if result is not out:
        out[...] = result


@njit(nogil=True, cache=True)
def _gather(labels, costs, sources, most, out):
    none = labels.dtype.type(0)  # a plain 0 would make float64 of 64 bits
    for i in range(len(out)):
        out[i] = labels[sources[i]] if costs[i] <= most else none


@njit(nogil=True, cache=True)
def _scan_labels(reach, some, table, far, costs, sources):
    """Along each line, the nearest element that is some: there and back. Of two the one before."""
    outer, n, inner = some.shape
    last = np.empty(inner, np.int32)
    for o in range(outer):
        last[:] = -reach - 1
        for i in range(n):
            for k in range(inner):
                last[k] = i if some[o, i, k] else last[k]
                sources[o, i, k] = last[k]
        last[:] = n + reach
        for i in range(n - 1, -1, -1):
            for k in range(inner):
                last[k] = i if some[o, i, k] else last[k]
                before, after = i - sources[o, i, k], last[k] - i
                place = i - before if before <= after else i + after
                steps = min(before, after)
                costs[o, i, k] = table[steps] if steps <= reach else far
                sources[o, i, k] = (o * n + place) * inner + k


@njit(nogil=True, cache=True)
def _spread(costs, sources, table, reach, jump, span, near, found, come, gone):
    """The least of costs[i +- d] + table[d] along an axis, and the source that goes with it, in place.

    near, come: room for rows of `span` elements of both, those next to each other along the axis `jump` apart, with
    `reach` more of them before and after; found, gone: for what is made of them
    """
    outer, rows, inner = costs.shape
    first = reach * jump
    for o in range(outer):
        for start in range(0, inner, span):
            count = min(span, inner - start)
            for i in range(rows):
                for k in range(count):
                    near[first + i * span + k] = costs[o, i, start + k]
                    come[first + i * span + k] = sources[o, i, start + k]
            _spread_tile(near, come, table, reach, jump, rows * span, found, gone)
            for i in range(rows):
                for k in range(count):
                    costs[o, i, start + k] = found[i * span + k]
                    sources[o, i, start + k] = gone[i * span + k]


@njit(nogil=True, cache=True)
def _spread_tile(near, come, table, reach, jump, size, found, gone):
    step = lanes(near)
    costs, places, into, where, square = (
        elements(near),
        elements(come),
        elements(found),
        elements(gone),
        elements(table),
    )
    for i in range(0, size, step):
        at = reach * jump + i
        best, place = get(costs, at), get(places, at)
        for d in range(1, reach + 1):
            far = every(near, square[d])
            if not reaching(best, far):
                break
            before, after = at - d * jump, at + d * jump
            cost = add(get(costs, before), far)
            place = if_less(best, cost, place, get(places, before))
            best = low(best, cost)
            cost = add(get(costs, after), far)
            place = if_less(cost, best, get(places, after), place)
            best = low(best, cost)
        put(into, i, best)
        put(where, i, place)
