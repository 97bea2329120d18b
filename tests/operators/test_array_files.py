"""Arrays that operators take from files: what is read, and the one line for what is not."""

from __future__ import annotations

import json
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from gridstride.pipeline import api
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.workers import array_files, saving
from gridstride.workers.operators.convolve import Convolve
from gridstride.workers.operators.fields import load_array

BOX = np.arange(1.0, 10.0).reshape(3, 3)


def safetensors(path: Path, arrays: dict[str, np.ndarray], **changes: Any) -> Path:
    """A .safetensors file. changes: of the entry of the first array"""
    kinds = {"f": "F", "i": "I", "u": "U"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for key, array in arrays.items():
        kind = "BOOL" if array.dtype == bool else f"{kinds[array.dtype.kind]}{8 * array.itemsize}"
        header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    header[next(iter(arrays))] |= changes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values()))
    return path


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64"])
def test_every_dtype_of_every_file_is_read(dtype: str, tmp_path: Path) -> None:
    arrays = {"conv1.weight": BOX.astype(dtype), "bias:1/a": np.ones(3, dtype)}
    np.save(tmp_path / "a.npy", arrays["conv1.weight"])
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.NPZ.npz", **arrays)
    safetensors(tmp_path / "a.safetensors", arrays)
    zarr.create_array(str(tmp_path / "a.zarr"), data=arrays["conv1.weight"])
    group = zarr.open_group(str(tmp_path / "g"), mode="w", zarr_format=2)
    group.create_array("0", data=arrays["conv1.weight"])
    for name in (
        "a.npy",
        "a.npz:conv1.weight",
        "b.NPZ.npz:conv1.weight",
        "a.safetensors:conv1.weight",
        "a.zarr",
        "g/0",
    ):
        found = load_array(tmp_path / name, "kernel")
        assert found.dtype == (dtype if dtype.startswith("float") else "float64"), name
        np.testing.assert_array_equal(found, BOX.astype(dtype))
    for name in ("a.npz:bias:1/a", "a.safetensors:bias:1/a"):
        np.testing.assert_array_equal(load_array(str(tmp_path / name), "bias"), np.ones(3))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    exact = np.array([1.0, -2.5, 3e38, 1e-38], np.float32).view(np.uint32) & 0xFFFF0000
    path = safetensors(tmp_path / "a.safetensors", {"w": (exact >> 16).astype(np.uint16)}, dtype="BF16")
    found = load_array(path, "weights")  # the only array needs no key
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), exact)


def test_a_file_whose_name_looks_like_a_key_is_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=BOX)
    (tmp_path / "a.npz").rename(tmp_path / "a.npz:w")
    with pytest.raises(ValueError, match=r"cannot be read as a \.npy file"):
        load_array(tmp_path / "a.npz:w", "kernel")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of files that are wrong."""
    folder = tmp_path_factory.mktemp("files")
    two = {"conv1.weight": BOX, "conv1.bias": np.ones(3)}
    safetensors(folder / "net.safetensors", two)
    np.savez(folder / "net.npz", **two)
    np.savez(folder / "many.npz", **{f"a{n}": BOX for n in range(20)})
    np.savez(folder / "none.npz")
    np.savez(folder / "object.npz", w=np.array([{}, 1]))
    np.savez(folder / "complex.npz", w=BOX * 1j)
    np.savez(folder / "text.npz", w=np.array(["a"]))
    np.savez(folder / "nan.npz", w=np.array([1, np.nan]))
    np.savez(folder / "empty.npz", w=np.ones((0, 3)))
    np.savez(folder / "scalar.npz", w=np.float64(3))
    changes: dict[str, dict[str, Any]] = {
        "dtype": {"dtype": "F8_E4M3"}, "nodtype": {"dtype": None}, "shape": {"shape": [2, 3]},
        "huge": {"shape": [2**40, 2**40]}, "negative": {"shape": [-3, -3]}, "float": {"shape": [3.0, 3]},
        "noshape": {"shape": "33"}, "true": {"shape": [True, 9]}, "axes": {"shape": [1] * 1000},
        "overflow": {"shape": [10**30, 0]}, "past": {"data_offsets": [72, 144]}, "back": {"data_offsets": [72, 0]},
        "before": {"data_offsets": [-72, 0]}, "one": {"data_offsets": [0]}, "texts": {"data_offsets": ["0", "72"]},
    }  # fmt: skip
    for name, change in changes.items():
        safetensors(folder / f"{name}.safetensors", {"w": BOX}, **change)
    raw = {
        "length": (2**63, b"{}"), "cut": (40, b"{}"), "nojson": (4, b"{{{{"), "list": (2, b"[]"),
        "bytes": (2, b"\xff\xfe"), "inner": (7, b'{"w":1}'), "deep": (200_000, b"[" * 200_000), "noarrays": (2, b"{}"),
    }  # fmt: skip
    for name, (length, text) in raw.items():
        (folder / f"{name}.safetensors").write_bytes(struct.pack("<Q", length) + text)
    (folder / "short.safetensors").write_bytes(b"abc")
    (folder / "nothing.safetensors").write_bytes(b"")
    for name, shape, content in (("bomb", (2**40,), b"\0" * 64), ("less", (9,), b"\0" * 8), ("gib", (2**28, 2), b"")):
        header = BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(folder / f"{name}.npz", "w") as archive:
            archive.writestr("w.npy", header.getvalue() + content)
    (folder / "nozip.npz").write_bytes(b"PK\3\4" + b"\0" * 40)
    with zipfile.ZipFile(folder / "pickle.npz", "w") as archive:
        archive.writestr("w.npy", b"\x80\x04K\x01.")
    (folder / "net.pt").write_bytes(b"PK")
    (folder / "folder").mkdir()
    zarr.open_group(str(folder / "group"), mode="w").create_array("level", data=BOX)
    zarr.create_array(str(folder / "vast.zarr"), shape=(2**40, 2**40), chunks=(3, 3), dtype="float64")
    zarr.create_array(str(folder / "chunk.zarr"), shape=(3, 3), chunks=(2**20, 2**20), dtype="float64")
    (folder / "bad.zarr").mkdir()
    (folder / "bad.zarr" / "zarr.json").write_text("{")
    return folder


WRONG = {
    "net.safetensors:conv1.wieght": "has no array 'conv1.wieght': did you mean 'conv1.weight'?",
    "net.safetensors:x": "has no array 'x': it has conv1.weight, conv1.bias",
    "net.safetensors": "has 2 arrays: give the name of one, as in FOLDER/net.safetensors:conv1.weight (conv1.weight, ",
    "net.npz:": "has no array ''",
    "net.npz:conv1.wight": "did you mean 'conv1.weight'?",
    "many.npz:q": "a7, ... (20 in all)",
    "none.npz": "has no arrays",
    "missing.npz:w": "missing.npz does not exist",
    "missing.safetensors": "missing.safetensors does not exist",
    "missing.npy": "missing.npy does not exist",
    "object.npz": "Python objects, which are never unpickled",
    "complex.npz": "has dtype complex128: expected real numbers",
    "text.npz": "expected real numbers",
    "nan.npz": "has NaN or infinite entries",
    "empty.npz": "is empty (shape (0, 3))",
    "scalar.npz": "is empty (shape ())",
    "bomb.npz": "has 8.8e+12 bytes: expected 1073741824 at most",
    "gib.npz": "expected 1073741824 at most",
    "less.npz": "has 72 bytes, and 8 are stored",
    "nozip.npz": "is not a zip file",
    "pickle.npz": "cannot be read as a .npz file",
    "dtype.safetensors": "its dtype is F8_E4M3: expected one of F16, F32, F64",
    "nodtype.safetensors": "its dtype is None",
    "shape.safetensors": "data_offsets [0, 72] are no 48 bytes (shape [2, 3] of F64) of the 72 in the file",
    "huge.safetensors": "expected 1073741824 at most",
    "negative.safetensors": "expected whole numbers of 0 or more",
    "float.safetensors": "expected whole numbers",
    "true.safetensors": "expected whole numbers",
    "overflow.safetensors": "expected whole numbers",
    "noshape.safetensors": "its shape is 33",
    "axes.safetensors": "expected 32 whole numbers at most",
    **dict.fromkeys(["past.safetensors", "back.safetensors", "before.safetensors"], "are no 72 bytes"),
    **dict.fromkeys(["one.safetensors", "texts.safetensors"], "are no 72 bytes"),
    **dict.fromkeys([f"{n}.safetensors" for n in ("short", "nothing", "length", "cut")], "its header has"),
    **dict.fromkeys([f"{n}.safetensors" for n in ("nojson", "deep", "bytes")], "its header is not JSON"),
    **dict.fromkeys([f"{n}.safetensors" for n in ("list", "inner")], "is no JSON object of arrays"),
    "noarrays.safetensors": "has no arrays",
    "folder": "it is a folder without zarr.json",
    "group": "is a Zarr group: give an array in it, such as FOLDER/group/level",
    "vast.zarr": "expected 1073741824 at most",
    "chunk.zarr": "expected 1073741824 at most",
    "bad.zarr": "cannot be read as a Zarr array",
    "net.pt": "is a pickle, which may run any code: save its arrays as .safetensors or .npz",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_array_is_one_line(name: str, files: Path) -> None:
    with pytest.raises(ValueError, match="kernel") as caught:
        load_array(str(files / name), "kernel")
    said = str(caught.value)
    assert WRONG[name].replace("FOLDER", str(files)) in said
    assert "\n" not in said
    assert len(said) < 500


def test_addresses_and_odd_names_are_one_line() -> None:
    for name, words in (("s3://a/b.npz:w", "copy it to a disk"), ("x" * 5000, "cannot be read"), ("a\0.npz", "null")):
        with pytest.raises(ValueError, match=words) as caught:
            load_array(name, "flat")
        assert "\n" not in str(caught.value)


def test_a_pipeline_finds_arrays_beside_its_file_and_a_job_depends_on_their_content(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "in"), data=np.ones((5, 6), np.uint8))
    (tmp_path / "nets").mkdir()
    zarr.create_array(str(tmp_path / "nets" / "box"), data=BOX)
    file = tmp_path / "steps.yaml"
    names = ["nets/net.safetensors:k.w", "nets/net.npz:k.w", "nets/box", "nets/k.npy"]
    file.write_text("".join(f"- convolve: {{kernel: {name}}}\n" for name in names) + "- convolve: {kernel: box}\n")

    def digest(kernel: np.ndarray) -> str:
        safetensors(tmp_path / "nets" / "net.safetensors", {"a": np.ones(1), "k.w": kernel})
        np.savez(tmp_path / "nets" / "net.npz", **{"k.w": kernel, "a": kernel})
        np.save(tmp_path / "nets" / "k.npy", kernel)
        return saving.digest(api.prepare(load_pipeline(file), tmp_path / "in", tmp_path / "out", device="cpu").operator)

    assert [step.options["kernel"] for step in load_pipeline(file).steps[:4]] == [
        f"{tmp_path}/{name}" for name in names
    ]
    assert digest(BOX) == digest(BOX) != digest(BOX + 1)
    with pytest.raises(UsageError, match=r"unknown kernel 'no': expected a file, such as k.npy, or one of box"):
        api.prepare("convolve", tmp_path / "in", tmp_path / "out", kernel="no")
    assert Convolve(kernel=str(tmp_path / names[0])).loaded_kernel().shape == (3, 3)
    assert array_files.split("~/a.npz:b:c") == ("~/a.npz", "b:c")
