"""Exact quotients of sums of integers in two halves, high * 2^32 + low. Written once for NumPy and CuPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def halves(data: Any) -> tuple[Any, Any]:
    """(high, low) of integers, each int64, so that sums of fewer than 2^30 of either fit in 64 bits."""
    wide = data.astype(np.uint64 if data.dtype == np.uint64 else np.int64)
    return (wide >> wide.dtype.type(32)).view(np.int64), (wide & wide.dtype.type(0xFFFFFFFF)).view(np.int64)


def divided(high: Any, low: Any, count: Any, dtype: Any) -> tuple[Any, Any]:
    """(high * 2^32 + low) / count as a whole number of 64 bits and what is left of count: all arrays int64, divisions
    towards -infinity. dtype: int64, or uint64 for numbers beyond 2^63"""
    quotient = high // count
    low = low + ((high - quotient * count) << 32)
    below = low // count
    return ((quotient << 32) + below).view(dtype), low - below * count


def half_to_even(mean: Any, rest: Any, count: Any) -> Any:
    """mean + rest / count, rounded."""
    twice, odd = 2 * rest, mean & mean.dtype.type(1) == 1
    return mean + ((twice > count) | ((twice == count) & odd))


def as_number(mean: Any, rest: Any, count: Any, xp: Any) -> Any:
    """mean + rest / count, rounded once, to float64."""
    kind, scale = mean.dtype.type, xp.ones(mean.shape)
    while True:  # eight more bits of the quotients that leave something and have fewer than 55
        more = (rest != 0) & (abs(mean >> kind(1)) < kind(2**54))
        if not more.any():  # the last bit says that there is more
            return (mean | (rest != 0).astype(mean.dtype)).astype(np.float64) * scale
        eight = rest << 8
        mean = xp.where(more, (mean << kind(8)) + (eight // count).astype(mean.dtype), mean)
        rest, scale = xp.where(more, eight % count, rest), xp.where(more, scale / 256, scale)


def apart(data: Any, mean: Any, xp: Any) -> Any:
    """Integers less whole numbers of 64 bits, rounded once, to float64."""
    data = data.astype(mean.dtype)
    above = data >= mean
    far = xp.where(above, data.view(np.uint64) - mean.view(np.uint64), mean.view(np.uint64) - data.view(np.uint64))
    far = far.astype(np.float64)
    return xp.where(above, far, -far)
