"""Boxes, lines and moved elements of arrays with elements that stand for no data."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest

from tests.blockwise import apply
from tests.holes import DTYPES, HOLES, masked, with_holes


@pytest.mark.parametrize("method", ["mean", "max", "min"])
@pytest.mark.parametrize("dtype", [*DTYPES, "int64", "uint64"])
@pytest.mark.parametrize("out", [None, "float64", "int16"])
def test_boxes_are_of_the_elements_that_have_a_value(method: str, dtype: str, out: str | None) -> None:
    if dtype in ("int64", "uint64"):
        rng = np.random.default_rng(5)
        limits = np.iinfo(dtype)
        array = rng.integers(limits.max - 9, limits.max, (7, 10), dtype, endpoint=True)
        hole, valid = int(limits.max), array != limits.max
    else:
        array, valid = with_holes((7, 10), dtype)
        hole = HOLES[dtype]
    if out == "int16" and dtype in ("uint16", "float32", "float64", "int64", "uint64"):
        with pytest.raises(ValueError, match="stands for no data, which no element of dtype int16 can be"):
            masked("downsample", array, hole, factors=(3, 4), method=method, dtype=out)
        return
    operator, left = masked("downsample", array, hole, factors=(3, 4), method=method, dtype=out)
    result = apply(operator, array)
    for i, j in product(range(3), range(3)):
        box = (slice(3 * i, 3 * i + 3), slice(4 * j, 4 * j + 4))
        values = [v.item() for v in array[box][valid[box]]]
        got = result[i, j].item()
        if not values:
            np.testing.assert_array_equal(got, left.value)
        elif method != "mean":
            assert got == result.dtype.type({"max": max, "min": min}[method](values)).item()
        elif result.dtype.kind == "f":
            assert got == pytest.approx(sum(values) / len(values), rel=1e-6)
        else:
            whole, rest = divmod(sum(values), len(values))  # Python's whole numbers are exact
            assert got == whole + (2 * rest > len(values) or (2 * rest == len(values) and whole % 2 == 1))
    for block in ((1, 2), (2, 1)):
        assert apply(operator, array, block).tobytes() == result.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["max", "min", "sum", "mean", "std"])
def test_projections_are_of_the_elements_that_have_a_value(dtype: str, method: str) -> None:
    array, valid = with_holes((7, 6, 5), dtype)
    array[:, 5, 4], valid[:, 5, 4] = HOLES[dtype], False
    for axis in range(3):
        operator, left = masked("project", array, HOLES[dtype], axis=axis, method=method, dtype="float64")
        result = apply(operator, array)
        some = valid.any(axis)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lines without any
            wanted = getattr(np, f"nan{method}")(np.where(valid, array.astype(float), np.nan), axis=axis)
        np.testing.assert_allclose(result[some], wanted[some], rtol=1e-12)
        np.testing.assert_array_equal(result[~some], left.value)
        assert apply(operator, array, (2, 3)).tobytes() == result.tobytes()
    whole = masked("project", array, HOLES[dtype], axis=0, method="mean", dtype=dtype)[0]
    if dtype[0] != "f":
        wanted = [np.rint(array[:, y, x][valid[:, y, x]].mean()) for y, x in np.argwhere(valid.any(0))]
        np.testing.assert_array_equal(apply(whole, array)[valid.any(0)], wanted)


def test_what_is_moved_keeps_its_holes() -> None:
    array, valid = with_holes((7, 6), "int16")
    array[0, 0] = 5
    for name, fields, of in (
        ("crop", {"region": "1:,:-2"}, lambda a: a[1:, :-2]),
        ("flip", {"axes": (0,)}, lambda a: a[::-1]),
        ("pad", {"width": 2, "mode": "mirror"}, lambda a: np.pad(a, 2, "reflect")),
        ("cast", {"dtype": "float32"}, lambda a: a.astype("f4")),
    ):
        operator, left = masked(name, array, HOLES["int16"], 5, **fields)
        assert left.values == (HOLES["int16"],)
        wanted = of(np.where((array == 5) | ~valid, HOLES["int16"], array))
        np.testing.assert_array_equal(apply(operator, array, (3, 4)), wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_medians_and_modes_of_boxes_are_of_the_elements_that_have_a_value(dtype: str) -> None:
    array, valid = with_holes((9, 7), dtype)
    array[valid] %= 5
    for method in ("median", "mode"):
        operator, _ = masked("downsample", array, HOLES[dtype], factors=(3, 2), method=method)
        result = apply(operator, array)
        for y, x in np.ndindex(result.shape):
            box = slice(3 * y, 3 * y + 3), slice(2 * x, 2 * x + 2)
            left = array[box][valid[box]]
            if not left.size:
                np.testing.assert_array_equal(result[y, x], HOLES[dtype])
            elif method == "median":
                middle = np.median(left)
                assert result[y, x] == (middle if dtype[0] == "f" else np.rint(middle))
            else:
                numbers, counts = np.unique(left, return_counts=True)
                assert result[y, x] == numbers[counts.argmax()]
        assert apply(operator, array, (2, 1)).tobytes() == result.tobytes()
