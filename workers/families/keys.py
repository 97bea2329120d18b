"""Keys of elements, whole numbers that have the order of the elements; and the slots of a tally's report.

A report is rows (group, slot, number), int64. Slots are:

    MISSING .. FINITE   elements without data, NaN, infinities of both signs, and all others
    LOW, HIGH           the smallest and the largest key of the finite ones, as the bits of a uint64
    SUM + k             their sum, in parts: number * 2^(32 (k - 34))
    SQUARES + k         the sum of their squares: number * 2^(32 (k - 68))
    DIGITS + b          how many elements (all but NaN) have a digit: b = prefix number * 2^16 + digit
    HISTOGRAM + b       how many finite elements a bin of a histogram holds
    RESTS + b           the sum of what comes after the digit b in keys that have it, of the last 24 bits of that
    HIGH_RESTS + b      of the bits before them: number * 2^24

A key is an element's bits, so changed that keys have the order of the numbers. Its digits are of 16 bits, from the top.
Each float64 is a whole number of 53 bits times a power of 2, so its sums are of whole numbers too: nothing is rounded.

    key of 64 bits   | digit 0 | digit 1 | digit 2 | digit 3 |        prefix: the digits before one that is counted
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gridstride.workers.families.histogram import counted_as
from gridstride.workers.families.rows import in_order

MISSING, NAN, ABOVE, BELOW, FINITE, LOW, HIGH = range(7)
SUM, SQUARES, DIGITS, HISTOGRAM, RESTS, HIGH_RESTS = 16, 128, 1024, 2**48, 2**50, 2**51
REST_BITS = 24
SUM_PARTS, SQUARE_PARTS = 70, 140
BINS = 2**16
PIECE = 2**22  # elements that are tallied at a time: copies and sums of that many


def key_bits(dtype: np.dtype) -> int:
    return 8 * counted_as(dtype).itemsize


def levels(dtype: np.dtype) -> int:
    """How many digits a key has."""
    return max(1, key_bits(dtype) // 16)


def kept_bits(dtype: np.dtype, level: int) -> int:
    """How many bits of a key come after the digit of a level."""
    return max(0, key_bits(dtype) - 16 * (level + 1))


def element_of(key: int, dtype: np.dtype) -> float | int:
    """The element that has a key."""
    kind = counted_as(dtype)
    bits, top = 8 * kind.itemsize, 1 << (8 * kind.itemsize - 1)
    if kind.kind == "u":
        return key
    if kind.kind == "i":
        return key - top
    pattern = key ^ top if key & top else key ^ ((1 << bits) - 1)
    return np.array(pattern, f"u{kind.itemsize}").view(kind).item()


def key_of(element: float | int, dtype: np.dtype) -> int:
    """The key of an element of a dtype."""
    kind = counted_as(dtype)
    bits, top = 8 * kind.itemsize, 1 << (8 * kind.itemsize - 1)
    if kind.kind != "f":
        return int(element) + (top if kind.kind == "i" else 0)
    pattern = int(np.array(element, kind).view(f"u{kind.itemsize}"))
    return pattern ^ ((1 << bits) - 1) if pattern & top else pattern | top


def counted(data: np.ndarray) -> Iterator[np.ndarray]:
    """Elements in pieces, each a row of the type that they are counted as."""
    flat = in_order(data).reshape(-1)
    kind = counted_as(flat.dtype)
    for first in range(0, len(flat), PIECE):
        piece = flat[first : first + PIECE]
        yield piece.view(np.uint8) if piece.dtype == np.bool_ else piece.astype(kind, copy=False)


def sparse(group: int, first: int, numbers: Any, xp: Any, slots: Any = None) -> Any:
    """The rows of numbers that are not 0. slots: after `first`, of each number; None: one after another"""
    there = xp.flatnonzero(numbers)
    places = there if slots is None else slots[there]
    return xp.stack([xp.full(len(there), group, np.int64), places + first, numbers[there]], axis=1)
