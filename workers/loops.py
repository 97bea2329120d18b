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


@njit(nogil=True, cache=True)
def rescale_to(values, numbers, truncate, out):
    """((v cut to low .. high) - shift) / span * gain + offset, in the type of the numbers."""
    low, high, shift, span, gain, offset = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    kind = numbers.dtype.type
    for i in range(len(values)):
        v = kind(values[i])
        v = low if v < low else v
        v = high if v > high else v
        v = kind(kind(kind(kind(v - shift) / span) * gain) + offset)
        out[i] = np.trunc(v) if truncate else v


@njit(nogil=True, cache=True)
def look_up(values, table, out):
    """out = table[value]; all are unsigned."""
    for i in range(len(values)):
        out[i] = table[values[i]]
