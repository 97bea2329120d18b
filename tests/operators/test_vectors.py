"""Vectors in compiled code: each operation gives NumPy's values, on any dtype and alignment."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from gridstride.workers import vectors
from gridstride.workers.families.casting import store
from gridstride.workers.vectors import convert, elements, every, fma, get, get_as, lanes, put, put_rounded, sqrt

DTYPES = ["uint8", "int16", "uint32", "int64", "float32", "float64"]


def numbers(dtype: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    if dtype.startswith("float"):
        return (rng.normal(size=count) * 1000).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, count, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_operations_on_two(dtype: str) -> None:
    @njit
    def apply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        for i in range(0, out.shape[1], lanes(out[0])):
            v, w = get(a, i + 1), get(b, i + 3)
            put(out[0], i, vectors.low(v, w))
            put(out[1], i, vectors.high(v, w))
            put(out[2], i, vectors.add(v, w))
            put(out[3], i, vectors.sub(v, w))
            put(out[4], i, vectors.mul(v, w))

    a, b, out = numbers(dtype, 131), numbers(dtype, 133), np.empty((5, 128), dtype)
    apply(a, b, out)
    a, b = a[1:129], b[3:131]
    for result, expected in zip(out, (np.minimum, np.maximum, np.add, np.subtract, np.multiply), strict=True):
        np.testing.assert_array_equal(result, expected(a, b), err_msg=str(expected))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_saturated_sums(dtype: str) -> None:
    @njit
    def apply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        for i in range(0, len(out), lanes(out)):
            put(out, i, vectors.add_saturated(get(a, i), get(b, i)))

    a, b, out = numbers(dtype, 64), numbers(dtype, 64)[::-1].copy(), np.empty(64, dtype)
    apply(a, b, out)
    wanted = a + b if dtype == "float32" else (a.astype(int) + b).clip(0, 255)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operations_on_floating_point_numbers(dtype: str) -> None:
    @njit
    def apply(a: np.ndarray, out: np.ndarray) -> None:
        for i in range(0, len(out), lanes(out)):
            v = get(a, i)
            v = vectors.div(vectors.rint(v), sqrt(vectors.absolute(v)))
            put(out, i, fma(v, v, every(out, 0.1)))

    a, out = numbers(dtype, 64), np.empty(64, dtype)
    apply(a, out)
    v = np.rint(a) / np.sqrt(np.abs(a))
    one = np.dtype(dtype).type
    # rounded once: as the sum in a wider type
    np.testing.assert_array_equal(out, (v.astype(np.longdouble) ** 2 + one(0.1)).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_conversions_keep_what_both_types_have(dtype: str) -> None:
    @njit
    def apply(a: np.ndarray, out: np.ndarray, back: np.ndarray) -> None:
        for i in range(0, len(out), lanes(out)):
            v = get_as(a, i, out)
            put(out, i, v)
            put(back, i, convert(v, back))

    small = np.arange(64).astype(dtype)
    for other in ("int16", "float32") if dtype[0] in "ui" else ("uint8", "float64"):
        out, back = np.empty(64, other), np.empty(64, dtype)
        apply(small, out, back)
        np.testing.assert_array_equal(out, np.arange(64).astype(other))
        np.testing.assert_array_equal(back, small)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_pointers_to_elements_stand_for_arrays(dtype: str) -> None:
    @njit
    def twice(a: np.ndarray, out: np.ndarray, n: int) -> None:
        a[2] = a[1]
        for i in range(0, n, lanes(out)):
            put(out, i, vectors.add(get(a, i + 1), get(a, i + 1)))

    @njit
    def apply(a: np.ndarray, out: np.ndarray) -> None:
        twice(elements(a), elements(out), len(out))

    a, out = numbers(dtype, 129), np.empty(128, dtype)
    wanted = a.copy()
    wanted[2] = wanted[1]
    apply(a, out)
    np.testing.assert_array_equal(out, wanted[1:] + wanted[1:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("out", ["uint8", "int8", "uint16", "int32", "uint64", "int64", "float32"])
def test_rounded_stores_are_half_to_even_and_saturated(dtype: str, out: str) -> None:
    @njit
    def apply(a: np.ndarray, result: np.ndarray) -> None:
        for i in range(0, len(a), lanes(a)):
            put_rounded(result, i, get(a, i))

    some = [-1e30, -300.5, -1.5, -0.5, 0.5, 1.5, 2.5, 254.5, 255.5, 65535.5, 2.0**31, 2.0**63, 1e30]
    some += [np.nan, np.inf, -np.inf]
    a, result = np.array(some * 2, dtype), np.empty(32, out)
    apply(a, result)
    wanted = np.empty(32, out)
    store(a.astype(np.float64), wanted, "round")
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_multiply_add_rounds_float32_once_and_others_twice(dtype: str) -> None:
    @njit
    def apply(a: np.ndarray, b: np.ndarray, c: np.ndarray, out: np.ndarray) -> None:
        for i in range(0, len(out), lanes(out)):
            put(out, i, vectors.multiply_add(get(a, i), get(b, i), get(c, i)))

    a, b, c = (numbers(dtype, 128 + n)[:128] for n in range(3))
    out = np.empty(128, dtype)
    apply(a, b, c, out)
    wide = a.astype(np.float64) * b.astype(np.float64) + c if dtype == "float32" else a * b + c
    np.testing.assert_array_equal(out, wide.astype(dtype))
