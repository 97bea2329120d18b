"""The operators against scipy.ndimage: every mode, dtype and block shape gives its values, and in double its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from blockwise import apply, bound, grid_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gridstride.workers import saving
from gridstride.workers.families.casting import store
from gridstride.workers.families.histogram import Histogram
from gridstride.workers.families.local import segments
from gridstride.workers.families.separable import Separable
from gridstride.workers.families.thresholds import otsu
from gridstride.workers.families.weights import gaussian_weights, rank_one
from gridstride.workers.operators.boundary import Taps, boundary_table

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
EXACT = {"precision": "double", "cast": "scipy"}
DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "int8",
    "int16",
    "int32",
    "float32",
    "float64",
    "uint64",
    "int64",
]


@st.composite
def problems(draw: Any, max_ndim: int = 4) -> dict[str, Any]:
    ndim = draw(st.integers(1, max_ndim))
    longest = {1: 40, 2: 17, 3: 11, 4: 6}[ndim]
    shape = tuple(draw(st.integers(1, longest)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind == "f":
        array = rng.normal(size=shape).astype(dtype) * 100
    elif dtype.kind == "b":
        array = rng.random(shape) > 0.5
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(max(limits.min, -1000), min(limits.max, 1000), shape, dtype, endpoint=True)
    return {
        "array": array,
        "block": tuple(draw(st.integers(1, n)) for n in shape),
        "modes": [draw(st.sampled_from(MODES)) for _ in range(ndim)],
        "cval": draw(st.sampled_from([0.0, 3.0, -1.5])),
        "rng": rng,
        "draw": draw,
    }


def same_bytes(mine: np.ndarray, scipys: np.ndarray) -> None:
    # scipy may leave bytes other than 0 and 1 in a bool array: what they mean is compared.
    if mine.dtype == bool:
        scipys = scipys.view(np.uint8) != 0
    np.testing.assert_array_equal(mine, scipys, strict=True)


@settings(max_examples=250)
@given(problems())
def test_convolution_has_the_bytes_of_scipy(p: Any) -> None:
    array = p["array"]
    sizes = [p["draw"](st.integers(1, 4)) for _ in array.shape]
    origins = [p["draw"](st.integers(-((n - 1) // 2), (n - 1) // 2)) for n in sizes]
    kernel = p["rng"].normal(size=sizes)
    mode = p["modes"][0]
    for name, function in (("convolve", ndimage.convolve), ("correlate", ndimage.correlate)):
        operator = bound(name, array, kernel=kernel, mode=mode, cval=p["cval"], origin=origins, **EXACT)
        expected = function(array, kernel, mode=mode, cval=p["cval"], origin=origins)
        same_bytes(apply(operator, array, p["block"]), expected)


@settings(max_examples=250)
@given(problems())
def test_gaussian_has_the_bytes_of_scipy(p: Any) -> None:
    array = p["array"]
    sigma = [p["draw"](st.sampled_from([0.4, 1.0, 1.7])) for _ in array.shape]
    # Between passes scipy keeps a bool as a byte that may be 2 or 255, and what is negative as a uint64 near 2^64,
    # which the next pass takes past 64 bits, where C says nothing: derivatives of these are its own affair.
    # So is a constant outside that they do not hold.
    plain = array.dtype == bool or array.dtype == np.uint64
    order = [0 if plain else p["draw"](st.integers(0, 2)) for _ in array.shape]
    cval = 0.0 if plain else p["cval"]
    operator = bound("gaussian", array, sigma=sigma, order=order, mode=p["modes"], cval=cval, **EXACT)
    expected = ndimage.gaussian_filter(array, sigma, order=order, mode=p["modes"], cval=cval)
    same_bytes(apply(operator, array, p["block"]), expected)


@settings(max_examples=250)
@given(problems())
def test_uniform_equals_scipy(p: Any) -> None:
    array = p["array"]
    sizes = [p["draw"](st.integers(1, 5)) for _ in array.shape]
    origins = [p["draw"](st.integers(-(n // 2), (n - 1) // 2)) for n in sizes]
    operator = bound("uniform", array, size=sizes, mode=p["modes"], cval=p["cval"], origin=origins, **EXACT)
    expected = ndimage.uniform_filter(array, sizes, mode=p["modes"], cval=p["cval"], origin=origins)
    result = apply(operator, array, p["block"])
    if array.dtype.kind == "f":  # scipy keeps a running sum, whose roundings depend on where a line begins
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12 * 1000 if array.dtype == np.float64 else 1e-3)
    elif p["cval"] == 0 if array.dtype == bool else p["cval"] == int(p["cval"]):
        same_bytes(result, expected)


@settings(max_examples=250)
@given(problems(3), st.sampled_from(["direct", "separable", "fft"]))
def test_single_precision_is_within_stated_error_whatever_the_blocks(p: Any, algorithm: str) -> None:
    array = p["array"].astype(np.float32)
    factors = [p["rng"].normal(size=p["draw"](st.integers(1, 5))) for _ in array.shape]
    kernel = factors[0]
    for factor in factors[1:]:
        kernel = np.multiply.outer(kernel, factor)
    operator = bound("convolve", array, kernel=kernel, mode=p["modes"], cval=p["cval"], algorithm=algorithm)
    # scipy takes no mode per axis here: the reference pads, axis by axis, with numpy's names of the same modes.
    names = {
        "reflect": "symmetric",
        "mirror": "reflect",
        "nearest": "edge",
        "wrap": "wrap",
        "constant": "constant",
    }
    padded = array.astype(np.float64)
    for axis, (mode, size) in enumerate(zip(p["modes"], kernel.shape, strict=True)):
        width = [(size, size) if a == axis else (0, 0) for a in range(array.ndim)]
        extra = {"constant_values": p["cval"]} if mode == "constant" else {}
        padded = np.pad(padded, width, names[mode], **extra)
    inner = tuple(slice(n, -n) for n in kernel.shape)
    expected = ndimage.convolve(padded, kernel)[inner]
    # n roundings of float32 in a sum of n terms, relative to the sum of their sizes: documented in docs/numerics.md
    scale = np.abs(kernel).sum() * max(np.abs(array).max(initial=0), abs(p["cval"]))
    whole = apply(operator, array)
    cut = apply(operator, array, p["block"])
    allowed = (kernel.size + 8) * np.finfo(np.float32).eps * scale
    np.testing.assert_allclose(whole, expected, rtol=0, atol=allowed)
    if algorithm == "fft":  # an FFT's rounding depends on its length; it is made in float64 and rounded once
        np.testing.assert_allclose(cut, whole, rtol=3e-7, atol=1e-12 * scale)
    else:
        np.testing.assert_array_equal(cut, whole)


def test_channels_sum_as_a_layer_of_a_network() -> None:
    rng = np.random.default_rng(5)
    image, kernel, bias = rng.normal(size=(3, 12, 13)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    expected = np.stack(
        [sum(ndimage.convolve(image[c], kernel[o, c], mode="mirror") for c in range(3)) + bias[o] for o in range(4)]
    )
    for axis in (0, 1, 2):
        moved = np.ascontiguousarray(np.moveaxis(image, 0, axis))
        rest = [a for a in range(3) if a != axis]
        for algorithm in ("direct", "fft"):
            operator = bound(
                "convolve", moved, axes=rest, kernel=kernel, mode="mirror", channels=axis, bias=bias,
                algorithm=algorithm, precision="double",
            )  # fmt: skip
            assert operator.out_grid(grid_of(moved)).shape == np.moveaxis(expected, 0, axis).shape
            result = apply(operator, moved, (5, 5, 5))
            np.testing.assert_allclose(result, np.moveaxis(expected, 0, axis), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 3), (3, 1)])
def test_axes_that_are_not_filtered_are_treated_slice_by_slice(axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    array = rng.integers(0, 60000, (5, 6, 7, 8)).astype(np.uint16)
    sigma = [0.7 + 0.3 * i for i in range(len(axes))]
    operator = bound("gaussian", array, axes=axes, sigma=sigma, **EXACT)
    expected = ndimage.gaussian_filter(array, sigma, axes=axes)
    same_bytes(apply(operator, array, (2, 3, 3, 4)), expected)
    kernel = rng.normal(size=(3,) * len(axes))
    operator = bound("convolve", array, axes=axes, kernel=kernel, **EXACT)
    # a kernel's dimensions belong to the axes in the order they are given; scipy takes them in the array's order
    scipys = kernel if list(axes) == sorted(axes) else kernel.T
    same_bytes(apply(operator, array, (2, 3, 3, 4)), ndimage.convolve(array, scipys, axes=sorted(axes)))


def test_integers_are_rounded_and_saturated() -> None:
    values = np.array([-1e30, -300.5, -1.5, -0.5, 0.5, 1.5, 2.5, 254.5, 255.5, 1e30, np.nan, np.inf, -np.inf])
    for name in ("uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64"):
        out = np.empty(values.shape, name)
        store(values, out, "round")
        limits = np.iinfo(name)
        expected = [
            0
            if np.isnan(v)
            else min(max(int(np.rint(v)) if np.isfinite(v) else int(np.sign(v)) * 10**30, limits.min), limits.max)
            for v in values
        ]
        assert out.tolist() == expected, name
    out = np.empty(4, bool)
    store(np.array([0.5, 0.51, np.nan, -3.0]), out, "round")
    assert out.tolist() == [False, True, False, False]


def test_infinity_and_nan_reach_only_their_neighbourhood() -> None:
    array = np.ones((30, 30), np.float32)
    array[4, 4], array[20, 20] = np.nan, np.inf
    kernel = np.random.default_rng(0).random((11, 11))
    for algorithm in ("direct", "fft"):
        operator = bound("convolve", array, kernel=kernel, algorithm=algorithm, mode="nearest")
        result = apply(operator, array, (15, 30))
        reach = np.zeros(array.shape, bool)
        reach[:10, :10] = True
        reach[15:26, 15:26] = True
        np.testing.assert_array_equal(np.isfinite(result), ~reach)
    hollow = np.array([[1.0, 0.0, 1.0]])  # a tap of 0 on an infinity is nothing, not NaN
    operator = bound("convolve", array, kernel=hollow, algorithm="direct")
    assert np.isfinite(apply(operator, array)[20, 20])


def test_float16_is_summed_in_float32() -> None:
    array = np.random.default_rng(0).random((20, 21)).astype(np.float16)
    operator = bound("gaussian", array, sigma=1.5)
    expected = ndimage.gaussian_filter(array.astype(np.float64), 1.5)
    result = apply(operator, array, (8, 9))
    assert result.dtype == np.float16
    np.testing.assert_allclose(result.astype(float), expected, rtol=6e-4)


def test_rank_one_kernels_are_found_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=3), rng.normal(size=4), rng.normal(size=5)
    kernel = np.einsum("i,j,k->ijk", a, b, c)
    factors = rank_one(kernel)
    assert factors is not None
    np.testing.assert_allclose(np.einsum("i,j,k->ijk", *factors), kernel, rtol=1e-12)
    assert rank_one(kernel.astype(np.float32)) is not None
    kernel[1, 1, 1] *= 1 + 1e-9
    assert rank_one(kernel) is None
    assert rank_one(np.zeros((3, 3))) is None


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_gaussian_weights_are_scipys_bit_for_bit(order: int) -> None:
    for sigma in (0.5, 1.0, 2.3):
        radius = int(4 * sigma + 0.5)
        impulse = np.zeros(4 * radius + 1)
        impulse[2 * radius] = 1.0
        response = ndimage.gaussian_filter1d(impulse, sigma, order=order, mode="constant")[radius : 3 * radius + 1]
        np.testing.assert_array_equal(gaussian_weights(sigma, order)[::-1], response)


@settings(max_examples=200)
@given(st.integers(1, 9), st.integers(0, 25), st.integers(0, 25), st.sampled_from(MODES))
def test_boundary_table_is_numpys_pad(size: int, before: int, after: int, mode: str) -> None:
    table = boundary_table((0, size), Taps(before + after + 1, -before, mode=mode), (0, size), size)
    names = {
        "reflect": "symmetric",
        "mirror": "reflect",
        "nearest": "edge",
        "wrap": "wrap",
        "constant": "constant",
    }
    extra = {"constant_values": -1} if mode == "constant" else {}
    np.testing.assert_array_equal(table, np.pad(np.arange(size), (before, after), names[mode], **extra))
    # and `segments` rebuilds it from slices
    line, rebuilt = np.arange(size), np.empty_like(table)
    for target, source in segments(table):
        rebuilt[target] = -1 if source is None else line[source]
    np.testing.assert_array_equal(rebuilt, table)


def test_an_operator_survives_being_saved(tmp_path: Any) -> None:
    array = np.random.default_rng(0).random((9, 10))
    grid = ((9, 10), "float64")
    for operator in (
        bound("gaussian", grid, sigma=1.3, dtype="float32", mode=["wrap", "constant"], cval=np.nan),
        bound("convolve", grid, kernel=np.random.default_rng(1).random((3, 4)), dtype="float32", cval=2),
    ):
        saving.save(operator, tmp_path, "operator")
        loaded = saving.load(tmp_path, "operator")
        assert loaded.reads(grid_of(grid)) == operator.reads(grid_of(grid))
        np.testing.assert_array_equal(apply(loaded, array), apply(operator, array))


def test_the_algorithm_follows_the_measured_crossovers() -> None:
    def algorithm(kernel: np.ndarray, **options: Any) -> str:
        operator = bound("convolve", ((512,) * kernel.ndim, "float32"), kernel=kernel, **options)
        return "separable" if isinstance(operator, Separable) else operator.algorithm

    rng = np.random.default_rng(0)
    line = rng.random(17)
    assert algorithm(np.einsum("i,j,k->ijk", line, line, line)) == "separable"
    assert algorithm(rng.random((5, 5, 5))) == "direct"
    assert algorithm(rng.random((21, 21, 21))) == "fft"
    assert algorithm(rng.random((15, 15))) == "direct"
    assert algorithm(rng.random((63, 63))) == "fft"
    assert algorithm(rng.random((63, 63)), cast="scipy") == "direct"  # scipy's bytes come from scipy's order
    hollow = np.zeros((63, 63))
    hollow[::62, ::62] = rng.random((2, 2))
    assert algorithm(hollow) == "direct"  # zeros cost nothing


@pytest.mark.parametrize("power", [-900, -300, 300, 1000])
@pytest.mark.filterwarnings("error")
def test_otsus_value_grows_with_the_values_however_large(power: int) -> None:
    counts = np.random.default_rng(0).integers(0, 2**40, 256) * (np.abs(np.arange(256) - 128) > 60)
    edges = np.linspace(-1.5, 7.25, 257)
    usual = otsu(counts, Histogram(256, edges=edges))
    assert otsu(counts, Histogram(256, edges=np.ldexp(edges, power))) == np.ldexp(usual, power)
