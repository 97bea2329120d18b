"""Attributes of a result say nothing wrong of it: they follow what the operator does and the result's dtype."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

from gridstride.pipeline import api
from gridstride.pipeline.reports.progress import job_facts
from gridstride.pipeline.storage.create import create
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.nodata import declared

CF = {
    "scale_factor": 0.01, "add_offset": 5.0, "_FillValue": 65535, "missing_value": 65535, "valid_range": [0, 60000],
    "valid_min": 0, "actual_range": [3, 4], "dtype": "uint16", "_Unsigned": "true", "flag_values": [1, 2],
    "flag_meanings": "a b", "units": "K", "long_name": "temperature", "STATISTICS_MEAN": 3.5, "voxel_size": [4.0, 1.0],
    "multiscales": [{"datasets": [{"path": "0"}]}], "gridstride": {"request": {"command": "old"}}, "by": "us",
}  # fmt: skip
ALWAYS = {"by", "voxel_size"}
QUANTITY = {"units", "long_name", "scale_factor", "add_offset"}
SAME = {"_FillValue", "missing_value", "dtype", "_Unsigned"}
RANGE = {"valid_range", "valid_min"}
FLAGS = {"flag_values", "flag_meanings"}


def base64_of(value: float) -> str:
    return base64.standard_b64encode(struct.pack("<d", value)).decode()


@pytest.mark.parametrize(
    ("name", "terms", "kept"),
    [
        ("gaussian", {"sigma": 1}, QUANTITY | SAME | RANGE),
        ("gaussian", {"sigma": 1, "dtype": "float32"}, QUANTITY),
        ("gaussian", {"sigma": 1, "dtype": "uint8"}, QUANTITY),
        ("gaussian", {"sigma": 1, "order": (1, 0)}, SAME | {"scale_factor"}),
        ("correlate", {"kernel": "laplace", "dtype": "float32"}, {"scale_factor"}),
        ("convolve", {"kernel": "sharpen"}, QUANTITY | SAME),  # it overshoots the range
        ("median", {"size": 3}, QUANTITY | SAME | RANGE | FLAGS),
        ("median", {"size": 3, "dtype": "int32"}, QUANTITY),
        ("downsample", {"method": "max"}, QUANTITY | SAME | RANGE | FLAGS),
        ("downsample", {}, QUANTITY | SAME | RANGE),
        ("threshold", {"value": 3}, set()),
        ("uniform", {"size": 3, "dtype": "bool"}, set()),
    ],
)
def test_what_is_kept_is_right_for_the_result(
    store: Any, tmp_path: Path, name: str, terms: dict[str, Any], kept: set[str]
) -> None:
    source = store(np.ones((6, 8), np.uint16), (3, 8), attributes=CF)
    job = api.prepare(name, source, tmp_path / "out", device="cpu", **terms)
    factor = 2 if name == "downsample" else 1
    moved = {"translation": [2.0, 0.5]} if factor == 2 else {}
    assert set(job.attributes) == kept | ALWAYS | set(moved)
    expected = CF | {"voxel_size": [4.0 * factor, 1.0 * factor]} | moved
    assert job.attributes == {key: expected[key] for key in job.attributes}
    assert "actual_range" in job_facts(job)["attributes"]


def test_an_offset_follows_the_sum_of_the_kernel(store: Any, tmp_path: Path) -> None:
    source = store(np.ones((6, 8), np.uint16), (3, 8), attributes=CF)
    job = api.prepare("convolve", source, tmp_path / "out", device="cpu", kernel=np.full((3, 3), 2.0))
    assert (job.attributes["scale_factor"], job.attributes["add_offset"]) == (0.01, 18 * 5.0)


def test_the_result_of_a_level_keeps_its_voxel_size(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "image.zarr")
    steps = [{"type": "scale", "scale": [4.0, 2.0]}, {"type": "translation", "translation": [0.0, 0.5]}]
    datasets = [{"path": "s1", "coordinateTransformations": steps}]
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group.create_array("s1", shape=(6, 8), chunks=(6, 8), dtype="uint8")
    source = tmp_path / "image.zarr" / "s1"
    assert api.prepare("gaussian", source, tmp_path / "o", sigma=1, device="cpu").attributes == {
        "voxel_size": [4, 2],
        "translation": [0, 0.5],
    }
    half = api.prepare("downsample", source, tmp_path / "o", factors=(1, 2), device="cpu")
    assert half.attributes == {"voxel_size": [4, 4], "translation": [0, 1.5]}


@pytest.mark.parametrize(
    ("name", "terms", "kept"),
    [
        ("crop", {"region": "y=2:5"}, {"voxel_size": [3, 4, 1], "translation": [1, 10, 5]}),
        ("flip", {"axes": "y"}, {"voxel_size": [3, 4, 1], "translation": [1, 2, 5]}),
        ("pad", {"before": 1}, {"voxel_size": [3, 4, 1], "translation": [-2, -2, 4]}),
        ("project", {"axis": "y"}, {"voxel_size": [3, 1], "translation": [1, 5]}),
        ("downsample", {"factors": (9, 1, 3)}, {"voxel_size": [27, 4, 3], "translation": [4, 2, 6]}),
        ("cast", {"dtype": "int8"}, {"voxel_size": [3, 4, 1], "translation": [1, 2, 5]}),
    ],
)
def test_elements_are_said_to_be_where_they_are(
    store: Any, tmp_path: Path, name: str, terms: dict[str, Any], kept: dict[str, Any]
) -> None:
    """Whatever the array's own attributes call it; what cannot follow is left out."""
    given: dict[str, Any] = {"translation": [1, 2, 5], "bbox": [0, 1, 2, 3], "axes": ["a", "b", "c"], "by": "us"}
    given |= {"voxel_size": [3, 4, 1], "spacing": [3, 4, 1]}
    array = np.ones((3, 6, 8), np.uint16)
    source = store(array, (3, 3, 8), attributes=given, dimension_names="zyx")
    job = api.prepare(name, source, tmp_path / "out", device="cpu", **terms)
    axes = ["a", "c"] if name == "project" else ["a", "b", "c"]
    wanted = kept | {"by": "us", "axes": axes, "spacing": kept["voxel_size"]}
    assert job.attributes == wanted | ({"bbox": [0, 1, 2, 3]} if name in ("cast", "flip") else {})
    assert [axis.name for axis in job.out_grid.axes] == (["z", "x"] if name == "project" else ["z", "y", "x"])


def test_the_result_of_a_level_keeps_the_types_and_units_of_its_axes(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "image.zarr")
    names = [("c", "channel", None), ("q", "space", "micrometer"), ("x", "space", "nanometer")]
    axes = [{"name": n, "type": kind} | ({"unit": unit} if unit else {}) for n, kind, unit in names]
    steps = [{"type": "scale", "scale": [1.0, 2.0, 3.0]}]
    multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    group.create_array("0", shape=(2, 6, 8), chunks=(1, 6, 8), dtype="uint8")[...] = 1
    terms: tuple[tuple[str, dict[str, Any], Any], ...] = (
        ("crop", {"region": "c=1:,x=2:"}, axes),
        ("project", {"axis": "c"}, axes[1:]),
        ("downsample", {"factors": 2}, axes),
    )
    for name, fields, wanted in terms:
        out = tmp_path / name
        job = api.prepare(name, tmp_path / "image.zarr" / "0", out, device="cpu", **fields)
        assert job.attributes["axes"] == wanted
        create(out, job.out_grid.shape, job.out_grid.dtype, (6,) * job.out_grid.ndim, None, "lz4",
               [axis.name for axis in job.out_grid.axes], job.attributes)  # fmt: skip
        assert describe(out).naming.axes == job.out_grid.axes
        assert api.prepare("gaussian", out, tmp_path / "o", sigma=1, device="cpu").attributes["axes"] == wanted


def test_a_chain_keeps_what_all_its_steps_keep(store: Any, tmp_path: Path) -> None:
    source = store(np.ones((6, 8), np.uint16), (3, 8), attributes=CF)
    steps: Any = [("median", {"size": 3}), ("gaussian", {"sigma": 1, "order": 1})]
    assert set(api.prepare(steps, source, tmp_path / "out", device="cpu").attributes) == SAME | ALWAYS | {
        "scale_factor"
    }


@pytest.mark.parametrize(
    ("before", "after", "attributes"),
    [
        ("int16", "float32", {"_FillValue": -32768}),
        ("int16", "uint8", {"_FillValue": -32768}),
        ("int16", "int16", {"_FillValue": -32768, "scale_factor": 0.5}),
        ("int16", "int16", {"_FillValue": 65535}),
        ("float32", "float32", {"_FillValue": -9999.0}),
        ("float32", "float32", {"_FillValue": base64_of(-9999.0)}),
        ("float32", "uint8", {"_FillValue": base64_of(float("nan"))}),
    ],
)
def test_xarray_opens_the_result(
    store: Any, tmp_path: Path, before: str, after: str, attributes: dict[str, Any]
) -> None:
    data = np.arange(48).reshape(6, 8)
    source = store(data.astype(before), (3, 8), attributes=attributes)
    job = api.prepare("gaussian", source, tmp_path / "out", sigma=1, dtype=after, device="cpu")
    zarr.create_group(tmp_path / "group.zarr")
    create(tmp_path / "group.zarr" / "v", (6, 8), job.out_grid.dtype, (6, 8), None, "lz4", ["y", "x"], job.attributes)
    with xarray.open_zarr(tmp_path / "group.zarr", consolidated=False) as opened:
        assert opened["v"].shape == (6, 8)
        assert opened["v"].encoding.get("_FillValue") in (None, -32768, -9999.0)
        opened["v"].load()


def test_markers_are_found_where_conventions_put_them(tmp_path: Path) -> None:
    def of(dtype: str, attributes: dict[str, Any], version: Any = 3, fill: Any = 0) -> dict[str, Any]:
        where = tmp_path / "a.zarr"
        zarr.create_array(
            where, shape=(4,), chunks=(4,), dtype=dtype, attributes=attributes, zarr_format=version, fill_value=fill,
            overwrite=True,
        )  # fmt: skip
        return declared(describe(where))

    assert of("int16", {"_FillValue": -5, "missing_value": [-5, 7.0], "nodatavals": ["1", 1.5]}) == {
        "_FillValue": (-5,), "missing_value": (-5, 7), "nodatavals": (1,),
    }  # fmt: skip
    assert of("uint8", {"nodata": -9999, "no_data": float("nan"), "units": "m"}) == {}
    assert of("float32", {"NODATA": -3.4e38, "fill_value": 1e300}) == {"NODATA": (float(np.float32(-3.4e38)),)}
    assert repr(of("float64", {"_FillValue": base64_of(float("nan"))})) == "{'_FillValue': (nan,)}"
    assert of("int64", {"_FillValue": 2**53 + 1}) == {"_FillValue": (2**53 + 1,)}
    # Zarr v2: where xarray puts it, and nowhere else.
    assert of("int16", {"_ARRAY_DIMENSIONS": ["x"]}, 2, -7) == {"_FillValue": (-7,)}
    assert of("int16", {"_ARRAY_DIMENSIONS": ["x"]}, 2, 0) == {}
    assert of("int16", {}, 2, -7) == {}
    assert repr(of("float32", {"_ARRAY_DIMENSIONS": ["x"]}, 2, float("nan"))) == "{'_FillValue': (nan,)}"


def test_what_xarray_writes_is_found(tmp_path: Path) -> None:
    data = np.array([1.0, np.nan, 3.0])
    for version in (2, 3):
        for dtype, value in (("int16", -99), ("float32", -99.0)):
            where = tmp_path / f"{dtype}{version}.zarr"
            encoding = {"v": {"dtype": dtype, "_FillValue": value, "scale_factor": 0.5}}
            xarray.Dataset({"v": ("x", data)}).to_zarr(where, encoding=encoding, zarr_format=version)
            assert declared(describe(where / "v")) == {"_FillValue": (value,)}
