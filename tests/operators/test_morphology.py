"""Minima, maxima and what is made of them: scipy's values for any shape, window, boundary and cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gridstride.workers.nodata import NoData
from gridstride.workers.operators import registry
from tests.blockwise import apply, bound, grid_of
from tests.morphology import binary, difference, dilated, eroded, stage
from tests.operators.median import array as numbers

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "uint64", "int64", "float16", "float32", "float64"]


def opened(image: np.ndarray, **options: Any) -> np.ndarray:
    return dilated(eroded(image, **options), **options)


def closed(image: np.ndarray, **options: Any) -> np.ndarray:
    return eroded(dilated(image, **options), **options)


GREY = {
    "minimum": lambda image, **options: stage(ndimage.minimum_filter, image, True, **options),
    "maximum": lambda image, **options: stage(ndimage.maximum_filter, image, False, **options),
    "grey-erosion": eroded,
    "grey-dilation": dilated,
    "grey-opening": opened,
    "grey-closing": closed,
    "white-tophat": lambda image, **options: difference(image, opened(image, **options)),
    "black-tophat": lambda image, **options: difference(closed(image, **options), image),
    "morphological-gradient": lambda image, **options: difference(dilated(image, **options), eroded(image, **options)),
}


@st.composite
def windows(draw: Any, ndim: int) -> dict[str, Any]:
    """A box or a footprint of any form, with an origin."""
    size = tuple(draw(st.integers(1, 7 if ndim < 3 else 4)) for _ in range(ndim))
    found: dict[str, Any] = {"origin": tuple(draw(st.integers(-(n // 2), (n - 1) // 2)) for n in size)}
    if draw(st.booleans()):
        return found | {"size": size}
    footprint = np.random.default_rng(draw(st.integers(0, 999))).random(size) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    footprint.flat[draw(st.integers(0, footprint.size - 1))] = True
    return found | {"footprint": footprint}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(GREY)), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(0, 999))
def test_grey(data: Any, name: str, dtype: str, ndim: int, seed: int) -> None:
    most = (90, 40, 14, 5, 4)[ndim - 1]
    shape = tuple(data.draw(st.integers(1, most)) for _ in range(ndim))
    options = data.draw(windows(ndim))
    modes = st.sampled_from(MODES)
    mode = data.draw(modes if "footprint" in options else st.tuples(*[modes] * ndim))
    options |= {"mode": mode, "cval": data.draw(st.sampled_from([0, 1, 100])) if dtype != "bool" else 1}
    image = numbers(np.random.default_rng(seed), shape, dtype)
    block = tuple(data.draw(st.integers(1, n)) for n in shape)
    operator = bound(name, image, **options)
    with np.errstate(all="ignore"):
        wanted = GREY[name](image, **options)
    whole = apply(operator, image)
    np.testing.assert_array_equal(whole, wanted, strict=True)
    assert apply(operator, image, block).tobytes() == whole.tobytes()


@settings(max_examples=80, deadline=None)
@given(
    st.data(), st.sampled_from(["erosion", "dilation", "opening", "closing"]), st.integers(1, 4), st.integers(1, 6),
    st.sampled_from([0, 1]), st.integers(0, 999),
)  # fmt: skip
def test_binary(data: Any, name: str, ndim: int, times: int, border: int, seed: int) -> None:
    shape = tuple(data.draw(st.integers(1, (60, 20, 9, 5)[ndim - 1])) for _ in range(ndim))
    image = np.random.default_rng(seed).random(shape) < data.draw(st.sampled_from([0.03, 0.5, 0.97]))
    options: dict[str, Any] = {"iterations": times, "border_value": border}
    if data.draw(st.booleans()):
        options["connectivity"] = data.draw(st.integers(1, ndim))
    else:
        window = data.draw(windows(ndim))
        structure = window["footprint"] if "footprint" in window else np.ones(window["size"], bool)
        options |= {"structure": structure, "origin": window["origin"]}
    operator = bound(f"binary-{name}", image, **options)
    block = tuple(data.draw(st.integers(1, n)) for n in shape)
    wanted = binary(name, image, **options, brute_force=True)
    np.testing.assert_array_equal(apply(operator, image), wanted, strict=True)
    np.testing.assert_array_equal(apply(operator, image, block), wanted)


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "bool"])
@pytest.mark.parametrize("mode", ["mirror", "constant"])
def test_elements_without_data_are_left_out(dtype: str, mode: str, largest: bool) -> None:
    image = numbers(np.random.default_rng(5), (13, 17), dtype)
    hole = {"uint8": 255 * (not largest), "int16": 7, "float32": float("nan"), "bool": int(not largest)}[dtype]
    missing = np.random.default_rng(6).random(image.shape) < 0.6
    image[missing | (np.arange(17) < 5)] = hole
    missing = image != image if hole != hole else image == image.dtype.type(hole)
    options: dict[str, Any] = {"size": (3, 4), "mode": mode, "cval": 0}
    operator = bound("maximum" if largest else "minimum", image, **options)
    result = apply(operator.without(NoData((hole,)), grid_of(image))[0], image, (5, 6))
    some = stage(ndimage.maximum_filter, ~missing, False, **options | {"cval": hole != 0})
    last = {"f": np.inf, "b": 1, "u": 255, "i": 32767}[image.dtype.kind]
    if largest:
        last = {"f": -np.inf, "b": 0, "u": 0, "i": -32768}[image.dtype.kind]
    filled = np.where(missing, np.array(last, dtype), image)
    outside = last if hole == 0 else 0
    function = ndimage.maximum_filter if largest else ndimage.minimum_filter
    wanted = stage(function, filled, not largest, **options | {"cval": outside})
    np.testing.assert_array_equal(result, np.where(some, wanted, np.array(hole, dtype)), strict=True)


def test_a_tophat_has_no_data_where_the_array_has_none() -> None:
    image = np.random.default_rng(3).integers(1, 200, (9, 14)).astype(np.uint8)
    image[2:5, 3:6] = 0
    operator, left = bound("white-tophat", image, size=3).without(NoData((0,)), grid_of(image))
    assert left is not None
    result = apply(operator, image)
    assert (result[image == 0] == left.value).all()
    far = np.s_[:, 9:]  # no window of a window reaches the hole
    np.testing.assert_array_equal(result[far], ndimage.white_tophat(image, 3)[far])


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("binary-erosion", {"iterations": 0}, "expected 1 or more: how often it takes until nothing changes"),
        ("binary-erosion", {"connectivity": 3}, "connectivity is 3: expected 1 to 2, the number of filtered axes"),
        ("binary-erosion", {"connectivity": 1, "structure": np.eye(3)}, "give connectivity or structure, not both"),
        ("binary-opening", {"structure": np.eye(3), "footprint": np.eye(3)}, "give structure or footprint, not both"),
        ("binary-dilation", {"structure": np.ones(3)}, "the structure has 1 dimensions for 2 filtered axes"),
        ("binary-dilation", {"structure": np.zeros((3, 3))}, "the structure is empty"),
        ("binary-closing", {"origin": 2}, "origin is 2: expected -1 to 1, for a structure of 3 elements"),
        ("binary-closing", {"border_value": 2}, "expected 1 at most"),
        ("binary-erosion", {"iterations": 10**6}, "iterations is 1000000: that is 250000 steps, expected 1000 at most"),
        ("binary-erosion", {"iterations": 10**6, "connectivity": 2}, "iterations is 1000000: expected fewer"),
        ("minimum", {"size": 10**6}, "the box has 1000000 elements along an axis: expected 65536 at most"),
        ("minimum", {"footprint": np.zeros((3, 3))}, "the footprint is empty"),
        ("grey-erosion", {"size": 3, "origin": 2}, "origin is 2: expected -1 to 1"),
        ("maximum", {"mode": "constant", "cval": 300}, "cval is 300.0: expected a value of the array's dtype uint8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        registry.find(name)(**fields).bind(grid_of(((5, 6), np.uint8)))
