"""Joined arrays on the CPU: a piece at a time, so that sums stay in cache. Arrays are flat."""

from __future__ import annotations

import numpy as np
from numba import njit

PIECE = 1024


@njit(nogil=True, cache=True)
def euclidean(arrays, numbers, out):
    """The square root of the sum of squares, in float64."""
    squares = np.empty(PIECE, np.float64)
    for first in range(0, len(out), PIECE):
        count = min(PIECE, len(out) - first)
        squares[:count] = 0
        for array in arrays:
            for i in range(count):
                value = np.float64(array[first + i])
                squares[i] += value * value
        for i in range(count):
            out[first + i] = np.sqrt(squares[i])


@njit(nogil=True, cache=True)
def weighted(arrays, numbers, out):
    """The sum of each array times its number, in order."""
    for first in range(0, len(out), PIECE):
        last = min(first + PIECE, len(out))
        for k in range(len(arrays)):
            array, weight = arrays[k], out.dtype.type(numbers[k])
            if k == 0:
                for i in range(first, last):
                    out[i] = weight * array[i]
            else:
                for i in range(first, last):
                    out[i] += weight * array[i]


@njit(nogil=True, cache=True)
def maximum(arrays, numbers, out):
    """The largest element; NaN where one is NaN."""
    for first in range(0, len(out), PIECE):
        last = min(first + PIECE, len(out))
        out[first:last] = arrays[0][first:last]
        for array in arrays[1:]:
            for i in range(first, last):
                if not (out[i] >= array[i] or out[i] != out[i]):
                    out[i] = array[i]


@njit(nogil=True, cache=True)
def product(arrays, numbers, out):
    """The product of all arrays, in order."""
    for first in range(0, len(out), PIECE):
        last = min(first + PIECE, len(out))
        out[first:last] = arrays[0][first:last]
        for array in arrays[1:]:
            for i in range(first, last):
                out[i] *= array[i]


def ratio(arrays, numbers, out):
    """The first array divided by the second, as IEEE 754 divides: by 0 it is infinite or NaN."""
    a, b = arrays
    with np.errstate(all="ignore"):
        np.divide(a, b, out=out)


def difference(arrays, numbers, out):
    """The first array less the second; integers saturate, of truth values it is what the second lacks."""
    a, b = arrays
    if out.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(a, b, out=out)
    elif out.dtype.kind == "b":
        np.greater(a, b, out=out)
    elif out.dtype.kind == "u":
        np.subtract(np.maximum(a, b), b, out=out)
    else:
        limits = np.iinfo(out.dtype)
        np.subtract(a, b, out=out)  # wraps around where it is too large
        past = ((a ^ b) & (a ^ out)) < 0
        out[past] = np.where(a[past] < 0, limits.min, limits.max)


FORMULAS = {"difference": difference, "euclidean": euclidean, "weighted": weighted, "maximum": maximum,
            "product": product, "ratio": ratio}  # fmt: skip
