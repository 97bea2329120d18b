"""Softmax on the CPU: some vectors of columns at a time, along the whole axis."""

from __future__ import annotations

from math import prod

import numpy as np
from numba import njit

from gridstride.workers.families.rows import LINE, in_order
from gridstride.workers.vectors import add, div, every, fma, get, high, lanes, mul, power_of_two, put, rint, sub

VECTORS = 4  # beside each other


def softmax(data: np.ndarray, axis: int, numbers: np.ndarray, out: np.ndarray) -> None:
    """out = softmax of data along an axis, both of float32 or float64. numbers: of the exponential function"""
    data = in_order(data)
    made = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    length, inner = data.shape[axis], prod(data.shape[axis + 1 :])
    flat, result = data.reshape(-1), made.reshape(-1)
    (columns if inner >= VECTORS * LINE // data.itemsize else short_columns)(flat, length, inner, numbers, result)
    if made is not out:
        out[...] = made


@njit(inline="always")
def exponential(like, x, numbers):
    """e^x for x <= 0, as in cuda/layers.cu."""
    x = high(x, every(like, numbers[3]))  # NaN stays
    n = high(every(like, numbers[4]), rint(mul(x, every(like, numbers[0]))))
    minus = sub(every(like, numbers[0] - numbers[0]), n)
    rest = fma(minus, every(like, numbers[2]), fma(minus, every(like, numbers[1]), x))
    value = every(like, numbers[5])
    for k in range(6, len(numbers)):
        value = fma(value, rest, every(like, numbers[k]))
    return mul(value, power_of_two(n))


@njit(inline="always")
def of_tile(data, begin, length, inner, numbers, most, sums, out, to, apart):
    """A tile of columns, whose lines begin `inner` apart; those of the result `apart`."""
    n = lanes(data)
    for v in range(0, len(most), n):
        put(most, v, get(data, begin + v))
        put(sums, v, every(data, numbers[0] - numbers[0]))
    for k in range(1, length):
        for v in range(0, len(most), n):
            put(most, v, high(get(most, v), get(data, begin + k * inner + v)))
    for k in range(length):
        for v in range(0, len(most), n):
            value = exponential(data, sub(get(data, begin + k * inner + v), get(most, v)), numbers)
            put(sums, v, add(get(sums, v), value))
            put(out, to + k * apart + v, value)
    for k in range(length):
        for v in range(0, len(most), n):
            at = to + k * apart + v
            put(out, at, div(get(out, at), get(sums, v)))


@njit(nogil=True, cache=True, error_model="numpy")
def columns(data, length, inner, numbers, out):
    """Of arrays (outer, length, inner) whose lines hold a tile. The last two tiles of a line may overlap."""
    tile = VECTORS * lanes(data)
    most, sums = np.empty(tile, data.dtype), np.empty(tile, data.dtype)
    for first in range(0, len(data), length * inner):
        for start in range(0, inner, tile):
            begin = first + min(start, inner - tile)
            of_tile(data, begin, length, inner, numbers, most, sums, out, begin, inner)


@njit(nogil=True, cache=True, error_model="numpy")
def short_columns(data, length, inner, numbers, out):
    """Of arrays (outer, length, inner) whose lines are short: a vector is put together from several."""
    tile, count = lanes(data), len(data) // length
    most, sums = np.empty(tile, data.dtype), np.empty(tile, data.dtype)
    lines, begins = np.zeros(length * tile, data.dtype), np.empty(tile, np.int64)
    for start in range(0, count, tile):
        some = min(tile, count - start)
        for j in range(some):
            begin = (start + j) // inner * length * inner + (start + j) % inner
            begins[j] = begin
            for k in range(length):
                lines[k * tile + j] = data[begin + k * inner]
        of_tile(lines, 0, length, tile, numbers, most, sums, lines, 0, tile)
        for j in range(some):
            for k in range(length):
                out[begins[j] + k * inner] = lines[k * tile + j]
