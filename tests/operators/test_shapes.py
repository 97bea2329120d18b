"""project, crop, flip, pad and downsample of any array, at any cut of every axis: NumPy's, whatever the dtype."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridstride.workers.operators import registry
from tests.blockwise import apply, grid_of

DTYPES = ("bool", "uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64")


@st.composite
def arrays(draw: Any, least: int = 1) -> np.ndarray:
    shape = draw(st.lists(st.integers(1, 9), min_size=least, max_size=4))
    shape[draw(st.integers(0, len(shape) - 1))] *= draw(st.sampled_from([1, 1, 40]))
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if dtype.kind in "iu":
        limits, few = np.iinfo(dtype), draw(st.booleans())
        low, high = (0, 3) if few else (int(limits.min), int(limits.max))
        return rng.integers(low, high, shape, dtype, endpoint=True)
    values = rng.normal(size=shape).round(draw(st.integers(0, 9)))
    values[rng.random(shape) < draw(st.sampled_from([0, 0.1]))] = np.nan
    return values > 0 if dtype.kind == "b" else values.astype(dtype)


def made(data: Any, name: str, array: np.ndarray, **fields: Any) -> np.ndarray:
    """The result of an operator, the same at a cut of each axis."""
    operator = registry.find(name)(**fields).bind(grid_of(array))
    whole = apply(operator, array)
    block = [data.draw(st.integers(max(1, -(-n // 4)), n)) for n in whole.shape]
    assert apply(operator, array, block).tobytes() == whole.tobytes()
    return whole


@settings(max_examples=50)
@given(st.data(), arrays(least=2), st.sampled_from(["max", "min", "mean", "sum", "std"]))
def test_projections(data: Any, array: np.ndarray, method: str) -> None:
    axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
    found = made(data, "project", array, axis=axis, method=method)
    with np.errstate(all="ignore"):
        wanted = getattr(np, method)(array, axis=axis)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        if method in ("max", "min"):
            np.testing.assert_array_equal(found, wanted)
        elif array.dtype.kind != "f" and method != "std":
            exact = array.astype(object).sum(axis)
            if method == "mean":
                assert found.tolist() == (exact / array.shape[axis]).tolist()  # Python divides integers exactly
            else:
                limits = np.iinfo(found.dtype)
                np.testing.assert_array_equal(found.astype(object), np.clip(exact, limits.min, limits.max))
        else:
            near = getattr(np, method)(array.astype("f8"), axis=axis) if array.itemsize < 8 else wanted
            rtol = {2: 1e-3, 4: 1e-6, 8: 1e-12}[found.itemsize]
            np.testing.assert_allclose(found, near.astype(found.dtype), rtol=rtol, atol=rtol)


@settings(max_examples=40)
@given(st.data(), arrays())
def test_parts_and_mirror_images(data: Any, array: np.ndarray) -> None:
    spans = [sorted(data.draw(st.permutations(range(n + 1)))[:2]) for n in array.shape]
    found = made(data, "crop", array, region=[slice(*span) for span in spans])
    np.testing.assert_array_equal(found, array[tuple(slice(*span) for span in spans)], strict=True)
    axes = data.draw(st.lists(st.integers(0, array.ndim - 1), min_size=1, unique=True))
    np.testing.assert_array_equal(made(data, "flip", array, axes=axes), np.flip(array, axes), strict=True)


@settings(max_examples=40)
@given(st.data(), arrays(), st.sampled_from(["reflect", "mirror", "nearest", "wrap", "constant"]))
def test_more_around(data: Any, array: np.ndarray, mode: str) -> None:
    before, after = ([data.draw(st.integers(0, 12)) for _ in array.shape] for _ in range(2))
    if array.size * prod(before) > 10**5:
        before = [1] * array.ndim
    found = made(data, "pad", array, before=before, after=after, mode=mode)
    name = {"reflect": "symmetric", "mirror": "reflect", "nearest": "edge"}.get(mode, mode)
    np.testing.assert_array_equal(found, np.pad(array, list(zip(before, after, strict=True)), name), strict=True)


@settings(max_examples=40)
@given(st.data(), arrays(), st.sampled_from(["median", "mode", "max"]))
def test_boxes(data: Any, array: np.ndarray, method: str) -> None:
    factors = [data.draw(st.integers(1, 4)) for _ in array.shape]
    found = made(data, "downsample", array, factors=factors, method=method)
    for index in np.ndindex(found.shape):
        box = array[tuple(slice(i * n, i * n + n) for i, n in zip(index, factors, strict=True))].ravel()
        if method == "max":
            wanted: Any = box.max()
        elif method == "mode":
            numbers, counts = np.unique(box, return_counts=True)
            wanted = numbers[counts.argmax()]
        elif array.dtype.kind == "f":
            wanted = np.median(box.astype("f4") if array.itemsize == 2 else box).astype(array.dtype)
        else:
            low, high = (sorted(box.tolist())[n // 2] for n in (box.size - 1, box.size))
            floor, odd = divmod(int(low) + int(high), 2)
            wanted = floor + (odd and floor % 2)
        assert found[index] == wanted or (wanted != wanted and found[index] != found[index])


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,)])
def test_arrays_without_elements(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.uint8)
    grid = grid_of(array)
    assert registry.find("flip")(axes=(0,)).bind(grid).out_grid(grid).shape == shape
    assert registry.find("crop")(region=[slice(None)] * len(shape)).bind(grid).out_grid(grid).shape == shape
    padded = registry.find("pad")(width=2, cval=7).bind(grid)
    np.testing.assert_array_equal(apply(padded, array), np.pad(array, 2, constant_values=7))
    with pytest.raises(ValueError, match="no elements"):
        registry.find("pad")(width=2, mode="wrap").bind(grid)
    if len(shape) > 1:
        with pytest.raises(ValueError, match="no elements"):
            registry.find("project")(axis=shape.index(0)).bind(grid)
