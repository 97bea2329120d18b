"""Histograms on the CPU."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def count_integers(flat, low, counts):
    """Add each element to the bin of its value; low: the value of the first bin, of the elements' type."""
    for i in range(len(flat)):
        counts[np.int64(flat[i] - low)] += 1


@njit(nogil=True, cache=True)
def count_numbers(flat, edges, scale, counts):
    """Add each element to the bin whose lower edge it is not below, and whose upper edge it is below."""
    first, last = np.float64(edges[0]), len(counts) - 1
    for i in range(len(flat)):
        v = flat[i]
        if v == v:
            bin_ = int((np.float64(v) - first) * scale)
            bin_ = 0 if bin_ < 0 else (last if bin_ > last else bin_)
            while bin_ > 0 and v < edges[bin_]:
                bin_ -= 1
            while bin_ < last and v >= edges[bin_ + 1]:
                bin_ += 1
            counts[bin_] += 1
