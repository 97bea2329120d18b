"""Distances and labels that grow: in one sweep or some, where nothing is zero, without data, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import expand_labels

from gridstride.workers.families import distance_cpu
from gridstride.workers.families.distance import Distances
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import edt
from gridstride.workers.operators.base import Operator
from tests.blockwise import apply, bound, grid_of


def some(shape: tuple[int, ...], share: float = 0.03, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.integers(1, 200, shape), 0).astype("uint8")


@pytest.mark.parametrize(("together", "sweeps"), [(1, 3), (400, 2), (2**22, 1)])
@pytest.mark.parametrize("sampling", [1.0, (2.0, 3.0, 1.0), (0.3, 0.7, 1.1)])
def test_any_number_of_sweeps_gives_the_same(
    together: int, sweeps: int, sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edt, "TOGETHER", together)
    array = some((14, 15, 16)) == 0
    operator = bound("edt", array, sampling=sampling, dtype="float64")
    assert isinstance(operator, Distances)
    assert len(operator.stages) == sweeps == 1 + operator.sweeps()
    wanted = ndimage.distance_transform_edt(array, sampling)
    np.testing.assert_allclose(apply(operator, array, (5, 6, 7)), wanted, rtol=1e-15)


@pytest.mark.parametrize("near", [2, 96])
def test_far_elements_are_found_by_either_way(near: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance_cpu, "NEAR", near)
    array = np.ones((60, 33), bool)
    array[40, 30] = array[3, 2] = array[3, 4] = False
    for sampling in (1.0, (0.31, 0.72)):
        wanted = ndimage.distance_transform_edt(array, sampling)
        found = apply(bound("edt", array, sampling=sampling, dtype="float64"), array)
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_where_nothing_is_zero_all_is_infinitely_far() -> None:
    for shape in ((4, 5), (1,), (3, 1, 2)):
        array = np.ones(shape, "uint8")
        assert np.isinf(apply(bound("edt", array), array)).all()
        assert (apply(bound("edt", array, max_distance=2.5), array) == 2.5).all()
        assert not apply(bound("edt", 0 * array), 0 * array).any()
        assert not apply(bound("expand-labels", array, distance=9.0), 0 * array).any()
    slices = np.ones((2, 5), "uint8")
    slices[1, 3] = 0
    np.testing.assert_array_equal(apply(bound("edt", slices, axes=(1,)), slices), [[np.inf] * 5, [3, 2, 1, 0, 1]])


def test_long_axes_are_counted_exactly() -> None:
    array = np.ones((2, 40_000), bool)
    array[0, 0] = False
    found = apply(bound("edt", array, dtype="float64"), array)
    np.testing.assert_array_equal(found, np.hypot(np.arange(2.0)[:, None], np.arange(40_000.0)))


def test_of_labels_as_near_the_first_along_the_last_axis_is_taken() -> None:
    array = np.zeros((5, 5), "uint16")
    array[0, 2], array[2, 0], array[2, 4], array[4, 2] = 1, 2, 3, 4
    for block in (None, (2, 3), (1, 1)):
        grown = apply(bound("expand-labels", array, distance=2.0), array, block)
        assert (grown[2, 2], grown[1, 1], grown[1, 3]) == (2, 2, 1)
        np.testing.assert_array_equal(grown, expand_labels(array, 2))


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float32", "float64", "int64"])
def test_labels_of_any_type_grow(dtype: str) -> None:
    array = (some((9, 33)) if dtype != "int8" else some((9, 33)).astype("int16") // -2).astype(dtype)
    array[0, :3] = -0.0
    np.testing.assert_array_equal(
        apply(bound("expand-labels", array, distance=2.0), array), expand_labels(array, 2), strict=True
    )


def left_out(name: str, array: np.ndarray, value: float, **fields: Any) -> tuple[Operator, NoData | None]:
    return bound(name, array, **fields).without(NoData((value,)), grid_of(array))


def test_elements_without_data_do_not_grow_and_are_not_grown_over() -> None:
    array = some((8, 20))
    array[3, 5:9] = 255
    operator, left = left_out("expand-labels", array, 255, distance=2.0)
    wanted = np.where(array == 255, 255, expand_labels(np.where(array == 255, 0, array), 2))
    assert left == NoData((255,))
    np.testing.assert_array_equal(apply(operator, array, (4, 7)), wanted)
    operator, left = left_out("expand-labels", array, 0, distance=2.0)
    np.testing.assert_array_equal(apply(operator, array), expand_labels(array, 2))


def test_zeros_may_stand_for_no_data_but_nothing_else() -> None:
    array = some((8, 20))
    for fields in ({}, {"max_distance": 3.0}):
        operator, left = left_out("edt", array, 0, **fields)
        assert left is None
        np.testing.assert_array_equal(apply(operator, array), apply(bound("edt", array, **fields), array))
        with pytest.raises(ValueError, match="cannot leave out elements without data: leave nodata out"):
            left_out("edt", array, 255, **fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("edt", {"dtype": "uint8"}, "dtype is uint8: expected float32 or float64"),
        ("edt", {"sampling": (1.0, 2.0, 3.0)}, "sampling has 3 values for 2 filtered axes"),
        ("expand-labels", {"spacing": (1.0,)}, "spacing has 1 values for 2 filtered axes"),
    ],
)
def test_bad_terms_are_refused_in_one_line(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bound(name, ((8, 9), np.dtype("uint8")), **fields)
