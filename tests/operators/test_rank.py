"""Ranks of boxes and footprints: all ways to find them give what sorting each window gives, and networks are proved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import gridstride
from gridstride.workers.families import networks, rank_cpu
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.registry import find
from tests.blockwise import apply, bound, grid_of
from tests.boxes import elements
from tests.operators.median import array as values

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


@st.composite
def problems(draw: Any) -> dict[str, Any]:
    """An array of one to five axes, a box or footprint of some of them, a mode for each, and a cut of every axis."""
    ndim = draw(st.integers(1, 5))
    shape = tuple(draw(st.integers(1, {1: 80, 2: 20, 3: 9, 4: 5, 5: 4}[ndim])) for _ in range(ndim))
    axes = draw(st.permutations(range(ndim)))[: draw(st.integers(1, ndim))]
    size = [draw(st.integers(1, 4 if len(axes) < 4 else 2)) for _ in axes]
    rng, dtype = np.random.default_rng(draw(st.integers(0, 2**32))), np.dtype(draw(st.sampled_from(DTYPES)))
    footprint = rng.random(size) < 0.6
    terms: dict[str, Any] = {"size": size}
    if footprint.any() and draw(st.booleans()):
        terms = {"footprint": footprint}
    terms |= {
        "axes": axes,
        "origin": [draw(st.integers(-(n // 2), (n - 1) // 2)) for n in size],
        "mode": [draw(st.sampled_from(MODES)) for _ in axes],
        "cval": draw(st.sampled_from([0, 1] if dtype.kind in "bui" else [0.0, -1.5, np.nan, -np.inf])),
    }
    around = elements(values(rng, shape, dtype), **terms)
    return {
        "array": values(np.random.default_rng(0), shape, dtype),
        "terms": terms,
        "rank": draw(st.integers(0, around.shape[-1] - 1)),
        "block": [draw(st.integers(max(1, n // 3), n)) for n in shape],
    }


@settings(max_examples=80, deadline=None)
@given(problems())
def test_every_rank_is_that_of_the_sorted_window(p: dict[str, Any]) -> None:
    wanted = np.sort(elements(p["array"], **p["terms"]), axis=-1)[..., p["rank"]]
    operator = bound("rank", p["array"], rank=p["rank"], **p["terms"])
    np.testing.assert_array_equal(apply(operator, p["array"], p["block"]), wanted, strict=True)


@pytest.mark.parametrize(("dtype", "size", "rank"), [
    ("float32", (3, 2, 3), 5), ("int16", (2, 1, 4), 6), ("uint8", (1, 1, 5), 1), ("float64", (1, 3, 15), 20),
])  # fmt: skip
def test_networks_of_any_box_and_rank_from_rows_of_any_length(
    dtype: str, size: tuple[int, ...], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_cpu, "LARGE", 0)
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(4, 5, 3), (2, 7, 70), (3, 4, 1100), (1, 1, 2060)]):
        array = values(rng, shape, dtype)
        if array.dtype.kind == "f":  # rows without NaN and -0.0 are compared as they are
            array[len(array) // 2 :] = np.nan_to_num(np.abs(array[len(array) // 2 :]))
        mode = [MODES[(number + axis) % 5] for axis in range(3)]
        terms = {"size": size, "mode": mode, "origin": [(n - 1) // 2 for n in size], "cval": 1}
        wanted = np.sort(elements(array, **terms), axis=-1)[..., rank]
        for block in (None, [2, 3, shape[2] // 2 + 1]):
            result = apply(bound("rank", array, rank=rank, **terms), array, block)
            np.testing.assert_array_equal(result, wanted)


def test_a_short_last_axis_is_taken_together_with_the_one_before() -> None:
    array = values(np.random.default_rng(0), (9, 40, 3), "uint16")
    operator = bound("median", array, size=3, axes=(0, 1))
    assert rank_cpu._arranged(operator.size[:2], (9, 120)) is not None
    np.testing.assert_array_equal(apply(operator, array, (4, 15, 3)), ndimage.median_filter(array, (3, 3, 1)))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_histograms_of_large_boxes(dtype: str) -> None:
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(6, 21, 60)), 2) * 300  # the rank's bin comes and goes
    array = np.concatenate([smooth, rng.normal(size=smooth.shape) * 60]).astype(dtype)
    for size, rank, mode in (((5, 7, 9), 157, "mirror"), ((1, 14, 10), 3, "wrap"), ((12, 12, 1), -1, "constant")):
        operator = bound("rank", array, rank=rank, size=size, mode=mode)
        wanted = ndimage.rank_filter(array, rank, size, mode=mode)
        np.testing.assert_array_equal(apply(operator, array, (7, 21, 33)), wanted)


def test_more_elements_than_a_key_can_count() -> None:
    array = values(np.random.default_rng(0), (400,), "int8")
    footprint = np.arange(601) % 2 > 0  # scipy takes a footprint along one axis as a box
    wanted = np.sort(elements(array, footprint=footprint, mode="wrap"), axis=-1)[..., 150]
    result = apply(bound("median", array, footprint=footprint, mode="wrap"), array, [150])
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 255), ("float32", np.nan), ("int16", -7)])
@pytest.mark.parametrize(("size", "percentile"), [((3, 4), 30), ((17, 18), 85)])
def test_a_percentile_is_that_of_elements_that_have_a_value(
    dtype: str, nodata: float, size: tuple[int, int], percentile: float
) -> None:
    rng = np.random.default_rng(0)
    array = values(rng, (12, 30), dtype)
    array[rng.random(array.shape) < 0.6] = nodata
    array[3:8, :9] = nodata
    grid = grid_of(array)
    operator, left = find("percentile")(percentile=percentile, size=size).bind(grid).without(NoData((nodata,)), grid)
    assert left == NoData((nodata,))
    windows = np.sort(elements(array, size=size), axis=-1)
    missing = np.isnan(windows) if dtype == "float32" else windows == nodata
    result, at = apply(operator, array, (5, 16)), [np.flatnonzero(~m) for m in missing.reshape(array.size, -1)]
    ranked = [
        w[i[len(i) * percentile // 100]] if len(i) else nodata
        for w, i in zip(windows.reshape(array.size, -1), at, strict=True)
    ]
    np.testing.assert_array_equal(result.ravel(), np.array(ranked).astype(dtype))


def through(stage: networks.Stage, wires: np.ndarray) -> np.ndarray:
    """What a stage makes of its inputs, (inputs, cases)."""
    found = list(wires)
    for least, a, b in stage.operations:
        found.append(np.minimum(found[a], found[b]) if least else np.maximum(found[a], found[b]))
    return np.array([found[wire] for wire in stage.outputs])


@pytest.mark.parametrize("box", [(3, 3, 3), (5, 5, 5), (1, 7, 7), (2, 3, 4), (1, 11, 11), (7, 7, 7), (1, 1, 6)])
def test_networks_sort_merge_and_select(box: tuple[int, int, int]) -> None:
    a, b, c = box
    rng = np.random.default_rng(0)
    for rank in {0, a * b * c // 3, a * b * c // 2, a * b * c - 1}:
        (sort, kept), (merge, merged), (select, _) = networks.box_stages(a, b, c, rank)
        cases = rng.random((c, b, a, 400)) < rng.random(400)  # zeros and ones, of all shares
        columns = np.array([[through(sort, cases[x, y]) for y in range(b)] for x in range(c)])
        assert (columns == np.sort(cases, axis=2)[:, :, list(kept)]).all()
        sorted_ = np.sort(cases, axis=2)
        lists = np.array([through(merge, sorted_[x].reshape(a * b, -1)) for x in range(c)])
        together = np.sort(cases.reshape(c, a * b, -1), axis=1)
        assert (lists == together[:, list(merged)]).all()
        result = through(select, together.reshape(a * b * c, -1))[0]
        assert (result == np.sort(cases.reshape(a * b * c, -1), axis=0)[rank]).all()


def test_the_networks_of_cuda_are_those_of_this_version() -> None:
    file = Path(gridstride.__file__).parent / "cuda" / "networks.cuh"
    assert file.read_text() == networks.cuda_source(), "run `make networks`"
