"""The smallest sums of elements and what a ball adds to them, on the CPU: rows of the ball that are alike share their
minima, and elements at the same distance on both sides their sum."""

from __future__ import annotations

import numpy as np
from numba import njit

from gridstride.workers.vectors import add_saturated, elements, every, get, lanes, low, put


@njit(nogil=True, cache=True)
def lowest(flat, firsts, offsets, kinds, places, adds, reach, out):
    """out[row, x] = min over the ball of element + adds, saturated.

    flat: the padded array; firsts: int64 (rows,), where the first element under the ball's first row is, for each row
    offsets: of the ball's rows; those of kind k are offsets[kinds[k]:kinds[k + 1]], and their elements add
    adds[places[k]:places[k + 1]], by distance; reach: of the ball along a row
    """
    n, step = out.shape[1], lanes(flat)
    width = (n + 2 * reach + 5 * step) // step * step
    line, best = np.empty(width + 5 * step, flat.dtype), np.empty(n + 5 * step, flat.dtype)
    lines, sums, table = elements(line), elements(best), elements(adds)
    for row in range(len(firsts)):
        for k in range(len(kinds) - 1):
            first, last = kinds[k], kinds[k + 1]
            side = places[k + 1] - places[k] - 1
            for x in range((reach - side) // step * step, n + reach + side, step):
                value = get(flat, firsts[row] + offsets[first] + x)
                for r in range(first + 1, last):
                    value = low(value, get(flat, firsts[row] + offsets[r] + x))
                put(line, x, value)
            _along(flat, lines, sums, table, places[k], places[k + 1], reach, n, k == 0)
        out[row] = best[:n]


@njit(nogil=True, cache=True)
def _along(flat, line, best, adds, first, last, reach, n, fresh):
    """Four vectors at a time: what is added is loaded once for them."""
    step = lanes(flat)
    for x in range(0, n, 4 * step):
        at = x + reach
        most = add_saturated(get(line, at), every(flat, adds[first]))
        a = most if fresh else low(get(best, x), most)
        b = add_saturated(get(line, at + step), every(flat, adds[first]))
        c = add_saturated(get(line, at + 2 * step), every(flat, adds[first]))
        d = add_saturated(get(line, at + 3 * step), every(flat, adds[first]))
        if not fresh:
            b = low(get(best, x + step), b)
            c = low(get(best, x + 2 * step), c)
            d = low(get(best, x + 3 * step), d)
        for k in range(1, last - first):
            more, down, up = every(flat, adds[first + k]), at - k, at + k
            a = low(a, add_saturated(low(get(line, down), get(line, up)), more))
            b = low(b, add_saturated(low(get(line, down + step), get(line, up + step)), more))
            c = low(c, add_saturated(low(get(line, down + 2 * step), get(line, up + 2 * step)), more))
            d = low(d, add_saturated(low(get(line, down + 3 * step), get(line, up + 3 * step)), more))
        put(best, x, a)
        put(best, x + step, b)
        put(best, x + 2 * step, c)
        put(best, x + 3 * step, d)
