"""Bilateral and non-local means: what is left out, what stays, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.restoration import denoise_bilateral

from gridstride.workers.nodata import NoData
from tests.blockwise import apply, bound, grid_of
from tests.operators.bilateral import reference

ALIKE: dict[str, dict[str, Any]] = {
    "bilateral": {"sigma_color": 30.0, "sigma_spatial": 1.2, "dtype": "float32"},
    "nl-means": {"patch_size": 3, "patch_distance": 2, "h": 40.0, "preserve_range": True},
}


def some(shape: tuple[int, ...], dtype: str = "int16") -> np.ndarray:
    return (100 * np.random.default_rng(1).random(shape)).astype(dtype)


@pytest.mark.parametrize("name", ALIKE)
def test_elements_without_data_are_left_out_as_nan_is(name: str) -> None:
    array, wanted = some((8, 19)), some((8, 19), "float32")
    array[2, 3:6] = -7
    wanted[2, 3:6] = np.nan
    operator, left = bound(name, array, **ALIKE[name]).without(NoData((-7,)), grid_of(array))
    result = apply(operator, array, (5, 7))
    assert left == NoData((-7.0,))
    expected = apply(bound(name, wanted, **ALIKE[name]), np.where(np.isnan(wanted), np.nan, array).astype("float32"))
    np.testing.assert_array_equal(result, np.where(np.isnan(expected), -7, expected))


@pytest.mark.parametrize("name", ALIKE)
def test_of_floats_too_and_nan_beside_them_stays(name: str) -> None:
    array = some((9, 17), "float32")
    array[4, 5], array[6, 6], array[1, 1] = -7, np.nan, np.inf
    operator, left = bound(name, array, **ALIKE[name]).without(NoData((-7.0,)), grid_of(array))
    result = apply(operator, array, (4, 9))
    assert left == NoData((-7.0,))
    assert (result[4, 5], result[1, 1]) == (-7, np.inf)
    assert np.isnan(result[6, 6])
    assert np.isfinite(result).sum() == result.size - 2


def test_a_constant_stays_and_so_does_what_is_alone() -> None:
    for name, fields in ALIKE.items():
        for shape in ((1,), (1, 1, 1), (2, 3), (1, 33), (2, 1, 3, 1, 2)):
            array = np.full(shape, 7.0, "float32")
            axes = {"axes": (0, 1, 2)} if len(shape) > 3 else {}
            np.testing.assert_allclose(apply(bound(name, array, **fields, **axes), array), array, rtol=1e-6)
    alone = np.zeros((5, 5), "float64")
    alone[2, 2] = 1e9
    np.testing.assert_array_equal(apply(bound("bilateral", alone, sigma_color=1.0), alone), alone)


def test_outside_may_be_left_out() -> None:
    array = some((6, 7), "float64")
    fields = {"sigma_color": 50.0, "radius": 2, "mode": "constant", "cval": np.nan}
    np.testing.assert_allclose(
        apply(bound("bilateral", array, **fields), array), reference(array, **fields), rtol=1e-12
    )


def test_scikit_image_has_the_weights_of_other_places() -> None:
    """As the operator's text says: 3 x 3 weights are read from a table of 4 x 4 as if it had rows of 3."""
    array = some((9, 8), "float64")
    places = np.arange(4) - 2
    table = np.exp(-(places[:, None] ** 2 + places**2) / 2 / 0.8**2).reshape(-1)[:9].reshape(3, 3)
    total, weights = np.zeros_like(array), np.zeros_like(array)
    around = np.pad(array, 1, "symmetric")
    for i, j in np.ndindex(3, 3):
        there = around[i : i + 9, j : j + 8]
        weight = table[i, j] * np.exp(-((there - array) ** 2) / 2 / 20**2)
        total, weights = total + weight * there, weights + weight
    theirs = denoise_bilateral(array, 3, 20, 0.8, mode="symmetric")
    ours = apply(bound("bilateral", array, sigma_color=20.0, sigma_spatial=0.8, size=3), array)
    np.testing.assert_allclose(theirs, total / weights, atol=0.02)
    assert np.abs(theirs - ours).max() > 1


def test_channels_last_are_filtered_one_by_one() -> None:
    array = some((9, 11, 3), "float32")
    for name, fields in ALIKE.items():
        result = apply(bound(name, array, axes=(0, 1), **fields), array)
        for c in range(3):
            one = np.ascontiguousarray(array[..., c])
            np.testing.assert_array_equal(result[..., c], apply(bound(name, one, **fields), one))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("bilateral", {"sigma_color": 3.0, "size": 3, "radius": 1}, "give size or radius, not both"),
        ("bilateral", {"sigma_color": 3.0, "sigma_spatial": 1e6}, "expected 131072 at most; give a smaller size"),
        ("bilateral", {"sigma_color": 3.0, "radius": (1, 2, 3)}, "radius has 3 values for 2 filtered axes"),
        ("nl-means", {}, "results are parts of 32767, which int16 cannot hold: give --preserve-range"),
        ("nl-means", {"h": 1e-19, "dtype": "float32"}, "h is 1e-19: expected 1e-15 or more"),
    ],
)
def test_bad_terms_are_refused_in_one_line(name: str, fields: dict[str, Any], message: str) -> None:
    fields = {"dtype": "int16", **fields} if name == "nl-means" else fields
    with pytest.raises(ValueError, match=message) as raised:
        bound(name, ((8, 9), np.dtype("int16")), **fields)
    assert "\n" not in str(raised.value)


def test_patches_are_of_three_axes_at_most() -> None:
    with pytest.raises(ValueError, match="patches of 4 axes: expected 3 at most"):
        bound("nl-means", ((4, 4, 4, 4), np.dtype("float32")))
