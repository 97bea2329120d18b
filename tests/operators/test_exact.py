"""64-bit integers: sums by whole weights are those of Python's integers, whatever the blocks; else rounding is said."""

from __future__ import annotations

import shutil
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gridstride.workers.families.exact import Exact, whole_factors
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.graph import chain
from gridstride.workers.operators.registry import find
from tests.blockwise import apply, bound, grid_of, window_of
from tests.blockwise import regions as cut
from tests.cuda_host.host import Host, build

PAD = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
OUT = ("int64", "uint64", "uint8", "int32", "float64", "float32", "bool")
numbers = st.randoms(use_true_random=False)


def padded(array: np.ndarray, width: list[tuple[int, int]], mode: str, cval: int) -> np.ndarray:
    """Python's integers with their boundary."""
    for axis, (before, after) in enumerate(width):
        how = {"constant_values": -1} if mode == "constant" else {}
        index = np.pad(np.arange(array.shape[axis]), (before, after), PAD[mode], **how)
        array = array.take(index, axis)
        array[(slice(None),) * axis + (index < 0,)] = cval
    return array


def passed(array: np.ndarray, axis: int, weights: Any, mode: str, cval: int) -> np.ndarray:
    """One correlation along an axis, in Python's integers."""
    before, n = len(weights) // 2, array.shape[axis]
    width = [(before, len(weights) - 1 - before) if i == axis else (0, 0) for i in range(array.ndim)]
    wide = padded(array, width, mode, cval)
    return sum(int(w) * wide.take(range(k, k + n), axis) for k, w in enumerate(weights))


def correlated(array: np.ndarray, kernel: np.ndarray, mode: str, cval: int) -> np.ndarray:
    wide = padded(array, [(n // 2, n - 1 - n // 2) for n in kernel.shape], mode, cval)
    total = 0 * array
    for tap in np.ndindex(kernel.shape):
        total += int(kernel[tap]) * wide[tuple(slice(t, t + n) for t, n in zip(tap, array.shape, strict=True))]
    return total


def stored(exact: np.ndarray, divisor: int, dtype: str) -> np.ndarray:
    """Python's integers, divided, as a dtype: half to even, saturated."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.array([float(Fraction(v, divisor)) for v in exact.flat], kind).reshape(exact.shape)
    means = [round(Fraction(v, divisor)) for v in exact.flat]
    if kind.kind == "b":
        return np.array([v > 0 for v in means]).reshape(exact.shape)
    limits = np.iinfo(kind)
    return np.array([min(max(v, limits.min), limits.max) for v in means], kind).reshape(exact.shape)


def same(result: np.ndarray, wanted: np.ndarray) -> None:
    """Equal; floating-point numbers to the last bits, as their mean is rounded more than once."""
    assert result.dtype == wanted.dtype
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(result, wanted, rtol=4 * np.finfo(wanted.dtype).eps)
    else:
        np.testing.assert_array_equal(result, wanted)


def drawn(draw: Any) -> tuple[np.ndarray, dict[str, Any], tuple[int, ...]]:
    """Integers over all of their type (or around a large one), a boundary, and a block."""
    ndim, dtype = draw(st.integers(1, 3)), draw(st.sampled_from(["int64", "uint64"]))
    shape = tuple(draw(st.integers(3, 8)) for _ in range(ndim))
    limits = np.iinfo(dtype)
    low, high = draw(st.sampled_from([(limits.min, limits.max), (2**53, 2**53 + 9), (limits.max - 9, limits.max)]))
    array = np.random.default_rng(draw(st.integers(0, 99))).integers(low, high, shape, dtype, endpoint=True)
    mode = draw(st.sampled_from(sorted(PAD)))
    cval = draw(st.sampled_from([0, 7, -3, 2**62 + 1])) if mode == "constant" else 0
    block = tuple(draw(st.integers(1, n)) for n in shape)
    terms = {"mode": mode, "cval": cval, "dtype": draw(st.sampled_from([None, *OUT]))}
    return array, terms, block


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_kernels_of_whole_numbers(data: Any) -> None:
    array, terms, block = drawn(data.draw)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kernel = rng.integers(-9, 10, [int(rng.integers(1, 4)) for _ in array.shape])
    if data.draw(st.booleans()):  # of rank one
        kernel = np.ones((), int)
        for _ in array.shape:
            kernel = np.multiply.outer(kernel, rng.integers(1, 5, int(rng.integers(1, 4))) * rng.choice([-1, 1]))
    operator = bound("correlate", array, kernel=kernel, **terms)
    assert isinstance(operator, Exact)
    wanted = correlated(array.astype(object), kernel, terms["mode"], terms["cval"])
    same(apply(operator, array, block), stored(wanted, 1, terms["dtype"] or array.dtype.name))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_means_and_differences(data: Any) -> None:
    array, terms, block = drawn(data.draw)
    wanted, mode, cval = array.astype(object), terms["mode"], terms["cval"]
    if data.draw(st.booleans()):
        sizes = tuple(data.draw(st.integers(1, 4)) for _ in array.shape)
        operator, divisor = bound("uniform", array, size=sizes, **terms), prod(sizes)
        for axis, size in enumerate(sizes):
            wanted = passed(wanted, axis, [1] * size, mode, cval * prod(sizes[:axis]))
    else:
        along, divisor = data.draw(st.integers(0, array.ndim - 1)), 1
        operator = bound("sobel", array, axis=along, **terms)
        for axis in (along, *(axis for axis in range(array.ndim) if axis != along)):
            wanted = passed(wanted, axis, [-1, 0, 1] if axis == along else [1, 2, 1], mode, cval)
    assert isinstance(operator, Exact)
    same(apply(operator, array, block), stored(wanted, divisor, terms["dtype"] or array.dtype.name))


def test_what_does_not_change_numbers_gives_them_back() -> None:
    array = np.array([[2**62 + 1, 2**53 + 1], [-(2**61) - 3, 5]])
    for name, terms in (("convolve", {"kernel": "identity"}), ("uniform", {"size": 1}), ("gaussian", {"sigma": 0.1})):
        np.testing.assert_array_equal(apply(bound(name, array, **terms), array), array)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("gaussian", {"sigma": 1.0}),
        ("convolve", {"kernel": [[0.5, 0.5]]}),
        ("convolve", {"kernel": [[1, 2], [3, 4]], "algorithm": "fft"}),
        ("convolve", {"kernel": [[2**28, 2**28]]}),
        ("convolve", {"kernel": [[1, 1]], "mode": "constant", "cval": 0.5}),
        ("uniform", {"size": 3, "precision": "double"}),
        ("downsample", {"dtype": "float64"}),
        ("uniform", {"size": 3, "cast": "scipy"}),
    ],
)
def test_where_sums_are_not_exact_it_is_said(name: str, terms: dict[str, Any]) -> None:
    for dtype, said in (("int64", True), ("uint64", True), ("int32", False), ("uint8", False), ("float64", False)):
        grid = grid_of(((5, 6), dtype))
        remarks = find(name)(**terms).bind(grid).remarks(grid)
        assert remarks == (("integers beyond 2^53 are rounded: sums are made in double precision",) if said else ())


def test_rounding_to_float32_is_said() -> None:
    grid = grid_of(((5, 6), "int64"))
    said = find("uniform")(size=3, precision="single").bind(grid).remarks(grid)
    assert said == ("integers beyond 2^24 are rounded: sums are made in single precision",)


def test_where_they_are_exact_nothing_is_said_of_a_chain_either() -> None:
    grid = grid_of(((5, 6), "int64"))
    recipes = [find("median")(size=3), find("sobel")(), find("uniform")(size=(2, 3))]
    assert chain(recipes, grid).remarks(grid) == ()
    assert len(chain([*recipes, find("gaussian")(sigma=1.0)], grid).remarks(grid)) == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(-30, 30), min_size=1, max_size=4), min_size=1, max_size=3))
def test_whole_kernels_of_rank_one_have_whole_factors(factors: list[list[int]]) -> None:
    kernel = np.ones((), np.float64)
    for factor in factors:
        kernel = np.multiply.outer(kernel, factor)
    found = whole_factors(kernel)
    if not kernel.any():
        assert found is None
        return
    assert found is not None
    assert all((factor == np.rint(factor)).all() for factor in found)
    again = np.ones(())
    for factor in found:
        again = np.multiply.outer(again, factor)
    np.testing.assert_array_equal(again, kernel)


def test_with_elements_left_out_differences_are_exact_and_means_are_said_to_round() -> None:
    array = np.array([2**60 + 3, 2**60 + 1, 2**60 + 8, -1, 2**60, 2**60 + 5])
    grid = grid_of(array)
    difference, _ = bound("correlate", array, kernel=[-1, 1], dtype="int64").without(NoData((-1,)), grid)
    assert difference.remarks(grid) == ()
    assert apply(difference, array).tolist() == [0, -2, 7, -1, -1, 5]
    mean, _ = bound("uniform", array, size=2).without(NoData((-1,)), grid)
    assert "2^53" in mean.remarks(grid)[0]


def test_sobel_with_a_value_outside_is_scipys_along_every_axis() -> None:
    array = np.random.default_rng(0).random((5, 6, 7))
    for axis in range(3):
        operator = bound("sobel", array, axis=axis, mode="constant", cval=2.0, precision="double")
        wanted = ndimage.sobel(array, axis, mode="constant", cval=2.0)
        np.testing.assert_allclose(apply(operator, array, (2, 3, 4)), wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ builds the kernels for the CPU; it is missing")
def test_the_cuda_source_gives_the_same(tmp_path: Path) -> None:
    names = [f"{kernel}<i64, i64, i64>" for kernel in ("pass_columns", "pass_rows", "pass_direct")]
    host = Host(
        build(tmp_path, [*(("separable.cu", name) for name in names), ("correlate.cu", "correlate<i64, i64, i64>")])
    )
    rng, dense = np.random.default_rng(0), [[1, -2, 3], [4, 5, -6]]
    try:
        for dtype in ("int64", "uint64"):
            limits = np.iinfo(dtype)
            array = rng.integers(limits.min, limits.max, (5, 11, 9), dtype)
            for name, terms in (
                ("uniform", {"size": (2, 3, 4), "mode": "constant", "cval": -9}),
                ("sobel", {"axis": 1, "mode": "wrap", "dtype": "float64"}),
                ("correlate", {"kernel": dense, "mode": "mirror", "dtype": "int32"}),
                ("correlate", {"kernel": [dense, dense], "mode": "constant", "cval": 2**62 + 1}),
                ("uniform", {"size": (1, 1, 3000)}),
            ):
                operator = bound(name, array, **terms)
                assert isinstance(operator, Exact)
                for want in cut([[0, 3, 5], [0, 4, 11], [0, 9]]):
                    window = window_of(operator, array, want)
                    out = np.empty(want.shape, operator.out_grid(window.grid).dtype)
                    operator.cpu(window, out)
                    np.testing.assert_array_equal(host.compute(operator, window), out)
    finally:
        host.close()


@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_a_norm_of_large_integers_says_that_it_is_rounded(name: str) -> None:
    array = np.arange(40).reshape(5, 8)
    for dtype, said in (("int64", True), ("int32", False), ("float64", False)):
        operator = bound(name, array.astype(dtype), magnitude=True)
        assert ("integers beyond 2^53 are rounded" in " ".join(operator.remarks(grid_of(array.astype(dtype))))) == said
