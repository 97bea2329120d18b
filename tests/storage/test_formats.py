"""What is given in place of a Zarr store is named, and what the line says to type makes one of it."""

from __future__ import annotations

import io
import json
import runpy
import shlex
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io
import tensorstore as ts
import tifffile
import zarr

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.reports.info import info_table
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.formats import what_it_is

VOLUME = np.random.default_rng(0).integers(0, 60000, (3, 20, 24)).astype(np.uint16)
COLOURS = np.random.default_rng(1).integers(0, 256, (20, 24, 3)).astype(np.uint8)


def type_it(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the command that a line says to type; gives the place that it says to give then."""
    assert "\n" not in line
    command, _, then = line.rpartition(": type ")[2].partition(" and then give ")
    words = shlex.split(command)
    assert words[0] == "python" or words[0] == sys.executable
    if words[1] == "-c":
        exec(words[2], {})
    else:
        monkeypatch.setattr(sys, "argv", words[2:])
        runpy.run_module(words[2], run_name="__main__")
    return then


def tiff(path: Path) -> np.ndarray:
    tifffile.imwrite(path, VOLUME, metadata={"axes": "CYX"}, ome=True)
    return VOLUME


def big_tiff_in_other_byte_order(path: Path) -> np.ndarray:
    tifffile.imwrite(path, VOLUME, bigtiff=True, byteorder=">", compression="zlib", photometric="minisblack")
    return VOLUME


def png(path: Path) -> np.ndarray:
    PIL.Image.fromarray(COLOURS).save(path)
    return COLOURS


def npy(path: Path) -> np.ndarray:
    with path.open("wb") as file:
        np.save(file, VOLUME)
    return VOLUME


def npz(path: Path) -> np.ndarray:
    np.savez_compressed(path, image=VOLUME)
    return VOLUME


def n5(path: Path) -> np.ndarray:
    metadata = {
        "dimensions": [24, 20, 3],
        "blockSize": [10, 10, 3],
        "dataType": "uint16",
        "compression": {"type": "raw"},
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{path}/setup0/s0/"}, "metadata": metadata}
    ts.open(spec, create=True).result().write(VOLUME.T).result()
    (path / "attributes.json").write_text('{"n5": "2.5.1"}')
    return VOLUME


def tiffs(path: Path) -> np.ndarray:
    path.mkdir()
    (path / ".DS_Store").write_bytes(b"x")
    for number, plane in enumerate(VOLUME):
        tifffile.imwrite(path / f"z{number:02}.tif", plane)
    return VOLUME


def pngs(path: Path) -> np.ndarray:
    path.mkdir()
    for number, plane in enumerate(VOLUME):
        PIL.Image.fromarray(plane).save(path / f"z{number:02}.png")
    return VOLUME


MADE: dict[str, tuple[Callable[[Path], np.ndarray], str, tuple[str | None, ...]]] = {
    "image.ome.tif": (tiff, "is a TIFF file", ("c", "y", "x")),
    "big.tiff": (big_tiff_in_other_byte_order, "is a TIFF file", ("q", "y", "x")),
    "a b's.png": (png, "is a PNG picture", ("y", "x", "c")),
    "data": (npy, "is a .npy file", (None,) * 3),
    "image.npz": (npz, "is a .npz file, with image", (None,) * 3),
    "image.n5": (n5, "is N5, with the array", (None,) * 3),
    "scans": (tiffs, "is a folder of TIFF files", ("i", "y", "x")),
    "IN OUT [1]": (pngs, "is a folder of pictures", ("i", "y", "x")),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_typed_makes_a_store(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, what, names = MADE[name]
    values = make(tmp_path / name)
    with pytest.raises(UsageError, match=what) as refusal:
        describe(tmp_path / name)
    store = type_it(str(refusal.value), monkeypatch)
    assert np.array_equal(zarr.open_array(store, mode="r")[...], values)
    assert describe(store).dimension_names == names
    with pytest.raises(UsageError, match=what):
        info_table(tmp_path / name)


def test_netcdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scipy.io.netcdf_file(tmp_path / "a.nc", "w") as file:
        file.createDimension("y", 20)
        file.createDimension("x", 24)
        file.createVariable("image", "f4", ("y", "x"))[:] = VOLUME[0]
        file.createVariable("x", "i2", ("x",))[:] = np.arange(24)
        file.createVariable("crs", "i4", ())
    store = type_it(what_it_is(tmp_path / "a.nc"), monkeypatch)
    made = zarr.open_group(store, mode="r")
    assert sorted(made) == ["image", "x"]
    assert np.array_equal(np.asarray(made["image"]), VOLUME[0])
    assert describe(store, "image").dimension_names == ("y", "x")


def test_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/image"], file["name"], file["one"] = VOLUME, "text", 1
    store = type_it(what_it_is(tmp_path / "a.h5"), monkeypatch)
    assert np.array_equal(np.asarray(zarr.open_array(f"{store}/group/image", mode="r")), VOLUME)
    assert describe(store, "group/image").shape == VOLUME.shape


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mrc"])
def test_formats_of_medicine_and_of_electron_microscopy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, values = tmp_path / name, VOLUME.astype(np.int16)
    if name == "a.mrc":
        mrcfile = pytest.importorskip("mrcfile", reason="needs mrcfile")
        mrcfile.new(path, values).close()
    else:
        nibabel = pytest.importorskip("nibabel", reason="needs nibabel")
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), path)
    store = type_it(what_it_is(path), monkeypatch)
    assert np.array_equal(zarr.open_array(store, mode="r")[...], values)


def test_hdf5_is_named_without_h5py(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "is an HDF5 file, as NetCDF 4 is (pip install h5py first): type" in what_it_is(tmp_path / "a.nc")


@pytest.mark.parametrize("kind", ["zip", "zip of a folder", "tar.gz"])
def test_packed_stores(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = "" if kind == "zip" else "image.zarr/"
    source = tmp_path / "source.zarr"
    zarr.create_array(str(source), data=VOLUME, chunks=(2, 10, 10))
    packed = tmp_path / ("image.tar.gz" if kind == "tar.gz" else "image.zarr.zip")
    if kind == "tar.gz":
        with tarfile.open(packed, "w:gz") as tar:
            tar.add(source, ".")
    else:
        with zipfile.ZipFile(packed, "w") as file:
            for path in source.rglob("*"):
                file.write(path, f"{inside}{path.relative_to(source)}")
    store = type_it(what_it_is(packed), monkeypatch)
    assert np.array_equal(zarr.open_array(store, mode="r")[...], VOLUME)


def test_other_places_are_named(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "here/image.zarr"), data=VOLUME, chunks=(3, 10, 10))
    (tmp_path / "empty").mkdir()
    (tmp_path / "none").write_bytes(b"")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "cell.czi").write_bytes(b"ZISRAWFILE")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.txt", "a")
    (tmp_path / "other.zip").write_bytes(data.getvalue())
    (tmp_path / "bare.n5").mkdir()
    (tmp_path / "bare.n5/attributes.json").write_text(json.dumps({"n5": "2.5"}))
    image = tmp_path / "here/image.zarr"
    for place, what in {
        "here": f"is not a Zarr store but a folder with some in it: give one of {image}",
        "here/image.zarr/c/0": f"lies in the Zarr store {image}: give that",
        "here/image.zarr/zarr.json": f"is a file of the Zarr store {image}: give {image}",
        "empty": "is an empty folder, not a Zarr store: it has none of zarr.json, .zarray, .zgroup",
        "none": "is an empty file, not a Zarr store",
        "text": "is a file of an unknown kind, not a Zarr store",
        "cell.czi": f"is a microscope's file: type bioformats2raw {tmp_path}/cell.czi {tmp_path}/cell.zarr",
        "other.zip": "is a zip file without a Zarr store in it",
        "bare.n5": "is N5, without an array in it",
        "nothing": "does not exist",
    }.items():
        with pytest.raises(UsageError) as refusal:
            describe(tmp_path / place)
        assert str(refusal.value).startswith(f"{tmp_path / place} {what}")
