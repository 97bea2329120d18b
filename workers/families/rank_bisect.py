"""Keys of values, unsigned integers in their order, and the value of a rank found by bisection of the keys' range."""

from __future__ import annotations

import numpy as np
from numba import njit

TILE = 1024  # elements of a row that are bisected at a time
UNSIGNED, SIGNED, FLOAT = range(3)


def key_of(value: float | int, unsigned: np.dtype, kind: int) -> np.generic:
    """The key of one value."""
    key = np.array([value], f"{'uif'[kind]}{unsigned.itemsize}").view(unsigned)
    if kind != UNSIGNED:
        to_keys(key, kind)
    return key[0]


@njit(nogil=True, cache=True)
def to_keys(keys, kind):
    """Bits of signed integers (or floating-point numbers) as unsigned integers of their order, in place."""
    cast = keys.dtype.type
    one = cast(1)
    top = cast(one << cast(8 * keys.itemsize - 1))
    largest = cast(~cast(0))
    # Bits above those of infinity are NaN's. Exponents have 5, 8 or 11 bits.
    mantissa = cast(10 if keys.itemsize == 2 else (23 if keys.itemsize == 4 else 52))
    infinity = cast(cast(cast(top - one) >> mantissa) << mantissa)
    for i in range(len(keys)):
        k = keys[i]
        if kind == SIGNED:
            keys[i] = k ^ top
        elif cast(k & cast(top - one)) > infinity:
            keys[i] = largest
        else:
            keys[i] = cast(~k) if k & top else cast(k | top)


@njit(nogil=True, cache=True)
def from_keys(keys, kind, out):
    """A row of keys as the bits of values."""
    cast = keys.dtype.type
    top = cast(cast(1) << cast(8 * keys.itemsize - 1))
    if kind == UNSIGNED:
        for x in range(len(out)):
            out[x] = keys[x]
    elif kind == SIGNED:
        for x in range(len(out)):
            out[x] = keys[x] ^ top
    else:
        for x in range(len(out)):
            out[x] = keys[x] ^ top if keys[x] & top else cast(~keys[x])


@njit(nogil=True, cache=True)
def bisect(keys, bases, offsets, rank, kind, count, out):
    """out[r, x] = the value of a rank among those at bases[r] + offsets + x."""
    cast, counted, taps = keys.dtype.type, count.dtype.type, len(offsets)
    enough = counted(rank)
    low, high, middle = np.empty(TILE, keys.dtype), np.empty(TILE, keys.dtype), np.empty(TILE, keys.dtype)
    for r in range(len(bases)):
        for x0 in range(0, out.shape[1], TILE):
            n, at = min(TILE, out.shape[1] - x0), bases[r] + x0
            first = keys[at + offsets[0] : at + offsets[0] + n]
            for x in range(n):
                low[x] = high[x] = first[x]
            for k in range(1, taps):
                a = keys[at + offsets[k] : at + offsets[k] + n]
                for x in range(n):
                    low[x] = min(low[x], a[x])
                    high[x] = max(high[x], a[x])
            while True:
                open_ = cast(0)
                for x in range(n):
                    open_ |= cast(high[x] - low[x])
                    middle[x] = low[x] + (cast(high[x] - low[x]) >> cast(1))
                    count[x] = 0
                if open_ == 0:
                    break
                k = 0
                while k + 4 <= taps:
                    a = keys[at + offsets[k] : at + offsets[k] + n]
                    b = keys[at + offsets[k + 1] : at + offsets[k + 1] + n]
                    c = keys[at + offsets[k + 2] : at + offsets[k + 2] + n]
                    d = keys[at + offsets[k + 3] : at + offsets[k + 3] + n]
                    for x in range(n):
                        m = middle[x]
                        count[x] += counted(a[x] <= m) + counted(b[x] <= m) + counted(c[x] <= m) + counted(d[x] <= m)
                    k += 4
                while k < taps:
                    a = keys[at + offsets[k] : at + offsets[k] + n]
                    for x in range(n):
                        count[x] += counted(a[x] <= middle[x])
                    k += 1
                for x in range(n):
                    found = count[x] > enough  # more than `rank` elements are not above the middle
                    high[x] = middle[x] if found else high[x]
                    low[x] = low[x] if found else cast(middle[x] + cast(1))
            from_keys(low, kind, out[r, x0 : x0 + n])


@njit(nogil=True, cache=True)
def bisect_valid(keys, bases, offsets, ranks, nodata, kind, out):
    """As `bisect`, among the keys of each window that are not `nodata`; ranks: by the number of these."""
    cast = keys.dtype.type
    found = np.empty(out.shape[1], keys.dtype)
    for r in range(len(bases)):
        for x in range(out.shape[1]):
            low, high, valid = cast(~cast(0)), cast(0), 0
            for k in range(len(offsets)):
                key = keys[bases[r] + offsets[k] + x]
                if key != nodata:
                    low, high, valid = min(low, key), max(high, key), valid + 1
            if valid == 0:
                low = high = nodata
            while low < high:
                middle = cast(low + (cast(high - low) >> cast(1)))
                count = 0
                for k in range(len(offsets)):
                    key = keys[bases[r] + offsets[k] + x]
                    count += key != nodata and key <= middle
                if count > ranks[valid]:
                    high = middle
                else:
                    low = cast(middle + cast(1))
            found[x] = low
        from_keys(found, kind, out[r])
