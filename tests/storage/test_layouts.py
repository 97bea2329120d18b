"""Public layouts of OME-Zarr: the filtered axes of every level, the array that a group stands for, and its listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from ome_stores import KINDS, STORES, image

from gridstride.pipeline import api
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.describe import describe


def run(*args: Any) -> Any:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def lines(text: str) -> dict[str, str]:
    """The lines of a listing by their first word."""
    return {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("layout", STORES)
def test_space_alone_is_filtered_on_every_level(layout: str, tmp_path: Path) -> None:
    for level, axes in STORES[layout](tmp_path / layout):
        job = api.prepare("gaussian", level, tmp_path / "out", sigma=1, force_labels=True)
        assert job.request["axes"] == [i for i, name in enumerate(axes) if KINDS[name] == "space"], level
        others = [f"{name} ({KINDS[name]})" for name in axes if KINDS[name] != "space"]
        assert job.axes.endswith(f", not {', '.join(others)}" if others else "x")
        assert describe(level).naming.labels == ("labels" in level), level


@pytest.mark.parametrize("layout", STORES)
def test_a_listing_has_every_array(layout: str, tmp_path: Path) -> None:
    root = tmp_path / layout
    levels = STORES[layout](root)
    result = run("info", root)
    assert result.exit_code == 0, result.output
    found = lines(result.output)
    for level, axes in levels:
        path = str(Path(level).relative_to(root))
        if path.startswith("older"):
            continue  # there is no group around it
        words = ", ".join(name if KINDS[name] == "space" else f"{name} ({KINDS[name]})" for name in axes)
        assert words in found[path]
        assert "cannot" not in found[path]
        assert run("info", level).exit_code == 0


# A layout -> what is filtered where it alone is named, or None: there is more than one image
MEANT = {
    "plate": None,
    "series": None,
    "deep": "recon/em/raw/s0",
    "spatial": "images/tissue/0",
    "nested": "scale0/image",
}


@pytest.mark.parametrize("layout", MEANT)
def test_a_group_with_one_image_stands_for_its_finest_level(layout: str, tmp_path: Path) -> None:
    root, meant = tmp_path / layout, MEANT[layout]
    STORES[layout](root)
    if meant is None:
        with pytest.raises(UsageError, match=r"is a group: name an array with --array \(it holds "):
            describe(root)
        assert "without --array" not in run("info", root).output
    else:
        assert describe(root).path == str(root / meant)
        assert f"without --array, filters take {meant}" in run("info", root).output
        result = run("filter", "gaussian", root, tmp_path / "out", "--sigma", 1, "--dry-run")
        assert f"; array {meant} of the group is used" in result.output


def test_a_group_inside_is_named_as_an_array_is(tmp_path: Path) -> None:
    STORES["plate"](tmp_path / "p")
    assert describe(tmp_path / "p", "B/03/3").path == str(tmp_path / "p/B/03/3/0")
    assert describe(tmp_path / "p/B/03/0").path == str(tmp_path / "p/B/03/0/0")


def test_the_only_array_beside_its_coordinates_is_meant(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a")
    group.create_array("height", shape=(4, 5), dtype="f4", dimension_names=["y", "x"])
    group.create_array("x", shape=(5,), dtype="f8", dimension_names=["x"])
    group.create_array("spatial_ref", shape=(), dtype="i8")
    group.create_array("names", shape=(5,), dtype=str)
    assert describe(tmp_path / "a").path == str(tmp_path / "a/height")
    group.create_array("slope", shape=(4, 5), dtype="f4", dimension_names=["y", "x"])
    with pytest.raises(UsageError, match="it holds height, names, slope, spatial_ref, x"):
        describe(tmp_path / "a")


KIND = {
    "scalar": ({"shape": (), "dtype": "int64"}, "has 0 axes"),
    "complex": ({"shape": (4,), "dtype": "complex64"}, "has dtype complex64"),
    "sixth": ({"shape": (1,) * 6, "dtype": "uint8"}, "has 6 axes"),
    "text": ({"shape": (3,), "dtype": str}, "dtype"),
    "time": ({"shape": (3,), "dtype": "datetime64[s]"}, "dtype datetime64[s]"),
    "records": ({"shape": (3,), "dtype": [("a", "<i4"), ("b", "<f8")]}, "dtype"),
    "empty": ({"shape": (0, 3), "dtype": "uint8"}, ""),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", KIND)
@pytest.mark.filterwarnings("ignore")
def test_any_kind_of_array_is_listed_and_what_hinders_filters(kind: str, version: int, tmp_path: Path) -> None:
    options, words = KIND[kind]
    group: Any = zarr.create_group(tmp_path / "a", zarr_format=version, attributes={"who": "[red]\x1b[2J"})
    group.create_array("image", shape=(6, 8), dtype="float32")
    group.create_array(f"deep/{kind}", **options)
    result = run("info", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert "arning" not in result.output
    assert "\x1b" not in result.output
    found = lines(result.output)
    assert "6 x 8" in found["image"]
    assert words in found[f"deep/{kind}"]
    assert ("cannot be filtered" in found[f"deep/{kind}"]) == bool(words)
    alone = run("info", tmp_path / "a", "--array", f"deep/{kind}")
    assert alone.exit_code == 0, alone.output
    assert words in alone.output


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated")
def test_what_is_there_counts_and_not_what_an_index_says(version: Any, tmp_path: Path) -> None:
    root = tmp_path / "a"
    group = zarr.create_group(root, zarr_format=version)
    for name in ("image", "old"):
        group.create_array(name, shape=(6, 8), dtype="f4")
    zarr.consolidate_metadata(str(root))
    assert "stale" not in run("info", root).output
    new = zarr.open_group(root, mode="r+", use_consolidated=False)
    new.create_array("new", shape=(6, 8), dtype="f4")
    for file in (root / "old").iterdir():
        file.unlink()
    (root / "old").rmdir()
    result = run("info", root)
    found = lines(result.output)
    assert {"image", "new"} <= set(found)
    assert "old" not in found
    assert "consolidated metadata are stale" in found["/"]
    assert describe(root, "new").shape == (6, 8)
    with pytest.raises(UsageError, match=r"has no array 'old' \(it holds image, new\)"):
        describe(root, "old")


def test_groups_say_what_they_hold(tmp_path: Path) -> None:
    STORES["plate"](tmp_path / "p")
    found = lines(run("info", tmp_path / "p").output)
    assert found["/"] == "plate of 2 wells, not there: C/03"
    assert found["B/03/0/"] == "image of 2 levels"
    assert found["B/03/0/labels/nuclei/0"].endswith("labels")
    image(tmp_path / "q", 3, "yx", "0", "1")
    np.testing.assert_equal((tmp_path / "q/1/zarr.json").unlink(), None)
    assert lines(run("info", tmp_path / "q").output)["/"] == "image of 2 levels, not there: 1"


def test_damaged_metadata_beside_an_image_are_passed_over(tmp_path: Path) -> None:
    image(tmp_path / "a", 3, "yx", "0")
    for name, text in (("b", "{"), ("c", "[1]"), ("d", '{"node_type": "array", "shape": "x"}')):
        (tmp_path / "a" / name).mkdir()
        (tmp_path / "a" / name / "zarr.json").write_text(text)
    result = run("info", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert "6 x 8" in lines(result.output)["0"]
    assert lines(result.output)["d"].startswith("?")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    image(tmp_path / "a", 2, "yx", "0")
    (tmp_path / "a/again").symlink_to(tmp_path / "a")
    assert run("info", tmp_path / "a").output.count("uint16") == 1


@pytest.mark.parametrize("mine", [5, {"request": [1], "input": 7}, {"request": {"command": "\x1b[31m"}}, {}])
def test_an_attribute_of_our_name_may_hold_anything(mine: Any, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 5), dtype="u1", attributes={"gridstride": mine})
    result = run("info", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert "4 x 5" in result.output
    assert "\x1b" not in result.output


def test_an_axis_too_long_for_indices_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(2**62, 4), chunks=(8, 4), dtype="u1")
    with pytest.raises(UsageError, match=r"expected less than 2\^60 along an axis"):
        describe(tmp_path / "a")
    assert run("info", tmp_path / "a").exit_code == 0
