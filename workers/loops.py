"""Rounding of floating-point results to integers on the CPU, compiled by Numba; it releases the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit


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


@njit(nogil=True, cache=True)
def clip_to(values, low, high, out):
    """Elements below low are low, those above high are high; NaN stays."""
    for i in range(len(values)):
        v = values[i]
        out[i] = low if v < low else (high if v > high else v)
