"""Comparisons with thresholds of each element on the CPU. Arrays are flat."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def level(data, thresholds, offset, out):
    kind = thresholds.dtype.type
    for i in range(len(data)):
        out[i] = kind(data[i]) > thresholds[i] - offset


@njit(nogil=True, cache=True, error_model="numpy")
def spread(data, means, squares, offset, k, r, sauvola, out):
    """By the standard deviation, from means and means of squares."""
    for i in range(len(data)):
        m = means[i]
        deviation = np.sqrt(max(squares[i] - m * m, 0.0))
        threshold = m * (1.0 + k * (deviation / r - 1.0)) if sauvola else m - k * deviation
        out[i] = np.float64(data[i]) > threshold - offset
