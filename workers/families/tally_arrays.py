"""Tally by functions of arrays, written once for NumPy and CuPy: on a GPU, where it takes a fraction of the time of the
block's upload; and on the CPU of groups of few elements, of which the kernels' tables would take longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.keys import (
    ABOVE,
    BELOW,
    BINS,
    DIGITS,
    FINITE,
    HIGH,
    HIGH_RESTS,
    HISTOGRAM,
    LOW,
    MISSING,
    NAN,
    PIECE,
    REST_BITS,
    RESTS,
    SQUARES,
    SUM,
    kept_bits,
    sparse,
)

if TYPE_CHECKING:
    from gridstride.workers.families.tally import Tally

ORIGIN = 34  # parts of 32 bits before 2^0
HALF = np.uint64(2**32 - 1)
WORD = np.uint64(32)
SPARSE = 8  # bins for each element, from which on elements are put in order instead of counted in bins


def rows_of(op: Tally, group: int, flat: Any, missing: int, xp: Any) -> list[Any]:
    """The report on a group's elements: rows for each piece."""
    found, keys, rows = [(MISSING, missing)], list[int](), list[Any]()
    for first in range(0, len(flat), PIECE):
        piece = flat[first : first + PIECE]
        bits, kind, width = piece.view(f"u{piece.itemsize}").astype(np.uint64), piece.dtype.kind, 8 * piece.itemsize
        size = bits & np.uint64(2 ** (width - 1) - 1)
        infinity = np.uint64(0x7F800000 if width == 32 else 0x7FF0000000000000) if kind == "f" else np.uint64(2**64 - 1)
        finite = bits[size < infinity] if kind == "f" else bits
        if op.level <= 0:
            found.append((FINITE, len(finite)))
            if kind == "f":
                negative = (bits >> np.uint64(width - 1)) != 0
                found.append((NAN, int((size > infinity).sum())))
                found += [(ABOVE, int(((size == infinity) & ~negative).sum()))]
                found += [(BELOW, int(((size == infinity) & negative).sum()))]
        if op.extremes and len(finite):
            key = keys_of(finite, kind, width, xp)
            keys += [int(key.min()), int(key.max())]
        if op.sums and len(finite):
            found += sums(finite, kind, width, xp)
        if op.level >= 0:
            numbers = bits[size <= infinity] if kind == "f" else bits
            rows += digits(op, group, keys_of(numbers, kind, width, xp), piece.dtype, xp)
        if (edges := op.edges_of(group)) is not None:
            whole = piece[size < infinity] if kind == "f" else piece
            place = xp.searchsorted(xp.asarray(edges), whole.astype(np.float64), side="right") - 1
            last = len(edges) - 2
            rows.append(sparse(group, HISTOGRAM, xp.bincount(xp.clip(place, 0, last), minlength=last + 1), xp))
    if keys:
        found += [(LOW, signed(min(keys))), (HIGH, signed(max(keys)))]
    return [*rows, xp.asarray(np.array([(group, slot, number) for slot, number in found], np.int64))]


def signed(key: int) -> int:
    """The int64 that has the bits of a uint64."""
    return key - 2**64 if key >= 2**63 else key


def keys_of(bits: Any, kind: str, width: int, xp: Any) -> Any:
    top, every = np.uint64(2 ** (width - 1)), np.uint64(2**width - 1)
    if kind == "u":
        return bits
    return bits ^ top if kind == "i" else xp.where((bits & top) != 0, bits ^ every, bits | top)


def sums(bits: Any, kind: str, width: int, xp: Any) -> list[tuple[int, int]]:
    """Slots and numbers of the sums of finite elements and of their squares.

    Each is +- (p0 + p1 * 2^32 + p2 * 2^64) * 2^(32 (k - ORIGIN)).
    """
    negative = (bits >> np.uint64(width - 1)) != 0 if kind != "u" else xp.zeros(bits.shape, bool)
    if kind == "f":
        digits_, bias = (23, 150) if width == 32 else (52, 1075)
        exponent = (bits >> np.uint64(digits_)) & np.uint64(2 ** (width - 1 - digits_) - 1)
        whole = (bits & np.uint64(2**digits_ - 1)) | ((exponent != 0).astype(np.uint64) << np.uint64(digits_))
        place = xp.maximum(exponent, np.uint64(1)) + np.uint64(32 * ORIGIN - bias)
    else:
        whole = xp.where(negative, ~bits + np.uint64(1), bits) & np.uint64(2**width - 1)
        place = xp.full(bits.shape, 32 * ORIGIN, np.uint64)
    k, shift = place >> np.uint64(5), place & np.uint64(31)
    low, high = (whole & HALF) << shift, (whole >> WORD) << shift
    parts = low & HALF, (low >> WORD) | (high & HALF), high >> WORD
    found = []
    for one in xp.unique(k):
        here, at = k == one, int(one)
        p, sign = [part[here] for part in parts], xp.where(negative[here], -1, 1)
        found += [(SUM + at + j, int((sign * part.astype(np.int64)).sum())) for j, part in enumerate(p)]
        for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
            product, times, slot = p[i] * p[j], 1 if i == j else 2, SQUARES + 2 * at + i + j
            found += [(slot, times * int((product & HALF).sum())), (slot + 1, times * int((product >> WORD).sum()))]
    return found


def digits(op: Tally, group: int, keys: Any, dtype: np.dtype, xp: Any) -> list[Any]:
    """Rows of how many keys have each digit, and of the sums of what comes after it."""
    first, prefixes = op.prefixes_of(group)
    shift = np.uint64(kept_bits(dtype, op.level))
    digit = ((keys >> shift) & np.uint64(0xFFFF)).astype(np.int64)
    if op.level > 0:
        wanted = xp.asarray(prefixes)
        prefix = (keys >> shift >> np.uint64(16)).astype(np.int64)
        k = xp.minimum(xp.searchsorted(wanted, prefix), len(prefixes) - 1)
        there = wanted[k] == prefix
        digit, keys = (k * BINS + digit)[there], keys[there]
    count, begin = BINS * len(prefixes), first * BINS
    weights = []
    if op.rests:
        rest = keys & np.uint64((1 << int(shift)) - 1)
        few, many = rest & np.uint64(2**REST_BITS - 1), rest >> np.uint64(REST_BITS)
        weights = [(RESTS, few.astype(np.float64)), (HIGH_RESTS, many.astype(np.float64))]
    slots = None
    if SPARSE * len(digit) < count:
        slots, digit = xp.unique(digit, return_inverse=True)
        count = len(slots)
    found = [(DIGITS, xp.bincount(digit, minlength=count))]
    found += [(slot, xp.bincount(digit, of, count).astype(np.int64)) for slot, of in weights]  # below 2^46: exact
    return [sparse(group, slot + begin, numbers, xp, slots) for slot, numbers in found]
