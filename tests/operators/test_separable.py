"""The loops of separable filters: rows shorter than a vector, cuts at any place, any axes, dtypes and layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from blockwise import apply, bound, grid_of, window_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gridstride.workers.region import Region

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
# A dtype and a precision of sums: each pair is compiled.
READ = [("uint8", "single"), ("uint16", "single"), ("float32", "single"), ("float32", "double")]


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("width", [*range(1, 18), 31, 32, 33, 63, 65, 80])
def test_rows_of_any_length_and_cuts_of_any_width(width: int) -> None:
    array = numbers((9, 7, width), "uint16")
    sigma, mode = (1.1, 0.6, 2.3), ("mirror", "nearest", MODES[width % 5])
    operator = bound("gaussian", array, sigma=sigma, mode=mode, dtype="float32", cval=3)
    whole = apply(operator, array)
    expected = ndimage.gaussian_filter(array.astype(float), sigma, mode=mode, cval=3)
    np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-5)
    for block in ((4, 3, max(1, width // 3)), (9, 7, min(width, 15)), (3, 7, 1)):
        np.testing.assert_array_equal(apply(operator, array, block), whole)


@settings(max_examples=60)
@given(st.data())
def test_any_axes_in_any_order(data: Any) -> None:
    ndim = data.draw(st.integers(1, 5))
    shape = tuple(data.draw(st.integers(1, (90, 24, 12, 8, 5)[ndim - 1])) for _ in range(ndim))
    axes = data.draw(st.lists(st.integers(0, ndim - 1), min_size=1, unique=True))
    dtype, precision = data.draw(st.sampled_from(READ))
    array = numbers(shape, dtype)
    sizes = [data.draw(st.integers(1, 12)) for _ in axes]  # often longer than the axis
    origins = [data.draw(st.integers(-(n // 2), (n - 1) // 2)) for n in sizes]
    modes = [data.draw(st.sampled_from(MODES)) for _ in axes]
    cval = data.draw(st.sampled_from([0, 3, -1.5]))
    fields: dict[str, Any] = {"mode": modes, "cval": cval, "precision": precision, "dtype": "float32", "axes": axes}
    if data.draw(st.booleans()):
        operator = bound("uniform", array, size=sizes, origin=origins, **fields)
        expected = ndimage.uniform_filter(array.astype(float), sizes, mode=modes, cval=cval, origin=origins, axes=axes)
    else:
        sigmas = [n / 5 for n in sizes]
        operator = bound("gaussian", array, sigma=sigmas, **fields)
        expected = ndimage.gaussian_filter(array.astype(float), sigmas, mode=modes, cval=cval, axes=axes)
    whole = apply(operator, array)
    np.testing.assert_allclose(whole, expected, rtol=0, atol=2e-4)
    block = [data.draw(st.integers(1, n)) for n in shape]
    np.testing.assert_array_equal(apply(operator, array, block), whole)


@pytest.mark.parametrize("shape", [(40, 30, 3), (20, 6, 5, 4), (6, 7, 20), (5, 4, 40, 2)])
def test_axes_behind_the_last_filtered_one(shape: tuple[int, ...]) -> None:
    array = numbers(shape, "float32")
    for axes in ((0,), (1,), (0, 1)):
        operator = bound("gaussian", array, sigma=1.3, axes=axes)
        expected = ndimage.gaussian_filter(array.astype(float), 1.3, axes=axes)
        np.testing.assert_allclose(apply(operator, array, [n // 2 + 1 for n in shape]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "bool", "float64"])
@pytest.mark.parametrize("width", [5, 40])
def test_results_of_any_dtype_are_rounded_and_kept_within_limits(dtype: str, width: int) -> None:
    array = (np.random.default_rng(1).normal(size=(6, 9, width)) * 1e5).astype(np.float32)
    array[2, 3, 4] = np.nan
    sums = apply(bound("gaussian", array, sigma=0.8), array)
    result = apply(bound("gaussian", array, sigma=0.8, dtype=dtype, precision="single"), array)
    if dtype == "bool":
        expected = sums > 0.5
    elif dtype == "float64":
        expected = sums.astype(float)
    else:
        limits = np.iinfo(dtype)
        expected = np.nan_to_num(np.rint(sums)).clip(limits.min, limits.max).astype(dtype)
    np.testing.assert_array_equal(result, expected, strict=True)


def test_infinities_and_nan_stay_within_reach() -> None:
    array = numbers((12, 14, 70), "float32")
    array[5, 6, 30], array[6, 7, 60] = np.inf, np.nan
    for name, fields in (("gaussian", {"sigma": 0.9, "radius": 2}), ("uniform", {"size": 5})):
        result = apply(bound(name, array, **fields), array)
        inf, nan = (np.zeros(array.shape, bool) for _ in range(2))
        inf[3:8, 4:9, 28:33] = nan[4:9, 5:10, 58:63] = True
        np.testing.assert_array_equal(np.isnan(result), nan)
        np.testing.assert_array_equal(np.isinf(result), inf)


def test_means_of_integers_are_exact() -> None:
    array = np.full((9, 9, 40), 65535, np.uint16)
    array[4, 4, 20] = 65534
    for size in (3, 5):
        result = apply(bound("uniform", array, size=size, dtype="float32"), array)
        sums = ndimage.uniform_filter(array.astype(float), size) * size**3
        np.testing.assert_array_equal(result, (np.rint(sums) / size**3).astype(np.float32))


@pytest.mark.parametrize("layout", ["read only", "transposed", "part"])
def test_data_and_results_of_any_layout(layout: str) -> None:
    array = numbers((8, 20, 36), "uint8")
    operator = bound("gaussian", array, sigma=1.0)
    whole, region = apply(operator, array), Region.whole(array.shape)
    window = window_of(operator, array, region)
    out = np.zeros((8, 20, 36), np.uint8)
    if layout == "read only":
        window.data.setflags(write=False)
    elif layout == "transposed":
        window = type(window)(np.asfortranarray(window.data), window.have, window.want, window.grid)
        out = np.zeros((36, 20, 8), np.uint8).T
    else:  # more data than is needed
        want = Region(((2, 5), (3, 9), (10, 30)))
        window = type(window)(window.data, window.have, want, grid_of(array))
        whole, out = whole[2:5, 3:9, 10:30], np.zeros((3, 6, 40), np.uint8)[:, :, :20]
    operator.cpu(window, out)
    np.testing.assert_array_equal(out, whole)
