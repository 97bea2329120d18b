"""Operators of many passes: in several sweeps, beside elements that are no numbers, and without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridstride.workers.families.relay import shares
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import denoise_tv, registry
from tests.blockwise import apply, bound, grid_of

RNG = np.random.default_rng(5)


def test_shares_are_as_few_as_can_be_and_about_equal() -> None:
    assert shares(0, 4) == [0]
    assert shares(10, 4) == [3, 3, 4]
    assert shares(8, 4) == [4, 4]


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2), (1,)])
def test_the_dual_field_goes_from_sweep_to_sweep(axes: tuple[int, ...], monkeypatch: Any) -> None:
    array = RNG.random((9, 8, 11), "float32")
    fields = {"weight": 0.3, "iterations": 12, "axes": axes}
    whole = apply(bound("denoise-tv", array, **fields), array)
    monkeypatch.setattr(denoise_tv, "MOST_FUSED", 4)
    operator = bound("denoise-tv", array, **fields)
    assert operator.sweeps() == 2
    assert operator.kept(grid_of(array)) == (array.nbytes * (1 + len(axes)),) * 2
    assert apply(operator, array, (4, 5, 6)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", ["denoise-tv"])
def test_elements_that_are_no_numbers_stay_and_change_no_others(name: str) -> None:
    """As if the array ended there."""
    array = RNG.random((6, 24), "float32")
    array[:, 10] = np.nan
    array[:, 11] = np.inf
    found = apply(bound(name, array, iterations=6), array)
    assert np.isnan(found[:, 10]).all()
    assert (found[:, 11] == np.inf).all()
    for part in (slice(0, 10), slice(12, 24)):
        alone = np.ascontiguousarray(array[:, part])
        np.testing.assert_array_equal(found[:, part], apply(bound(name, alone, iterations=6), alone))


@pytest.mark.parametrize(("name", "dtype"), [("denoise-tv", "uint8"), ("denoise-tv", "float32")])
def test_elements_without_data_stay_so(name: str, dtype: str) -> None:
    array = RNG.integers(1, 200, (9, 12)).astype(dtype)
    array[3:5, 4:7] = 0
    recipe = registry.find(name)(iterations=5, dtype="float32")
    operator, left = recipe.bind(grid_of(array)).without(NoData((0,)), grid_of(array))
    found = apply(operator, array, (4, 5))
    assert left is not None
    assert (left.valid(found, np) == (array != 0)).all()
    given = array.astype("float32") / np.float32(255 if dtype == "uint8" else 1)
    given[array == 0] = np.nan
    wanted = apply(bound(name, given, iterations=5), given)
    np.testing.assert_allclose(found[array != 0], wanted[array != 0], rtol=1e-6)
