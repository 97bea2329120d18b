"""Arrays with elements that stand for no data, and what results of them must be."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Operator
from tests.blockwise import bound, grid_of

DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")
HOLES = {"uint8": 255, "int16": -32768, "uint16": 65535, "int32": -9999, "float32": float("nan"), "float64": -1e30}
KERNEL = np.array([[0.0, 1, 2], [1, 0, 0.5], [0, 3, 1]])  # of no outer product, with holes of its own


def with_holes(shape: tuple[int, ...], dtype: str, seed: int = 0, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """An array with holes, and which elements have a value: one corner has none at all."""
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 200, shape).astype(dtype)
    valid = rng.random(shape) > share
    valid[tuple(slice(0, n // 2 + 1) for n in shape)] = False
    array[~valid] = HOLES[dtype]
    return array, valid


def masked(name: str, array: np.ndarray, *values: Any, **fields: Any) -> tuple[Operator, Any]:
    return bound(name, array, **fields).without(NoData(values), grid_of(array))


def same(result: np.ndarray, wanted: np.ndarray, some: np.ndarray, missing: Any) -> None:
    """Values where there are some, rounded half to even for integers (sums may miss a tie); else no data."""
    np.testing.assert_array_equal(result[~some], missing)
    if result.dtype.kind == "f":
        np.testing.assert_allclose(result[some], wanted[some], rtol=3e-7, atol=1e-12)
    else:
        np.testing.assert_array_less(np.abs(result[some] - wanted[some]), 0.5 + 1e-9)
