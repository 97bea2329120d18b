"""The loops of the CPU operators, compiled by Numba; all release the GIL.

All are one loop: a row of output is a weighted sum of rows of input, each found at its own offset in a flat
array (`weighted_rows`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Elements of a row worked on at a time: a float32 piece of the sum (16 KB) stays in the first-level cache.
TILE = 4096


@njit(inline="always")
def weighted_rows(flat, offsets, weights, symmetry, start, size, out):
    """out[i] = start + sum over k of weights[k] * flat[offsets[k] + i], taps in order, or folded if symmetric.

    Four taps (or two pairs) are added at a time: each pass over the sum in memory costs a load and a store. The rows
    are slices because LLVM vectorises a loop only over indices that it knows to start at 0.
    """
    cast = weights.dtype.type
    taps = len(offsets)
    for x0 in range(0, size, TILE):
        n = min(size - x0, TILE)
        total = out[x0 : x0 + n]
        if symmetry == 0:
            for x in range(n):
                total[x] = start
            k = 0
            while k + 4 <= taps:
                a = flat[offsets[k] + x0 : offsets[k] + x0 + n]
                b = flat[offsets[k + 1] + x0 : offsets[k + 1] + x0 + n]
                c = flat[offsets[k + 2] + x0 : offsets[k + 2] + x0 + n]
                d = flat[offsets[k + 3] + x0 : offsets[k + 3] + x0 + n]
                wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
                for x in range(n):
                    t = total[x] + wa * cast(a[x])
                    t = t + wb * cast(b[x])
                    t = t + wc * cast(c[x])
                    total[x] = t + wd * cast(d[x])
                k += 4
            while k < taps:
                a = flat[offsets[k] + x0 : offsets[k] + x0 + n]
                wa = weights[k]
                for x in range(n):
                    total[x] = total[x] + wa * cast(a[x])
                k += 1
        else:
            middle = taps // 2
            sign = cast(symmetry)
            a = flat[offsets[middle] + x0 : offsets[middle] + x0 + n]
            wa = weights[middle]
            for x in range(n):
                total[x] = start + wa * cast(a[x])
            k = 0
            while k + 2 <= middle:
                last = taps - 1 - k
                a = flat[offsets[k] + x0 : offsets[k] + x0 + n]
                b = flat[offsets[last] + x0 : offsets[last] + x0 + n]
                c = flat[offsets[k + 1] + x0 : offsets[k + 1] + x0 + n]
                d = flat[offsets[last - 1] + x0 : offsets[last - 1] + x0 + n]
                wa, wb = weights[k], weights[k + 1]
                for x in range(n):
                    t = total[x] + wa * (cast(a[x]) + sign * cast(b[x]))
                    total[x] = t + wb * (cast(c[x]) + sign * cast(d[x]))
                k += 2
            while k < middle:
                last = taps - 1 - k
                a = flat[offsets[k] + x0 : offsets[k] + x0 + n]
                b = flat[offsets[last] + x0 : offsets[last] + x0 + n]
                wa = weights[k]
                for x in range(n):
                    total[x] = total[x] + wa * (cast(a[x]) + sign * cast(b[x]))
                k += 1


def rows(flat, bases, offsets, weights, symmetry, start, divisor, out):
    """out[r] = the weighted sum of rows at bases[r] + offsets. flat: 1-D; out: (rows, n) of the weights' dtype."""
    here = np.empty_like(offsets)
    for r in range(len(bases)):
        for k in range(len(offsets)):
            here[k] = bases[r] + offsets[k]
        weighted_rows(flat, here, weights, symmetry, start, out.shape[1], out[r])
        if divisor != 1:
            for x in range(out.shape[1]):
                out[r, x] /= divisor


# One source, compiled twice: float32 sums may use fused multiply-adds; float64 sums may not, to have the bits of
# scipy's, which is compiled without them.
KERNELS = {
    np.dtype(np.float32): [njit(nogil=True, cache=True, fastmath={"contract"})(f) for f in (rows,)],
    np.dtype(np.float64): [njit(nogil=True, cache=True)(f) for f in (rows,)],
    np.dtype(np.int64): [njit(nogil=True, cache=True)(f) for f in (rows,)],
}


@njit(nogil=True, cache=True)
def round_to(values, low, high, out):
    """Round half to even and saturate; NaN becomes 0. For integers that float64 holds exactly."""
    cast = out.dtype.type
    for i in range(len(values)):
        v = np.rint(np.float64(values[i]))
        v = min(max(v, low), high) if v == v else 0.0
        out[i] = cast(v)


@njit(nogil=True, cache=True)
def round_to_64(values, low, high, low_int, high_int, out):
    """The same for 64-bit integers, whose largest values float64 cannot represent."""
    cast = out.dtype.type
    for i in range(len(values)):
        v = np.rint(np.float64(values[i]))
        if v >= high:
            out[i] = high_int
        elif v <= low:
            out[i] = low_int
        else:
            out[i] = cast(v) if v == v else cast(0)
