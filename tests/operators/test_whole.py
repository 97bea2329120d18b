"""Means and deviations of large integers, of which some are missing, are exact: rounded once."""

from __future__ import annotations

import numpy as np
import pytest

from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Operator
from gridstride.workers.region import Region
from tests.blockwise import apply, bound, grid_of, peak, window_of
from tests.operators.project import of_line, stored


def masked(array: np.ndarray, **fields: object) -> Operator:
    return bound("project", array, **fields).without(NoData((5,)), grid_of(array))[0]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8"])
@pytest.mark.parametrize("method", ["mean", "std", "sum"])
def test_projections_of_the_elements_that_have_a_value(dtype: str, method: str) -> None:
    limits = np.iinfo(dtype)
    array = np.random.default_rng(0).integers(limits.min, limits.max, (9, 31), dtype, endpoint=True)
    array[:, 0] = limits.max // 2 + 1  # of 64 bits, their sum is beyond 64 bits
    array[:, 1] = limits.min + (np.arange(9) == 4)
    array[3:, 2] = limits.max - 7
    array[1:4] = np.where(np.arange(31) % 3, array[1:4], 5)
    array[:, 30] = 5
    for axis in (0, 1):
        for out in ("float64", dtype)[: 2 if method == "mean" else 1]:
            result = apply(masked(array, axis=axis, method=method, dtype=out if method == "mean" else None), array)
            for found, line in zip(result, np.moveaxis(array, axis, -1), strict=True):
                known = line[line != 5]
                if known.size:
                    assert found == stored(of_line(known, method, np.dtype(out)), result.dtype), line
                else:
                    assert found == 5


@pytest.mark.parametrize("dtype", ["uint64", "int16", "float32"])
@pytest.mark.parametrize("method", ["max", "sum", "mean", "std"])
def test_their_memory_is_foreseen(dtype: str, method: str) -> None:
    array = np.ones((300, 40, 50), dtype)
    operator, grid = masked(array, axis=0, method=method), grid_of(array)
    window = window_of(operator, array, Region.whole((40, 50)))
    assert peak(operator, window) <= operator.scratch(window.want, grid, "cpu") + 100_000


def test_a_mean_says_that_it_is_rounded_where_it_is() -> None:
    for dtype, fields, said in (
        ("int64", {}, ("means beyond 2^53 are rounded to the nearest that float64 has",)),
        ("int64", {"dtype": "int64"}, ()),
        ("int32", {}, ()),
    ):
        array = np.ones((3, 4), dtype)
        assert bound("project", array, axis=0, method="mean", **fields).remarks(grid_of(array)) == said
