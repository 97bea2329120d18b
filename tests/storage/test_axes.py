"""Axes by their meaning: what images in the layouts of public data say of theirs, and which of them a filter takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.axes import LEVELS, naming_of
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.paths import store_path
from gridstride.pipeline.storage.remote import Denied, Remote, RemoteError
from gridstride.workers.operators.base import named_axes

Z, Y, X = ({"name": n, "type": "space", "unit": "micrometer"} for n in "zyx")
T, C = {"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}


def scale(*sizes: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(sizes)}


def image(path: str, axes: Any = None, *steps: Any, **more: Any) -> dict[str, Any]:
    datasets = [
        {"path": "other"},
        {"path": path, "coordinateTransformations": list(steps)} if steps else {"path": path},
    ]
    return {"datasets": datasets, **({} if axes is None else {"axes": axes}), **more}


def write(
    root: Path, path: str, shape: Any, version: int, attributes: Any, dtype: str = "uint8", **options: Any
) -> str:
    """An array in a group with attributes, and groups without any between."""
    group = zarr.create_group(root, zarr_format=version, attributes=attributes)
    group.create_array(path, shape=shape, chunks=shape, dtype=dtype, **options)
    return str(root / path)


def said(path: str | Path) -> tuple[str, list[float], list[str | None]]:
    """The names with the first letters of their types, the spacing and the units of an array's axes."""
    axes = describe(path).naming.axes
    return " ".join(f"{a.name}:{a.type[0]}" for a in axes), [a.spacing for a in axes], [a.unit for a in axes]


UM = "micrometer"
# (Zarr format, attributes of the group, path of the level, number of its axes) -> names and types, spacing, units
LAYOUTS: dict[str, tuple[int, dict[str, Any], str, int, str, list[float], list[Any]]] = {
    "0.4": (
        2, {"multiscales": [image("0", [C, Z, Y, X], scale(1, 2, 0.5, 0.5), version="0.4")]}, "0", 4,
        "c:c z:s y:s x:s", [1, 2, 0.5, 0.5], [None, UM, UM, UM],
    ),
    "0.5": (
        3, {"ome": {"version": "0.5", "multiscales": [image("0", [T, C, Y, X], scale(3, 1, 2, 2))]}}, "0", 4,
        "t:t c:c y:s x:s", [3, 1, 2, 2], ["second", None, UM, UM],
    ),
    "nested path": (
        3, {"ome": {"multiscales": [image("scale0/image", [C, Y, X], scale(1, 2, 2))]}}, "scale0/image", 3,
        "c:c y:s x:s", [1, 2, 2], [None, UM, UM],
    ),
    "0.1 names no axes": (
        2, {"multiscales": [image("0", version="0.1")]}, "0", 5, "t:t c:c z:s y:s x:s", [1] * 5, [None] * 5,
    ),
    "0.3 has strings": (
        2, {"multiscales": [image("0", ["c", "y", "x"], version="0.3")]}, "0", 3, "c:c y:s x:s", [1] * 3, [None] * 3,
    ),
    "0.6 has systems": (
        3, {"ome": {"multiscales": [image("0", None, scale(1, 2, 2) | {"output": "physical"}, coordinateSystems=[
            {"name": "array", "axes": [{"name": "dim_0"}]}, {"name": "physical", "axes": [C, Y, X]}])]}}, "0", 3,
        "c:c y:s x:s", [1, 2, 2], [None, UM, UM],
    ),
    "types under other names": (
        2, {"multiscales": [image("0", [{"name": "z", "type": "time"}, {"name": "q", "type": "space"}, X])]}, "0", 3,
        "z:t q:s x:s", [1] * 3, [None, None, UM],
    ),
    "foreign type": (
        2, {"multiscales": [image("0", [{"name": "z", "type": "angle"}, Y, X])]}, "0", 3,
        "z:u y:s x:s", [1] * 3, [None, UM, UM],
    ),
    "no types": (
        2, {"multiscales": [image("0", [{"name": "band"}, {"name": "Y"}, {"name": "lon", "unit": "nm"}])]}, "0", 3,
        "band:c Y:s lon:s", [1] * 3, [None, None, "nanometer"],
    ),
    "scale of the whole image": (
        2, {"multiscales": [image("0", [T, Y, X], scale(1, 2, 2), coordinateTransformations=[scale(0.1, 3, 1)])]}, "0",
        3, "t:t y:s x:s", [0.1, 6, 2], ["second", UM, UM],
    ),
    "systems of the whole image are alternatives": (
        3, {"ome": {"multiscales": [image("0", [C, Y, X], scale(1, 2, 2), coordinateTransformations=[
            {"type": "sequence", "transformations": [scale(1, 9, 9)], "output": {"name": "microns"}}])]}}, "0", 3,
        "c:c y:s x:s", [1, 2, 2], [None, UM, UM],
    ),
    "translation first": (
        2, {"multiscales": [image("0", [Y, X], {"type": "translation", "translation": [5, 5]}, scale(2, 3))]}, "0", 2,
        "y:s x:s", [2, 3], [UM, UM],
    ),
    "second image": (
        2, {"multiscales": [image("1", ["t", "y", "x"]), image("0", ["c", "y", "x"])]}, "0", 3,
        "c:c y:s x:s", [1] * 3, [None] * 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_level_has_the_axes_of_its_image(layout: str, tmp_path: Path) -> None:
    version, attributes, path, ndim, words, spacing, units = LAYOUTS[layout]
    found = said(write(tmp_path / "a.zarr", path, (2,) * ndim, version, attributes))
    assert found[0] == words
    assert_allclose(found[1], spacing)
    assert found[2] == units
    assert describe(tmp_path / "a.zarr" / path).naming.source == "multiscales"


def test_a_filter_takes_the_axes_that_are_space(tmp_path: Path) -> None:
    attributes = {"multiscales": [image("0", [T, C, Y, X], version="0.4")]}
    array = np.random.default_rng(0).random((2, 3, 8, 9)).astype("f4")
    level = write(tmp_path / "a.zarr", "0", array.shape, 2, attributes, "float32")
    zarr.open_array(level)[...] = array
    job = api.prepare("uniform", level, tmp_path / "out", size=3)
    assert job.request["axes"] == [2, 3]
    assert job.axes == "filtered y, x, not t (time), c (channel)"
    assert api.prepare("uniform", level, tmp_path / "out", size=3, axes="t,c").axes == (
        "filtered t (time), c (channel), not y, x"
    )
    chain = [("uniform", {"size": 3}), ("uniform", {"size": 3, "axes": "yx"})]
    assert api.prepare(chain, level, tmp_path / "out").axes == "filtered y, x, not t (time), c (channel)"
    other = [("median", {"size": 3}), ("uniform", {"size": 3, "axes": "x"})]
    assert "; uniform filtered x, not" in api.prepare(other, level, tmp_path / "out").axes


@pytest.mark.parametrize("first", ["band", "wavelength", "Bands", "lambda", "variable", "ch", "mystery", None])
def test_what_is_not_known_to_be_space_is_left_alone(first: str | None, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 5, 6), dtype="u1", dimension_names=[first, "y", "x"])
    job = api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1)
    assert job.request["axes"] == [1, 2]
    assert job.axes.startswith("filtered y, x, not ")


def test_axes_without_names_are_filtered_and_that_is_said(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 5, 3), dtype="u1")
    job = api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1)
    assert job.axes == "filtered 0, 1, 2 (the array names no axes)"
    zarr.create_array(tmp_path / "b", shape=(4, 5), dtype="u1", dimension_names=["dim_0", "dim_1"])
    assert api.prepare("gaussian", tmp_path / "b", tmp_path / "out", sigma=1).request["axes"] == [0, 1]


def test_no_axis_known_to_be_space_is_refused_unless_axes_are_named(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 5), dtype="u1", dimension_names=["time", "channel"])
    with pytest.raises(UsageError, match=r"none of the .* is known to be space \(0 \(time\), 1 \(channel\)\)"):
        api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1)
    assert api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1, axes="time").request["axes"] == [0]
    zarr.create_array(tmp_path / "line", shape=(4,), dtype="u1", dimension_names=["time"])
    assert api.prepare("gaussian", tmp_path / "line", tmp_path / "out", sigma=1).request["axes"] == [0]


@pytest.mark.parametrize(("names", "axes"), [("yxc", [0, 1]), ("xyt", [0, 1]), ("zyx", [1, 2])])
def test_a_kernel_belongs_to_the_last_axes_that_are_space(names: str, axes: list[int], tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(6, 7, 5), dtype="f4", dimension_names=list(names))
    kernel = np.ones((3, 3))
    assert api.prepare("convolve", tmp_path / "a", tmp_path / "out", kernel=kernel).request["axes"] == axes
    assert api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1, spatial=2).request["axes"] == axes
    if names != "zyx":
        with pytest.raises(UsageError, match="the kernel has 3 dimensions and 2 of the array's axes are known to be"):
            api.prepare("convolve", tmp_path / "a", tmp_path / "out", kernel=np.ones((3, 3, 3)))


# The array's attribute _ARRAY_DIMENSIONS -> the axes filtered (None: refused), and what is said of it
ODD_NAMES: dict[str, tuple[Any, list[int] | None, str]] = {
    "too few": (["y", "x"], None, "_ARRAY_DIMENSIONS has 2 names, the array 3 axes"),
    "doubled": (["y", "x", "x"], [0, 1, 2], "_ARRAY_DIMENSIONS has x more than once"),
    "numbers": ([0, 1, 2], [0, 1, 2], "_ARRAY_DIMENSIONS has numbers as names"),
    "digits": (["2", "1", "0"], [0, 1, 2], "_ARRAY_DIMENSIONS has numbers as names"),
    "no list": (5, None, "_ARRAY_DIMENSIONS is 5: expected a list of names"),
}


@pytest.mark.parametrize("case", ODD_NAMES)
def test_odd_names_are_said_in_one_line(case: str, tmp_path: Path) -> None:
    names, axes, words = ODD_NAMES[case]
    attributes = {"_ARRAY_DIMENSIONS": names}
    zarr.create_array(tmp_path / "a", shape=(4, 5, 6), dtype="u1", zarr_format=2, attributes=attributes)
    if axes is None:
        with pytest.raises(UsageError, match=f"none of the array's axes is known to be space.*{words}"):
            api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1)
    else:
        job = api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1)
        assert job.request["axes"] == axes
        assert words in job.axes
    assert api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1, axes="1,2").request["axes"] == [1, 2]
    if case == "doubled":
        with pytest.raises(UsageError, match="2 axes are called 'x': give the number of one"):
            api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1, axes="x")
    if case == "digits":  # a number is a place, whatever the names say
        assert api.prepare("gaussian", tmp_path / "a", tmp_path / "out", sigma=1, axes="2").request["axes"] == [2]


def test_multiscales_hold_where_names_differ(tmp_path: Path) -> None:
    attributes = {"ome": {"multiscales": [image("0", [C, Y, X])]}}
    level = write(tmp_path / "a.zarr", "0", (3, 5, 6), 3, attributes, dimension_names=["z", "y", "x"])
    found = describe(level).naming
    assert [axis.name for axis in found.axes] == ["c", "y", "x"]
    assert found.notes == ("dimension_names z, y, x are not those of multiscales, which hold: c, y, x",)


@pytest.mark.parametrize("broken", [3, [], [3], [{"datasets": 3}], [{"datasets": [{"path": 5}, 7]}], {"a": 1}])
def test_broken_multiscales_are_passed_over(broken: Any, tmp_path: Path) -> None:
    level = write(tmp_path / "a.zarr", "0", (3, 5), 2, {"multiscales": broken, "ome": 1})
    assert said(level)[0] == ":s :s"


def test_multiscales_without_usable_axes_leave_axes_unknown(tmp_path: Path) -> None:
    level = write(tmp_path / "a.zarr", "0", (3, 5, 6), 2, {"multiscales": [image("0", ["y", "x"], version="0.3")]})
    assert said(level)[0] == ":u :u :u"
    assert describe(level).naming.notes == ("multiscales has 2 names, the array 3 axes",)


def test_an_image_elsewhere_says_nothing_of_an_array(tmp_path: Path) -> None:
    attributes = {"multiscales": [image("0", ["c", "y", "x"])]}
    assert said(write(tmp_path / "a.zarr", "tables/0", (3, 5, 6), 2, attributes))[0] == ":s :s :s"


def test_a_linked_level_has_the_axes_of_the_image_that_links_it(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "data.zarr", shape=(3, 5, 6), dtype="u1", zarr_format=2)
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"multiscales": [image("0", ["c", "y", "x"])]})
    (tmp_path / "a.zarr/0").symlink_to(tmp_path / "data.zarr")
    assert said(tmp_path / "a.zarr/0")[0] == "c:c y:s x:s"


def test_a_group_that_may_not_be_read_is_no_error(tmp_path: Path) -> None:
    level = write(tmp_path / "a.zarr", "0", (3, 5), 2, {"multiscales": [image("0", ["c", "x"])]})
    (tmp_path / "a.zarr/.zattrs").unlink()
    (tmp_path / "a.zarr/.zattrs").mkdir()  # a file that cannot be read, whoever asks
    assert said(level)[0] == ":s :s"


LABELS = {
    "image-label": (2, {"multiscales": [image("0", [Y, X])], "image-label": {}}, "0", "uint8"),
    "under ome": (3, {"ome": {"multiscales": [image("0", [Y, X])], "image-label": {}}}, "0", "float32"),
    "in a group called labels": (3, {}, "labels/cells/0", "int32"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_not_summed_unless_it_is_forced(case: str, tmp_path: Path) -> None:
    version, attributes, path, dtype = LABELS[case]
    level, out = write(tmp_path / "a.zarr", path, (8, 9), version, attributes, dtype), tmp_path / "out"
    for name, terms in (("gaussian", {"sigma": 1}), ("downsample", {})):
        with pytest.raises(UsageError, match=f"the array holds labels, and {name} would mix.*--force-labels"):
            api.prepare(name, level, out, **terms)
        api.prepare(name, level, out, force_labels=True, **terms)
    for name, terms in (("median", {}), ("downsample", {"method": "max"}), ("threshold", {"value": 0})):
        api.prepare(name, level, out, **terms)
    api.prepare([("threshold", {"value": 0}), ("gaussian", {"sigma": 1})], level, out)
    with pytest.raises(UsageError, match="gaussian would mix"):
        api.prepare([("median", {}), ("gaussian", {"sigma": 1})], level, out)


def test_measurements_beside_labels_are_none(tmp_path: Path) -> None:
    assert not describe(write(tmp_path / "a.zarr", "labels/p/0", (8, 9), 3, {}, "float32")).naming.labels
    assert not describe(write(tmp_path / "labels/a.zarr", "0", (8, 9), 3, {}, "uint8")).naming.labels  # a plain folder


def test_webknossos_says_it_in_a_file_beside_its_layers(tmp_path: Path) -> None:
    level = write(tmp_path / "a", "segmentation/2-2-1", (1, 8, 8, 4), 2, {})
    mag = {"mag": [2, 2, 1], "path": "./segmentation/2-2-1", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}
    layer = {"name": "segmentation", "category": "segmentation", "mags": [mag]}
    content = {"dataLayers": [layer], "scale": {"factor": [11.0, 11.0, 28.0], "unit": "nanometer"}}
    (tmp_path / "a/datasource-properties.json").write_text(json.dumps(content))
    assert said(level) == ("c:c x:s y:s z:s", [1, 22, 22, 28], [None, *["nanometer"] * 3])
    assert describe(level).naming.labels


def test_names_are_known_in_any_case() -> None:
    assert [axis.type for axis in named_axes(["Time", "Lat", "LON", "?"])] == ["time", "space", "space", "unknown"]


def test_a_damaged_group_leaves_axes_unknown(tmp_path: Path) -> None:
    level = write(tmp_path / "a.zarr", "0", (3, 5), 2, {"multiscales": [image("0", ["c", "x"])]})
    (tmp_path / "a.zarr/.zattrs").write_text('{"multiscales": [')
    assert said(level)[0] == ":u :u"
    with pytest.raises(UsageError, match=r"none of the array's axes is known to be space.*\.zattrs is damaged"):
        api.prepare("gaussian", level, tmp_path / "out", sigma=1)


@pytest.mark.parametrize("refused", [Denied, RemoteError])
def test_groups_of_a_store_that_denies_access_say_nothing(refused: Any, monkeypatch: Any) -> None:
    """A store that does not answer is an error: what it says of axes would be missed without a word."""
    place = Remote("s3", "bucket", "a/b/c.zarr/0")
    asked = []

    def read_bytes(file: Remote) -> bytes:
        asked.append(file.key)
        if file.key == "a/b/c.zarr/zarr.json":
            content = {"attributes": {"ome": {"multiscales": [image("0", ["c", "x"])]}}}
            return json.dumps(content).encode()
        raise refused(file.key)

    monkeypatch.setattr(Remote, "read_bytes", read_bytes)
    if refused is RemoteError:
        with pytest.raises(RemoteError):
            naming_of(place, 3, (2, 3), np.dtype("u1"), None, {})
    else:
        found = naming_of(place, 3, (2, 3), np.dtype("u1"), None, {})
        assert [axis.type for axis in found.axes] == ["channel", "space"]
        assert len(asked) <= LEVELS


def test_home_is_known(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 5), dtype="u1", dimension_names=["y", "x"])
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    job = api.prepare("convolve", "~/a.zarr", "~/out.zarr", kernel="~/k.npy")
    assert (job.input.path, str(job.out)) == (str(tmp_path / "a.zarr"), str(tmp_path / "out.zarr"))
    assert str(store_path("~nobody-of-this-name/a")) == "~nobody-of-this-name/a"


def test_the_origin_is_that_of_the_level_in_the_whole_image(tmp_path: Path) -> None:
    moved = {"type": "translation", "translation": [0.5, 1.0]}
    whole = [scale(10, 100), {"type": "translation", "translation": [1, 2]}]
    image_ = {**image("0", [Y, X], scale(2, 3), moved), "coordinateTransformations": whole}
    path = write(tmp_path / "a.zarr", "0", (2, 2), 2, {"multiscales": [image_]})
    assert [(a.spacing, a.origin) for a in describe(path).naming.axes] == [(20, 6), (300, 102)]
    own = {"voxel_size": [4, 5], "translation": [-1, 7.5]}
    zarr.open_array(path).attrs.update(own)
    assert [(a.spacing, a.origin) for a in describe(path).naming.axes] == [(4, -1), (5, 7.5)]
    zarr.open_array(path).attrs.update({"voxel_size": [1, 1], "translation": [3, "x"]})
    assert [(a.spacing, a.origin) for a in describe(path).naming.axes] == [(1, 0), (1, 0)]
