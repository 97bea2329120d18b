"""Joined arrays on the CPU: a piece at a time, so that sums stay in cache. Arrays are flat.

Loops are over slices: LLVM vectorises a loop only over indices that it knows to start at 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit

PIECE = 1024
STRETCH = 2**15  # of NumPy's functions: a call takes a microsecond or two


@njit(nogil=True, cache=True)
def euclidean(arrays, numbers, out):
    """The square root of the sum of squares, in float64."""
    squares = np.empty(PIECE, np.float64)
    for first in range(0, len(out), PIECE):
        target = out[first : first + PIECE]
        squares[:] = 0
        for array in arrays:
            piece = array[first : first + PIECE]
            for i in range(len(piece)):
                value = np.float64(piece[i])
                squares[i] += value * value
        for i in range(len(target)):
            target[i] = np.sqrt(squares[i])


@njit(nogil=True, cache=True)
def weighted(arrays, numbers, out):
    """The sum of each array times its number, in order."""
    for first in range(0, len(out), PIECE):
        target = out[first : first + PIECE]
        for k in range(len(arrays)):
            piece, weight = arrays[k][first : first + PIECE], out.dtype.type(numbers[k])
            if k == 0:
                for i in range(len(piece)):
                    target[i] = weight * piece[i]
            else:
                for i in range(len(piece)):
                    target[i] += weight * piece[i]


@njit(nogil=True, cache=True)
def maximum(arrays, numbers, out):
    """The largest element; NaN where one is NaN."""
    for first in range(0, len(out), PIECE):
        target = out[first : first + PIECE]
        target[:] = arrays[0][first : first + PIECE]
        for array in arrays[1:]:
            piece = array[first : first + PIECE]
            for i in range(len(piece)):
                have, other = target[i], piece[i]
                target[i] = have if have >= other or have != have else other


@njit(nogil=True, cache=True)
def product(arrays, numbers, out):
    """The product of all arrays, in order."""
    for first in range(0, len(out), PIECE):
        target = out[first : first + PIECE]
        target[:] = arrays[0][first : first + PIECE]
        for array in arrays[1:]:
            piece = array[first : first + PIECE]
            for i in range(len(piece)):
                target[i] *= piece[i]


def ratio(arrays, numbers, out):
    """The first array divided by the second, as IEEE 754 divides: by 0 it is infinite or NaN."""
    a, b = arrays
    with np.errstate(all="ignore"):
        np.divide(a, b, out=out)


@njit(nogil=True, cache=True, error_model="numpy")
def quotient(arrays, numbers, out):
    """The first array divided by the second and 1e-12; 0 where this is below a number; 1 where the first is none."""
    a, b = arrays
    least, more = out.dtype.type(numbers[1]), out.dtype.type(1e-12)
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for first in range(0, len(out), PIECE):
        image, blurred, target = a[first : first + PIECE], b[first : first + PIECE], out[first : first + PIECE]
        for i in range(len(target)):
            by = blurred[i] + more
            found = zero if by < least else image[i] / by
            target[i] = found if image[i] - image[i] == zero else one


@njit(nogil=True, cache=True)
def corrected(arrays, numbers, out):
    """The product of two arrays; 0 for what is within 1e-30 of it."""
    a, b = arrays
    least, zero = out.dtype.type(1e-30), out.dtype.type(0)
    for first in range(0, len(out), PIECE):
        values, factors, target = a[first : first + PIECE], b[first : first + PIECE], out[first : first + PIECE]
        for i in range(len(target)):
            found = values[i] * factors[i]
            target[i] = zero if abs(found) < least else found


@njit(nogil=True, cache=True, error_model="numpy")
def estimate(arrays, numbers, out):
    """The second array, within a number and its negative; the first where that is no finite number."""
    a, b = arrays
    most = out.dtype.type(numbers[1])
    for first in range(0, len(out), PIECE):
        image, values, target = a[first : first + PIECE], b[first : first + PIECE], out[first : first + PIECE]
        for i in range(len(target)):
            found = most if values[i] > most else -most if values[i] < -most else values[i]
            target[i] = found if image[i] - image[i] == 0 else image[i]


def difference(arrays, numbers, out):
    """The first array less the second; integers saturate, of truth values it is what the second lacks."""
    a, b = arrays
    for first in range(0, len(out), STRETCH):
        part = slice(first, first + STRETCH)
        _subtract(a[part], b[part], out[part])


def _subtract(a, b, out):
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
            "product": product, "ratio": ratio, "quotient": quotient, "corrected": corrected,
            "estimate": estimate}  # fmt: skip
