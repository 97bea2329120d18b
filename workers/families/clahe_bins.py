"""Bins of grey that elements of any dtype belong to, in the steps of skimage.exposure.equalize_adapthist. Written once
for NumPy and CuPy, but for what takes one pass on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridstride.workers.families.rows import in_order

LEVELS = 2**14  # of grey
MISSING = 2**16 - 1  # the bin, and the level, of an element without a value


def bins_of(data: Any, dtype: np.dtype, ends: np.ndarray, width: int, xp: Any) -> Any:
    """The bins of elements, uint16; NaN is MISSING. dtype, ends: of the array, and its extremes in the `exact_type`;
    width: of a bin in levels"""
    low, high = (value.item() for value in ends)
    first, last = as_uint16(ends, dtype, low, high, np)
    table = (level_of(int(first), int(last)) // width).astype(np.uint16)
    if dtype.kind != "f" and dtype.itemsize <= 2:
        own = np.dtype(f"u{dtype.itemsize}")
        raw = np.arange(2 ** (8 * own.itemsize)).astype(own).view(np.uint8 if dtype.kind == "b" else dtype)
        return looked_up(data.view(own), table[as_uint16(raw, dtype, low, high, np)], xp)
    if dtype.kind != "f" or xp is not np:
        found = looked_up(as_uint16(data, dtype, low, high, xp), table, xp)
        return xp.where(data == data, found, np.uint16(MISSING)) if dtype.kind == "f" else found
    from gridstride.workers.families import clahe_cpu  # Numba takes time to import

    data = in_order(data.astype(np.float32) if data.dtype == np.float16 else data)
    kind, found = data.dtype.type, np.empty(data.shape, np.uint16)
    terms = low < -1 or high > 1, kind(low), kind(high - low), table, np.uint16(MISSING)
    clahe_cpu.bins_of_numbers(data.reshape(-1), *terms, found.reshape(-1))
    return found


def looked_up(index: Any, table: np.ndarray, xp: Any) -> Any:
    """table[index], where unsigned indices have at most 16 bits."""
    if xp is not np or table.dtype.name not in ("uint16", "float32", "float64"):
        return xp.take(xp.asarray(table), index)
    from gridstride.workers.families import clahe_cpu  # Numba takes time to import

    found = np.empty(index.shape, table.dtype)
    clahe_cpu.looked_up(in_order(index).reshape(-1), table, found.reshape(-1))
    return found


def exact_type(dtype: np.dtype) -> np.dtype:
    """What extremes of a dtype, and numbers of slices, are held as."""
    return np.dtype({"f": np.float64, "i": np.int64}.get(dtype.kind, np.uint64))


def as_uint16(data: Any, dtype: np.dtype, low: float | int, high: float | int, xp: Any) -> Any:
    """Elements as skimage.util.img_as_uint has them, uint16; the array's are from low to high.

    Floating-point numbers from -1 to 1 are parts of 65535, what is below 0 is 0; others, which it refuses, are made
    0 to 1 by their extremes first. Integers of 32 and 64 bits stay as they are if none is beyond 65535.
    """
    if dtype.kind == "f":
        data = data.astype(np.float32 if dtype.itemsize < 8 else np.float64)
        if low < -1 or high > 1:
            data = (data - data.dtype.type(low)) / data.dtype.type(high - low)
        return xp.nan_to_num(xp.rint(data * data.dtype.type(65535)).clip(0, 65535)).astype(np.uint16)
    bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize - (dtype.kind == "i")
    if bits <= 16:
        data = data.astype(np.int64 if bits > 8 else np.int32).clip(0, None)
        whole = 16 if 16 % bits == 0 else (16 // bits + 1) * bits
        return (data * ((2**whole - 1) // (2**bits - 1)) >> whole - 16).astype(np.uint16)
    data = data.clip(0, None) if dtype.kind == "i" else data
    return (data if high < 2**16 else data >> data.dtype.type(bits - 16)).astype(np.uint16)


def level_of(low: int, high: int) -> np.ndarray:
    """The level of each number of uint16, whose extremes in the array are low and high; uint16 (65536,)."""
    numbers = np.arange(2**16)
    if low == high:
        return numbers.clip(0, LEVELS - 1).astype(np.uint16)
    scaled = (numbers.clip(low, high).astype(np.float64) - low) / (high - low)
    return np.round(scaled * (LEVELS - 1)).astype(np.uint16)
