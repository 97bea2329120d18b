"""Stencils on the CPU: every way through a block gives scipy's sums, and the same bits at every cut."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from blockwise import apply, bound
from scipy import ndimage

from gridstride.workers.families import stencil_cpu, stencil_ring
from gridstride.workers.operators.base import Region, Window
from tests.blockwise import grid_of, on_cpu

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return (rng.normal(size=shape) * 100).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def taps(*size: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=size)


def near(result: np.ndarray, array: np.ndarray, kernel: np.ndarray, **fields: Any) -> None:
    """The result is scipy's in float64, but for the rounding of float32 sums; integers are the nearest ones."""
    wanted = ndimage.correlate(array.astype(np.float64), kernel, **fields)
    scale = np.abs(kernel).sum() * np.abs(array.astype(np.float64)).max()
    atol = kernel.size * 1.2e-7 * scale
    if result.dtype.kind != "f":
        limits = np.iinfo(result.dtype)
        wanted, atol = wanted.clip(limits.min, limits.max), atol + 0.5
    np.testing.assert_allclose(result.astype(np.float64), wanted, rtol=0, atol=atol)


# Rows of less than a tile, of a tile, of some that overlap; heights that leave rows over; kernels that march, or not.
SHAPES = [
    ((300,), (4,)), ((13, 64), (3, 3)), ((6, 65), (5, 2)), ((20, 700), (3, 3)), ((31, 300), (1, 4)),
    ((5, 9, 70), (3, 3, 3)), ((4, 7, 3), (2, 3, 4)), ((3, 4, 5, 20), (2, 3, 1, 3)), ((2, 3, 2, 5, 6), (2, 1, 3, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "size"), SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "out"), [("float32", "float32"), ("uint8", "uint8"), ("uint16", "float32")])
def test_sums_of_any_shape_and_kernel(shape: tuple[int, ...], size: tuple[int, ...], dtype: str, out: str) -> None:
    array, kernel = values(shape, dtype), taps(*size) / 3
    origin = [-1 if n > 2 else 0 for n in size]
    for mode in MODES:
        given = {"mode": mode, "cval": 7.0, "origin": origin}
        operator = bound("correlate", array, kernel=kernel, algorithm="direct", dtype=out, **given)
        whole = apply(operator, array)
        near(whole, array, kernel, **given)
        cut = tuple(max(1, n // 2 - 1) for n in shape)
        np.testing.assert_array_equal(apply(operator, array, cut), whole)


def test_what_is_read_where_it_lies_has_the_bits_of_what_goes_through_the_ring(monkeypatch: Any) -> None:
    array, kernel = values((40, 400), "float32"), taps(3, 4)
    operator = bound("correlate", array, kernel=kernel, algorithm="direct")
    lying = apply(operator, array)
    monkeypatch.setattr(stencil_cpu, "MOST_ROWS", 0)
    np.testing.assert_array_equal(apply(operator, array), lying)
    monkeypatch.setattr(stencil_ring, "RING_BYTES", 2**13)  # many strips
    np.testing.assert_array_equal(apply(operator, array), lying)


@pytest.mark.parametrize("outputs", [1, 3, 4, 7, 13])
@pytest.mark.parametrize("axis", [0, 2])
def test_output_channels_have_the_bits_of_each_alone(outputs: int, axis: int) -> None:
    array, kernel, bias = values((3, 11, 30), "float32"), taps(outputs, 3, 3, 2), taps(outputs)
    kernel[0, 1] = 0
    array = np.ascontiguousarray(np.moveaxis(array, 0, axis))
    axes = [a for a in range(3) if a != axis]

    def made(channels: slice) -> np.ndarray:
        given = {"kernel": kernel[channels], "bias": bias[channels], "channels": axis, "axes": axes}
        operator = bound("correlate", array, algorithm="direct", **given)
        return np.moveaxis(apply(operator, array, (5, 5, 5)), axis, 0)

    together = made(slice(None))
    np.testing.assert_array_equal(together, np.concatenate([made(slice(o, o + 1)) for o in range(outputs)]))
    planes = np.moveaxis(array, axis, 0).astype(np.float64)
    for o, result in enumerate(together):
        wanted = bias[o] + sum(ndimage.correlate(plane, taps) for plane, taps in zip(planes, kernel[o], strict=True))
        np.testing.assert_allclose(result, wanted, rtol=0, atol=1e-2)


@pytest.mark.parametrize("shape", [(40, 400), (9, 12, 30)])
def test_infinities_and_nan_reach_only_the_taps_that_meet_them(shape: tuple[int, ...]) -> None:
    array, kernel = np.ones(shape, np.float32), np.ones((3,) * len(shape))
    kernel.flat[::2] = 0
    bad = [tuple(n // 2 for n in shape), (0,) * len(shape), tuple(n - 1 for n in shape)]
    for index, value in zip(bad, (np.inf, np.nan, -np.inf), strict=True):
        array[index] = value
    result = apply(bound("correlate", array, kernel=kernel, mode="constant", algorithm="direct"), array)
    touched = ndimage.correlate((~np.isfinite(array)).astype(float), kernel, mode="constant") > 0
    np.testing.assert_array_equal(np.isfinite(result), ~touched)


def test_blocks_of_any_strides_are_read_and_written() -> None:
    array, kernel = values((7, 9, 21), "float32"), taps(3, 3, 3)
    operator, grid = bound("correlate", array, kernel=kernel, algorithm="direct"), grid_of(array)
    whole = Region.whole(array.shape)
    wanted = on_cpu(operator, Window(array, whole, whole, grid))
    backwards, packed = array[::-1].copy()[::-1], np.zeros(array.shape, np.dtype([("a", "u1"), ("b", "f4")]))
    packed["b"] = array
    turned = array.transpose(2, 0, 1).copy().transpose(1, 2, 0)
    for data, out in product((backwards, packed["b"], turned), range(2)):
        result = np.empty((2, *array.shape), np.float32)[0] if out else packed["b"].copy(order="F")
        operator.cpu(Window(data, whole, whole, grid), result)
        np.testing.assert_array_equal(result, wanted)
