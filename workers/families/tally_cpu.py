"""Tally on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from gridstride.workers.families.histogram_cpu import count_integers, count_numbers
from gridstride.workers.families.keys import (
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
    REST_BITS,
    RESTS,
    SQUARE_PARTS,
    SQUARES,
    SUM,
    SUM_PARTS,
    counted,
    kept_bits,
    sparse,
)

if TYPE_CHECKING:
    from gridstride.workers.families.tally import Tally

LOW_HALF = 0xFFFFFFFF
SUM_ORIGIN, SQUARE_ORIGIN = 32 * 34, 32 * 68  # bits before 2^0
RUN = 2**15  # products of two float32 whose sum is of 63 bits
EACH = 256  # the same of halves of float64's


def rows_of(op: Tally, group: int, data: np.ndarray, missing: int) -> np.ndarray:
    """The report on a group's elements."""
    found = np.zeros(DIGITS, np.int64)
    found[MISSING] = missing
    first, prefixes = op.prefixes_of(group)
    digits = np.zeros((2, len(prefixes) if op.level >= 0 else 0, BINS), np.int64)
    rests = np.zeros((2, len(prefixes) if op.rests else 0, BINS), np.int64)
    starts, keys, edges = _starts(prefixes, op.level), list[int](), op.edges_of(group)
    bins = np.zeros(0 if edges is None else len(edges) - 1, np.int64)
    for piece in counted(data):
        if op.level <= 0:
            keys += numbers(piece, found)
        if op.sums:
            add(piece, found[SUM : SUM + SUM_PARTS], found[SQUARES : SQUARES + SQUARE_PARTS])
        if op.level == 0 and piece.itemsize <= 2:
            count_integers(piece, piece.dtype.type(np.iinfo(piece.dtype).min), digits[0, 0])
        elif op.level >= 0:
            bits, mode = piece.view(f"u{piece.itemsize}"), "uif".index(piece.dtype.kind)
            count(bits, mode, kept_bits(data.dtype, op.level), prefixes.view(np.uint64), starts, digits, rests)
        if edges is not None:
            finite = piece[np.isfinite(piece)] if piece.dtype.kind == "f" else piece
            count_numbers(finite, edges, len(bins) / (edges[-1] - edges[0]), bins)
    rows = [sparse(group, 0, found, np), sparse(group, HISTOGRAM, bins, np)]
    rows += [sparse(group, DIGITS + first * BINS, digits.sum(axis=0).reshape(-1), np)]
    for slot, numbers_of in zip((RESTS, HIGH_RESTS), rests, strict=True):
        rows.append(sparse(group, slot + first * BINS, numbers_of.reshape(-1), np))
    if op.extremes and keys:
        ends = np.array([min(keys), max(keys)], np.uint64).view(np.int64)
        rows.append(np.array([(group, LOW, ends[0]), (group, HIGH, ends[1])]))
    return np.concatenate(rows)


def _starts(prefixes: np.ndarray, level: int) -> np.ndarray:
    """Which top digits the prefixes begin with, uint8 (2^16,); of one element where all keys count."""
    starts = np.zeros(BINS if level > 0 else 1, np.uint8)
    if level > 0:
        starts[prefixes >> (16 * (level - 1))] = 1
    return starts


def numbers(piece: np.ndarray, found: np.ndarray) -> list[int]:
    """Count the numbers of a piece; the least and the largest key of its finite ones, if there are any."""
    top = 1 << (8 * piece.itemsize - 1)
    if piece.dtype.kind != "f":
        found[FINITE] += len(piece)
        return [int(end) + (top if piece.dtype.kind == "i" else 0) for end in (piece.min(), piece.max())]
    bits = piece.view(f"i{piece.itemsize}")
    kinds, ends = np.zeros(4, np.int64), np.empty(2, np.int64)
    infinity = np.array(np.inf, piece.dtype).view(bits.dtype)[()]
    most, last = bits.dtype.type(top - 1), bits.dtype.type(8 * piece.itemsize - 1)
    scan(bits, infinity, most, last, ends, kinds)
    if kinds[0]:
        scan_odd(bits, infinity, most, ends, kinds)
    found[NAN : BELOW + 1] += kinds[1:]
    finite = len(piece) - int(kinds[1:].sum())
    found[FINITE] += finite
    return [int(end) + top for end in ends] if finite else []


def add(piece: np.ndarray, total: np.ndarray, squares: np.ndarray) -> None:
    """Add finite elements, and their squares."""
    if piece.dtype.kind != "f":
        (add_long if piece.itemsize == 8 else add_whole)(piece, total, squares)
    elif piece.itemsize == 4:
        add_single(piece.view(np.uint32), total, squares)
    else:
        add_double(piece.view(np.uint64), total, squares)


@njit(nogil=True, cache=True)
def scan(bits, infinity, most, last, ends, kinds):
    """The extremes of the keys of floats, signed: all bits but the sign are turned where it is set. kinds[0]: how many
    elements are no finite numbers."""
    low, high, odd = np.int64(2**63 - 1), np.int64(-(2**63)), 0
    for i in range(len(bits)):
        b = bits[i]
        key = np.int64(b ^ ((b >> last) & most))
        low, high = min(low, key), max(high, key)
        odd += (b & infinity) == infinity
    ends[0], ends[1], kinds[0] = low, high, odd


@njit(nogil=True, cache=True)
def scan_odd(bits, infinity, most, ends, kinds):
    """The same of the finite ones among others; kinds[1:]: NaN and the infinities, above and below."""
    low, high = np.int64(2**63 - 1), np.int64(-(2**63))
    for i in range(len(bits)):
        b = bits[i]
        size = b & most
        if size > infinity:
            kinds[1] += 1
        elif size == infinity:
            kinds[3 if b < 0 else 2] += 1
        else:
            key = np.int64(b ^ most) if b < 0 else np.int64(b)
            low, high = min(low, key), max(high, key)
    ends[0], ends[1] = low, high


@njit(inline="always")
def put(parts, value, place):
    """Add value * 2^place, of 63 bits and a sign, to parts of 32 bits each."""
    k, shift = place >> 5, np.int64(place & 31)
    low, high = (value & LOW_HALF) << shift, (value >> 32) << shift
    parts[k] += low & LOW_HALF
    parts[k + 1] += (low >> 32) + (high & LOW_HALF)
    parts[k + 2] += high >> 32


@njit(nogil=True, cache=True)
def add_single(bits, total, squares):
    """Sums of float32, first for each exponent: of whole numbers of 24 bits, and of their squares."""
    table = np.zeros((256, 2, 2), np.int64)
    for first in range(0, len(bits), 2 * RUN):
        for i in range(first, min(first + 2 * RUN, len(bits))):
            b = np.int64(bits[i])
            exponent = (b >> 23) & 255
            m = (b & 0x7FFFFF) | (np.int64(exponent != 0) << 23)
            k = i & 1  # two of each: one need not wait for the other
            table[exponent, k, 0] += -m if b >> 31 else m
            table[exponent, k, 1] += m * m
        for e in range(255):
            at = max(e, 1) - 150
            for half in range(2):
                if table[e, half, 1]:
                    put(total, table[e, half, 0], SUM_ORIGIN + at)
                    put(squares, table[e, half, 1], SQUARE_ORIGIN + 2 * at)
        table[:] = 0


@njit(nogil=True, cache=True)
def settle(row, exponent, total, squares):
    """Add the sums of an exponent of float64 to those of all."""
    at = max(exponent, 1) - 1075
    put(total, row[1], SUM_ORIGIN + at)
    put(squares, row[2], SQUARE_ORIGIN + 2 * at + 54)
    put(squares, row[3], SQUARE_ORIGIN + 2 * at + 28)
    put(squares, row[4], SQUARE_ORIGIN + 2 * at)


@njit(nogil=True, cache=True)
def add_double(bits, total, squares):
    """Sums of float64: m = a * 2^27 + b, of 53 bits, whose square is a^2 * 2^54 + a b * 2^28 + b^2."""
    table = np.zeros((2048, 5), np.int64)  # how many, m, a^2, a b, b^2
    for i in range(len(bits)):
        exponent = np.int64(bits[i] >> 52) & 2047
        m = np.int64(bits[i] & 0xFFFFFFFFFFFFF) | (np.int64(exponent != 0) << 52)
        a, b = m >> 27, m & 0x7FFFFFF
        table[exponent, 0] += 1
        table[exponent, 1] += -m if bits[i] >> 63 else m
        table[exponent, 2] += a * a
        table[exponent, 3] += a * b
        table[exponent, 4] += b * b
        if table[exponent, 0] == EACH:
            if exponent < 2047:  # NaN and infinities have that
                settle(table[exponent], exponent, total, squares)
            table[exponent] = 0
    for e in range(2047):
        if table[e, 0]:
            settle(table[e], e, total, squares)


@njit(nogil=True, cache=True)
def add_whole(values, total, squares):
    """Sums of integers of up to 32 bits."""
    s, low, high = np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(values)):
        v = np.int64(values[i])
        square = np.uint64(v * v)
        s += v
        low += np.int64(square & LOW_HALF)
        high += np.int64(square >> 32)
    put(total, s, SUM_ORIGIN)
    put(squares, low, SQUARE_ORIGIN)
    put(squares, high, SQUARE_ORIGIN + 32)


@njit(nogil=True, cache=True)
def add_long(values, total, squares):
    """Sums of integers of 64 bits, in halves: v = a * 2^32 + b."""
    above, below = np.int64(0), np.int64(0)
    parts = np.zeros(6, np.int64)
    for i in range(len(values)):
        v = values[i]
        above += np.int64(v >> 32)
        below += np.int64(v & LOW_HALF)
        u = np.uint64(-v) if v < 0 else np.uint64(v)
        a, b = u >> np.uint64(32), u & np.uint64(LOW_HALF)
        for k in range(3):
            p = b * b if k == 0 else (a * b if k == 1 else a * a)
            parts[2 * k] += np.int64(p & np.uint64(LOW_HALF))
            parts[2 * k + 1] += np.int64(p >> np.uint64(32))
    put(total, below, SUM_ORIGIN)
    put(total, above, SUM_ORIGIN + 32)
    for k, place in enumerate((0, 33, 64)):
        put(squares, parts[2 * k], SQUARE_ORIGIN + place)
        put(squares, parts[2 * k + 1], SQUARE_ORIGIN + place + 32)


@njit(inline="always")
def key_of(b, mode, last):
    """The key of the bits of an element, uint64. mode: 0 unsigned, 1 signed, 2 float"""
    top = np.uint64(1) << last
    if mode == 0:
        return b
    if mode == 1:
        return b ^ top
    return (b ^ (top + (top - np.uint64(1)))) if b & top else (b | top)


@njit(nogil=True, cache=True)
def count(bits, mode, shift, prefixes, starts, digits, rests):
    """Count the digit above `shift` bits of the elements that have one of the prefixes, and add the bits
    after it, if `rests` has room; NaN is left out.

    There are two of each count: one need not wait for the other.
    """
    width = np.uint64(8 * bits.itemsize)
    last, low = width - np.uint64(1), np.uint64(shift)
    infinity = np.uint64(0x7F800000) if bits.itemsize == 4 else np.uint64(0x7FF0000000000000)
    most = (np.uint64(1) << last) - np.uint64(1)
    every, tops, weigh = len(starts) == 1, width - np.uint64(16), rests.shape[1] > 0
    after, few = (np.uint64(1) << low) - np.uint64(1), np.uint64(2**REST_BITS - 1)
    for i in range(len(bits)):
        b = np.uint64(bits[i])
        if mode == 2 and (b & most) > infinity:
            continue
        key = key_of(b, mode, last)
        digit = (key >> low) & np.uint64(0xFFFF)
        if every:
            k = np.int64(0)
        elif starts[key >> tops]:
            prefix = key >> (low + np.uint64(16))
            k = np.int64(np.searchsorted(prefixes, prefix))
            if k == len(prefixes) or prefixes[k] != prefix:
                continue
        else:
            continue
        digits[i & 1, k, digit] += 1
        if weigh:
            rest = key & after
            rests[0, k, digit] += np.int64(rest & few)
            rests[1, k, digit] += np.int64(rest >> np.uint64(REST_BITS))
