"""Labels at any cut: cells, blocks and what the client joins are what one pass over the whole array gives."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import remove_small_objects
from skimage.segmentation import clear_border

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.planning.exchange import measure
from gridstride.workers.families import labelling, labels, labels_sizes
from gridstride.workers.nodata import NoData
from gridstride.workers.operators import objects
from gridstride.workers.operators.base import Grid, Operator
from gridstride.workers.region import Region
from tests.blockwise import apply, bound, grid_of, peak, window_of
from tests.operators.label import structure


@pytest.fixture
def tiny(monkeypatch: Any) -> np.random.Generator:
    """Cells of a few elements, in any arrangement, from the generator that is given."""
    rng = np.random.default_rng(5)

    def cell_of(grid: Grid, axes: Any) -> tuple[int, ...]:
        return tuple(min(int(rng.integers(1, 6)), grid.shape[axis]) for axis in axes)

    monkeypatch.setattr(objects, "cell_of", cell_of)
    monkeypatch.setattr(labelling, "TOGETHER", 20)
    monkeypatch.setattr(labels_sizes, "TOGETHER", 20)
    return rng


def in_blocks(rng: np.random.Generator, name: str, array: np.ndarray, **fields: Any) -> np.ndarray:
    block = [int(rng.integers(1, n + 1)) for n in array.shape]
    return apply(bound(name, array, **fields), array, block)


def mask(rng: np.random.Generator, most: int = 4, longest: int = 10) -> np.ndarray:
    shape = rng.integers(1, longest, rng.integers(1, most + 1))
    return rng.random(shape) < rng.choice([0.1, 0.3, 0.5, 0.7])


def test_objects_are_numbered_as_scipy_numbers_them(tiny: np.random.Generator) -> None:
    for _ in range(60):
        array = mask(tiny)
        axes = tuple(np.sort(tiny.permutation(array.ndim)[: tiny.integers(1, array.ndim + 1)]).tolist())
        reach = int(tiny.integers(1, len(axes) + 1))
        wanted = ndimage.label(array, structure(array.ndim, reach, axes))[0].astype(np.uint32)
        found = in_blocks(tiny, "label", array, axes=axes, connectivity=reach)
        np.testing.assert_array_equal(found, wanted, strict=True)


def test_objects_are_removed_cleared_and_filled_as_the_libraries_do(tiny: np.random.Generator) -> None:
    for _ in range(30):
        array = mask(tiny, most=3)
        values = (array * tiny.integers(0, 4, array.shape)).astype(tiny.choice(["uint8", "int16", "uint32", "int64"]))
        reach, size = int(tiny.integers(1, array.ndim + 1)), int(tiny.integers(2, 12))
        buffer = int(tiny.integers(0, max(1, min(*array.shape, 3))))
        filled = ndimage.binary_fill_holes(values, structure(array.ndim, reach))
        large = remove_small_objects(array, max_size=size - 1, connectivity=reach)
        for found, wanted in (
            (in_blocks(tiny, "remove-small", array, connectivity=reach, size=size), large),
            (in_blocks(tiny, "remove-small", values, size=size), by_value(values, size)),
            (in_blocks(tiny, "fill-holes", values, connectivity=reach), filled),
            (in_blocks(tiny, "clear-border", array, buffer_size=buffer), clear_border(array, buffer)),
            (in_blocks(tiny, "clear-border", values, buffer_size=buffer), clear_border(values, buffer)),
        ):
            np.testing.assert_array_equal(found, wanted, strict=True)


def by_value(values: np.ndarray, size: int) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.where((counts >= size)[places].reshape(values.shape), values, 0).astype(values.dtype)


def test_blocks_computed_twice_and_in_parts_give_the_same(tiny: np.random.Generator) -> None:
    """As after a kill, or where memory was short: reports of one partition, the result by another."""
    array = tiny.random((9, 8, 11)) < 0.4
    operator, grid = bound("label", array, connectivity=2), grid_of(array)
    first = operator.first_sweep()
    assert first is not None
    halves = [Region(((0, 4), (0, 8), (0, 7))), Region(((4, 9), (0, 8), (0, 7))), Region(((0, 9), (0, 8), (7, 11)))]
    reports = [first.cpu(window_of(first, array, want, grid), np.empty(0)) for want in halves]
    done = operator.resolve(reports[::-1], grid)
    wanted = ndimage.label(array, structure(3, 2))[0]
    for block in ((9, 8, 11), (1, 3, 2), (5, 8, 4)):
        np.testing.assert_array_equal(apply(done, array, block), wanted)


def test_an_array_of_several_cells_of_the_usual_shape() -> None:
    rng = np.random.default_rng(1)
    noise = ndimage.uniform_filter(rng.random((70, 66, 132), np.float32), 3)
    for array in (noise > 0.5, noise[0, :, 0].repeat(2100) > 0.5):
        wanted = ndimage.label(array)[0]
        np.testing.assert_array_equal(
            apply(bound("label", array), array, [40] * array.ndim if array.ndim > 1 else None), wanted
        )


@pytest.mark.parametrize("shape", [(0, 5), (1, 1, 1), (1,), (3, 0)])
def test_arrays_of_next_to_nothing(shape: tuple[int, ...]) -> None:
    for array in (np.zeros(shape, bool), np.ones(shape, bool)):
        wanted = ndimage.label(array)[0] if array.size else np.zeros(shape)
        np.testing.assert_array_equal(apply(bound("label", array), array), wanted)
        np.testing.assert_array_equal(apply(bound("fill-holes", array), array), array)
        assert not apply(bound("clear-border", array), array).any()
        assert not apply(bound("remove-small", array, size=2), array).any()
        assert not apply(bound("remove-small", array.astype(np.uint8), size=2), array.astype(np.uint8)).any()


def test_numbers_never_overflow() -> None:
    assert bound("label", ((2**16, 2**16), bool)).out_grid(Grid.of((2**16, 2**16), bool)).dtype == np.uint32
    assert bound("label", ((2**17, 2**16), bool)).out_grid(Grid.of((2**17, 2**16), bool)).dtype == np.uint64
    array = np.tile(np.array([0, 1], bool), 300)
    assert apply(bound("label", array, dtype="int16"), array).max() == 300
    with pytest.raises(ValueError, match="there are 300 objects, more than uint8 has numbers: give a larger dtype"):
        apply(bound("label", array, dtype="uint8"), array)


def test_elements_without_data_belong_to_no_object() -> None:
    array = np.array([[1, 1, 9, 1], [0, 0, 9, 0], [2, 2, 2, 2]], np.uint8)
    grid, nodata = grid_of(array), NoData((9,))

    def made(name: str, **fields: Any) -> tuple[np.ndarray, NoData | None]:
        operator, left = bound(name, array, **fields).without(nodata, grid)
        return apply(operator, array), left

    found, left = made("label")
    np.testing.assert_array_equal(found, [[1, 1, 0, 2], [0, 0, 0, 0], [3, 3, 3, 3]])
    assert left is None
    kept, left = made("remove-small", size=4)
    np.testing.assert_array_equal(kept, [[0, 0, 9, 0], [0, 0, 9, 0], [2, 2, 2, 2]])
    assert left == nodata
    cleared, left = made("clear-border")
    np.testing.assert_array_equal(cleared, [[0, 0, 9, 0], [0, 0, 9, 0], [0, 0, 0, 0]])
    assert left == nodata


@pytest.mark.parametrize(
    ("name", "dtype", "fields", "says"),
    [
        ("label", "bool", {"connectivity": 3}, "connectivity is 3: expected 1 to 2, the number of filtered axes"),
        ("label", "bool", {"dtype": "float32"}, "dtype is float32: expected an integer"),
        ("label", "bool", {"dtype": "bool"}, "dtype is bool: expected an integer"),
        ("remove-small", "float32", {}, "remove-small takes bool or integers, and the array is float32"),
        ("clear-border", "float64", {}, "clear-border takes bool or integers, and the array is float64"),
        (
            "clear-border",
            "bool",
            {"buffer_size": 5},
            "buffer_size is 5: expected less than 5, the shortest filtered axis",
        ),
        ("remove-small", "bool", {"size": 0}, "size is 0: expected a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    name: str, dtype: str, fields: dict[str, Any], says: str, store: Any, tmp_path: Any
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        api.prepare([(name, fields)], store(np.ones((5, 6), dtype), (5, 6)), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def checkerboard(dtype: Any) -> np.ndarray:
    return (np.indices((40, 70, 130)).sum(axis=0) % 2).astype(dtype)


@pytest.mark.parametrize(("name", "dtype"), [("label", bool), ("clear-border", np.uint16), ("remove-small", np.int64)])
def test_scratch_is_enough_for_as_many_objects_as_there_can_be(name: str, dtype: Any) -> None:
    array = checkerboard(dtype)
    grid, want = grid_of(array), Region.of((1, 3, 2), (39, 70, 129))
    operator: Operator = bound(name, array)
    first = operator.first_sweep()
    assert first is not None
    whole = Region.whole(array.shape)
    done = operator.resolve([first.cpu(window_of(first, array, whole, grid), np.empty(0))], grid)
    for sweep, part in ((first, whole), (done, want)):
        assert peak(sweep, window_of(sweep, array, part, grid)) <= sweep.scratch(part, grid, "cpu")


def test_numbers_of_objects_are_not_mixed_by_later_steps(store: Any, tmp_path: Any) -> None:
    mask = store(np.ones((5, 6), bool), (5, 6))
    with pytest.raises(UsageError, match="the array holds labels, and gaussian would mix the numbers of objects"):
        api.prepare([("label", {}), ("gaussian", {"sigma": 1})], mask, tmp_path / "out")
    kept = api.prepare([("label", {}), ("remove-small", {"size": 2}), ("median", {"size": 3})], mask, tmp_path / "out")
    assert kept.out_grid.dtype == np.uint32


def test_what_blocks_exchange_is_measured_of_all_of_them() -> None:
    """Blocks whose edges are not those of cells need more beyond them, each in its own way."""
    grid = Grid.of((1000, 64), bool)
    operator = labels.Labels((0, 1), 1, (7, 64))
    edges = (tuple(range(0, 1001, 40)), (0, 64))
    halo = measure(operator, grid, edges)
    for a, b in pairwise(edges[0]):
        low, high = operator.needed(Region(((a, b), (0, 64))), grid).spans[0]
        assert a - low <= halo.depth[0][0]
        assert high - b <= halo.depth[0][1]
    assert halo.depth[0] == (6, 6)


def test_the_plan_says_what_objects_of_an_image_are() -> None:
    mask, image = Grid.of((2, 5, 6), bool, ["t", "y", "x"]), Grid.of((5, 6), "uint16")
    assert bound("label", (image.shape, image.dtype)).remarks(image) == (
        "objects are of all elements of uint16 that are not 0: make a mask by threshold first",
    )
    assert bound("label", (mask.shape, mask.dtype), ["t", "y", "x"]).remarks(mask) == (
        "slices are labelled apart, and no two objects of the array have the same number",
    )
    assert bound("fill-holes", ((5, 6), np.dtype(bool))).remarks(Grid.of((5, 6), bool)) == ()
