"""Rectified numbers on the CPU."""

from __future__ import annotations

from numba import njit


@njit(nogil=True, cache=True)
def rectify(data, out):
    """out (of floating-point numbers) = max(data, 0), both flat; NaN stays, and zeros have no sign."""
    for i in range(len(data)):
        v = out.dtype.type(data[i])
        out[i] = v if v > 0 or v != v else out.dtype.type(0)
