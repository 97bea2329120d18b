"""What the CPU's kernels do at the edges of their range: memory along long axes, truth values, strides, 64 bits."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher
from scipy import ndimage

from gridstride.workers.families import separable_cpu
from gridstride.workers.families.local import longest_run
from gridstride.workers.families.rows import aligned, in_a_row, walkable
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Region, Window
from tests.blockwise import apply, bound, grid_of, peak


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "fields"),
    [
        ("minimum", "uint8", (2**18,), {"size": 3}),
        ("minimum", "uint8", (2**16, 3), {"size": (3, 1)}),
        ("minimum", "uint8", (4, 40, 60, 60), {"size": 3}),
        ("median", "uint8", (2**18,), {"size": 3}),
        ("median", "uint8", (30, 40, 600), {"size": (1, 13, 13)}),
        ("laplace", "float32", (2**14, 3), {}),
        ("gaussian", "uint8", (2**18,), {"sigma": 1}),
        ("downsample", "uint8", (16, 40, 60), {"factors": 2}),
    ],
)
def test_scratch_is_at_least_what_is_taken(name: str, dtype: str, shape: Any, fields: Any) -> None:
    array = np.random.default_rng(0).integers(0, 9, shape).astype(dtype)
    operator, grid = bound(name, array, **fields), grid_of(array)
    if name == "downsample":
        operator, _ = operator.without(NoData((0,)), grid)
    want = Region.whole(operator.out_grid(grid).shape)
    assert peak(operator, Window(array, Region.whole(array.shape), want, grid)) <= operator.scratch(want, grid, "cpu")


@pytest.mark.parametrize("method", ["max", "min", "median", "mode"])
def test_truth_values_that_stand_for_no_data_are_left_out_of_boxes(method: str) -> None:
    array = np.random.default_rng(0).random((7, 9)) > 0.4
    operator, _ = bound("downsample", array, factors=2, method=method).without(NoData((0,)), grid_of(array))
    blocks = [array[y : y + 2, x : x + 2] for y in range(0, 7, 2) for x in range(0, 9, 2)]
    expected = np.array([block.any() for block in blocks]).reshape(4, 5)
    np.testing.assert_array_equal(apply(operator, array, (2, 3)), expected)


@pytest.mark.parametrize("method", ["max", "min"])
def test_truth_values_that_stand_for_no_data_are_left_out_of_lines(method: str) -> None:
    array = np.random.default_rng(0).random((2, 9)) > 0.3
    operator, _ = bound("project", array, axis=0, method=method).without(NoData((1,)), grid_of(array))
    np.testing.assert_array_equal(apply(operator, array), array.all(0))


LARGE = 2**62 + 2**38 + 1  # one float32 at once, and another by way of a float64


def test_large_integers_beside_what_is_outside_are_rounded_once() -> None:
    array = np.full((30, 5), LARGE, np.int64)
    operator = bound("gaussian", array, sigma=1, mode="constant", precision="single", dtype="float32")
    whole = apply(operator, array)
    for cut in ((1, 5), (2, 3), (7, 5), (30, 1)):
        np.testing.assert_array_equal(apply(operator, array, cut), whole)


def test_large_integers_that_are_reflected_are_rounded_once() -> None:
    array, kernel = np.full((3, 40), LARGE, np.int64), np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]])
    operator = bound("correlate", array, kernel=kernel, algorithm="direct", precision="single", dtype="float32")
    np.testing.assert_array_equal(apply(operator, array), np.full((3, 40), LARGE).astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bool"])
def test_slabs_along_rows_give_what_all_gives(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separable_cpu, "SLAB", 64)
    array = np.random.default_rng(0).random((60, 3)).astype(dtype)
    operator = bound("uniform", array, size=(5, 1), mode="wrap", dtype="float16")
    expected = ndimage.uniform_filter1d(array.astype(float), 5, 0, mode="wrap")
    np.testing.assert_allclose(apply(operator, array), expected, atol=1e-3)


def test_results_may_lie_backwards() -> None:
    array = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.uint8)
    operator, whole = bound("minimum", array, size=3), Region.whole(array.shape)
    out = np.zeros(array.shape, np.uint8)[::-1, ::-1]
    operator.cpu(Window(array[::-1, ::-1], whole, whole, grid_of(array)), out)
    np.testing.assert_array_equal(out, ndimage.minimum_filter(array[::-1, ::-1], 3))


def test_halves_in_the_order_of_columns_are_read_in_that_of_rows() -> None:
    found = separable_cpu.readable(np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("table", "run"),
    [([-1, 0, 1, 2, 1], (1, 4)), ([-1, -1], (0, 0)), ([2, 1, 0], (0, 1)), ([], (0, 0)), ([3, 4, -1, 0, 1, 2], (3, 6))],
)
def test_the_longest_run_counts_up(table: Any, run: tuple[int, int]) -> None:
    assert longest_run(np.array(table, np.int64)) == run


def test_a_row_holds_all_between_the_ends() -> None:
    memory = np.arange(60, dtype=np.int16).reshape(5, 12)
    part = memory[1:4:2, 2:9:3]
    part.flags.writeable = False
    row, steps = in_a_row(part)
    assert (walkable(part), steps, row.flags.writeable) == (True, (24, 3), True)
    np.testing.assert_array_equal(row, np.arange(14, 14 + 24 + 6 + 1))
    assert not walkable(part[::-1])
    assert aligned(5, np.dtype(np.int16)).ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("name", "fields"),
    [("median", {"size": 3}), ("median", {"size": (1, 13, 13)}), ("percentile", {"size": 2, "percentile": 20}),
     ("minimum", {"size": 3}), ("downsample", {"method": "max"}), ("downsample", {"method": "mode"}),
     ("project", {"axis": 0}), ("unsharp", {"radius": 1, "amount": 1})],
)  # fmt: skip
def test_nothing_is_compiled_again_for_another_layout(name: str, fields: Any) -> None:
    array = np.random.default_rng(0).integers(0, 9, (4, 40, 90)).astype(np.uint8)
    operator, grid = bound(name, array, **fields), grid_of(array)
    made = operator.out_grid(grid)
    window = Window(array, Region.whole(array.shape), Region.whole(made.shape), grid)
    read_only = array.copy()
    read_only.flags.writeable = False
    part, room = np.pad(array, 1)[1:-1, 1:-1, 1:-1], np.empty([n + 2 for n in made.shape], made.dtype)
    results, kinds = [], set()
    for data, out in (
        (array, np.empty(made.shape, made.dtype)),
        (read_only, room[tuple(slice(n) for n in made.shape)]),
        (part, room[tuple(slice(1, n + 1) for n in made.shape)]),
    ):
        operator.cpu(replace(window, data=data), out)
        results.append(out.copy())
        kinds.add(sum(len(kernel.signatures) for kernel in gc.get_objects() if isinstance(kernel, CPUDispatcher)))
    np.testing.assert_array_equal(results, [results[0]] * 3)
    assert len(kinds) == 1
