"""flatfield and rolling-ball beyond their mirrors: elements without data, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.filters import threshold_local
from skimage.restoration import rolling_ball

from tests.blockwise import apply, bound
from tests.holes import HOLES, masked, with_holes


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_missing_elements_are_not_under_the_ball(dtype: str) -> None:
    array, valid = with_holes((19, 23), dtype, share=0.2)
    operator, left = masked("rolling-ball", array, HOLES[dtype], radius=4, dtype="float64")
    wanted = array - rolling_ball(np.where(valid, array, np.inf), radius=4)
    if array.dtype.kind != "f":
        wanted = array - np.trunc(array - wanted)
    for block in (None, (7, 5)):
        result = apply(operator, array, block)
        assert left is not None
        np.testing.assert_array_equal(result[~valid], left.value)
        np.testing.assert_allclose(result[valid], wanted[valid], rtol=2e-7 * (dtype == "float32"))


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_integers_over_all_of_their_range_saturate(dtype: str) -> None:
    limits = np.iinfo(dtype)
    array = np.random.default_rng(1).integers(limits.min, limits.max, (15, 17), dtype, endpoint=True)
    result = apply(bound("rolling-ball", array, radius=2.5), array)
    if array.itemsize == 8:  # scikit-image's sums are in float64: those of the exact ones, in Python's integers
        adds = [
            (y, x, 2.5 - np.sqrt(6.25 - y * y - x * x))
            for y in range(-2, 3)
            for x in range(-2, 3)
            if y * y + x * x <= 6
        ]
        padded = np.pad(array.astype(object), 2, constant_values=2**70)
        sums = [padded[2 + y : 17 + y, 2 + x : 19 + x] + int(add) for y, x, add in adds]
        up = [padded[2 + y : 17 + y, 2 + x : 19 + x] + int(np.ceil(add)) for y, x, add in adds]
        low, high = (np.minimum.reduce(one) for one in (sums, up))
        background = np.where(low >= 0, low, high)
    else:
        background = rolling_ball(array, radius=2.5).astype(object)
    wanted = (array.astype(object) - background).clip(limits.min, limits.max).astype(dtype)
    np.testing.assert_array_equal(result, wanted)


def test_flatfield_leaves_missing_elements_out() -> None:
    array, valid = with_holes((5, 9), "uint16")
    operator, left = masked("flatfield", array, HOLES["uint16"], flat=np.arange(1.0, 10), dark=1.5)
    assert left is not None
    result = apply(operator, array)
    np.testing.assert_array_equal(result[~valid], left.value)
    wanted = ((array - 1.5) / (np.arange(1.0, 10) - 1.5)).astype(np.float32)
    np.testing.assert_array_equal(result[valid], wanted[valid])


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("rolling-ball", {"radius": 1e5}, "radius is 100000, a ball over 3.1e+10 elements"),
        ("flatfield", {"flat": np.ones((4, 7))}, "flat of shape (4, 7) has 4 elements along axis 0 of 6"),
        ("flatfield", {"flat": np.ones((2, 6, 7))}, "the flat has 3 dimensions"),
        ("flatfield", {"flat": np.ones(7), "dark": np.ones(6)}, "dark of shape (6,) has 6 elements along axis 1 of 7"),
        ("flatfield", {"flat": np.ones((7, 6))}, "name the axes of the references with axes"),
    ],
)
def test_what_cannot_be_is_refused(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        bound(name, ((6, 7), np.dtype(np.uint8)), **fields)
    assert said in str(error.value)


def test_truth_values_have_no_background() -> None:
    with pytest.raises(ValueError, match="cast it first"):
        bound("rolling-ball", ((6, 7), np.dtype(bool)), radius=3)


def test_where_flat_equals_dark_it_is_said() -> None:
    operator = bound("flatfield", ((6, 7), np.dtype(np.uint8)), flat=np.eye(6, 7), dark=0)
    assert "flat equals dark at 36 of 42 elements" in operator.says[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("axis", [0, 2, -1])
def test_labels_without_data_are_of_no_class(axis: int) -> None:
    array, valid = with_holes((5, 9), "int16")
    array[valid] %= 4
    operator, left = masked("one-hot", array, HOLES["int16"], 2, classes=4, axis=axis)
    result = np.moveaxis(apply(operator, array, (3, 3, 3)), axis, -1)
    assert left is None
    for k in range(4):
        np.testing.assert_array_equal(result[..., k], (array == k) & (k != 2))


def test_labels_that_are_no_classes_are_refused_when_they_are_found() -> None:
    array = np.array([[0, 3], [2, 1]], np.int32)
    with pytest.raises(ValueError, match="the array has labels from 0 to 3: expected 0 to 2, for classes 3"):
        apply(bound("one-hot", array, classes=3), array)
    for dtype, terms, said in (
        ("float32", {}, "dtype float32: expected labels"),
        ("uint8", {"axis": 3}, "axis is 3: expected -3 to 2"),
    ):
        with pytest.raises(ValueError, match=said):
            bound("one-hot", ((2, 2), np.dtype(dtype)), classes=3, **terms)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_missing_elements_are_in_no_histogram(dtype: str) -> None:
    array, valid = with_holes((21, 26), dtype, share=0.1)
    operator, left = masked("clahe", array, HOLES[dtype], kernel_size=(5, 6))
    result = apply(operator, array)
    assert left is not None
    np.testing.assert_array_equal(result[~valid], left.value)
    assert result[valid].min() == 0
    assert result[valid].max() == 1
    np.testing.assert_array_equal(apply(operator, array, (4, 9)), result)


def test_clahe_of_half_precision_and_of_nothing() -> None:
    array = np.random.default_rng(2).random((9, 14)).astype(np.float16)
    wanted = apply(bound("clahe", array.astype(np.float32)), array.astype(np.float32))
    np.testing.assert_array_equal(apply(bound("clahe", array), array), wanted)
    nothing = np.full((5, 6), np.nan, np.float32)
    np.testing.assert_array_equal(apply(bound("clahe", nothing), nothing), nothing)
    infinite = np.array([[0.0, np.inf]])
    with pytest.raises(ValueError, match="expected a finite range"):
        apply(bound("clahe", infinite), infinite)
    with pytest.raises(ValueError, match="kernel_size is 1, 1: that is 100000000 tiles of 256 bins"):
        bound("clahe", ((10**4, 10**4), np.dtype(np.uint8)), kernel_size=1)


@pytest.mark.parametrize(("method", "dtype"), [("gaussian", "float32"), ("mean", "uint8"), ("sauvola", "uint8")])
def test_missing_elements_are_in_no_threshold_and_not_above_one(method: str, dtype: str) -> None:
    array, valid = with_holes((17, 19), dtype)
    operator, left = masked("local-threshold", array, HOLES[dtype], method=method, block_size=5)
    result = apply(operator, array)
    assert left is None
    assert not result[~valid].any()
    np.testing.assert_array_equal(apply(operator, array, (5, 4)), result)
    if method == "mean":
        weights, sums = (
            np.pad(one, 2, "symmetric") for one in (valid.astype(float), np.where(valid, array, 0).astype(float))
        )
        total = sum(sums[y : 17 + y, x : 19 + x] for y in range(5) for x in range(5))
        count = sum(weights[y : 17 + y, x : 19 + x] for y in range(5) for x in range(5))
        np.testing.assert_array_equal(result[valid], (array > total / np.maximum(count, 1))[valid])


def test_an_element_equal_to_the_mean_around_it_is_not_greater() -> None:
    array = np.full((9, 11), 7, np.uint8)
    for method in ("gaussian", "mean", "niblack"):
        assert not apply(bound("local-threshold", array, method=method, block_size=3), array).any()
        assert apply(bound("local-threshold", array, method=method, block_size=3, offset=0.5), array).all()


@pytest.mark.parametrize("cval", [3.5, -3, 300])
def test_what_is_outside_of_a_median_may_be_a_number_that_the_array_cannot_hold(cval: float) -> None:
    array = np.random.default_rng(0).integers(0, 9, (9, 9)).astype(np.uint8)
    terms: dict[str, Any] = {"method": "median", "mode": "constant", "cval": cval}
    wanted = array > threshold_local(array, 5, **terms)
    np.testing.assert_array_equal(apply(bound("local-threshold", array, block_size=5, **terms), array), wanted)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"block_size": 4}, "block_size is 4: expected an odd number"),
        ({"block_size": (3, 3, 3)}, "block_size has 3 values for 2 filtered axes"),
        ({"method": "mean", "param": 2.0}, "param is given, which method gaussian has"),
        ({"k": 0.1}, "k is given, which method niblack and sauvola has"),
        ({"mode": "nowhere"}, "unknown mode 'nowhere'"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bound("local-threshold", ((6, 7), np.dtype(np.uint8)), **fields)
