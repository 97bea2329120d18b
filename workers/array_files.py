"""Small arrays that operators take, from files: kernel.npy, net.npz:KEY, net.safetensors:KEY, or a Zarr array's folder.

Every size that a file states is held against the file and MOST_BYTES before anything is allocated, and no pickle is
read. A file of one array needs no KEY. safetensors: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MOST_BYTES = 2**30  # of an array: every worker holds it
MOST_HEADER = 2**24  # bytes of JSON in a .safetensors file
MOST_AXES = 32
NAMED = 8  # keys that an error names
WITH_KEY = re.compile(r"(.+?\.(?:npz|safetensors)):(.*)", re.IGNORECASE | re.DOTALL)
ENDS = (".npy", ".npz", ".safetensors", ".zarr")
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle")
METADATA = ("zarr.json", ".zarray", ".zgroup")
TENSORS = {
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    "BOOL": np.dtype(bool),
    "BF16": np.dtype("<u2"),  # the upper half of a float32
}


def split(value: Path | str) -> tuple[str, str | None]:
    """The path of a file, and the key of the array in it, if one is given."""
    text = os.fspath(value)
    found = None if os.path.lexists(text) else WITH_KEY.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def names_file(text: str) -> bool:
    """Whether a word is the name of an array's file, and no other word: by its end, or because it is there."""
    path = split(text)[0]
    return path.lower().endswith(ENDS) or os.path.isfile(path) or is_zarr(path)  # noqa: PTH113


def is_zarr(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in METADATA)  # noqa: PTH113, PTH118


def read_array(value: Path | str, name: str) -> np.ndarray:
    """The array that a path names. Raises ValueError: one line, which begins with `name` and the path."""
    path, key = split(value)
    if "://" in path:
        raise ValueError(f"{name} {path} is an address: copy it to a disk and give its path")
    kind = os.path.splitext(path)[1].lower()  # noqa: PTH122
    if kind in PICKLES and os.path.isfile(path):  # noqa: PTH113
        raise ValueError(f"{name} {path} is a pickle, which may run any code: save its arrays as .safetensors or .npz")
    what = "Zarr array" if os.path.isdir(path) else f"{kind} file" if kind in READERS else ".npy file"  # noqa: PTH112
    try:
        if what == "Zarr array":
            return _zarr(path)
        return READERS[kind](path, key) if kind in READERS else _npy(path)
    except FileNotFoundError:
        raise ValueError(f"{name} {path} does not exist") from None
    except UnknownKey as error:
        raise ValueError(f"{name} {path} {error}") from None
    except Exception as error:  # what is wrong with a hostile file is said by whichever library meets it
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{name} {path} cannot be read as a {what}: {reason}") from None


class UnknownKey(ValueError):
    """What a file with several arrays says of a key that it does not have, or that was not given."""


def _chosen(keys: list[str], key: str | None, path: str) -> str:
    """The key that is asked for: the only one if none is given."""
    if key in keys:
        return str(key)
    if not keys:
        raise UnknownKey("has no arrays")
    known = ", ".join(keys[:NAMED]) + (f", ... ({len(keys)} in all)" if len(keys) > NAMED else "")
    if key is None and len(keys) > 1:
        raise UnknownKey(f"has {len(keys)} arrays: give the name of one, as in {path}:{keys[0]} ({known})")
    near = get_close_matches(str(key), keys, n=1)
    if key is not None:
        raise UnknownKey(f"has no array {key[:80]!r}: " + (f"did you mean {near[0]!r}?" if near else f"it has {known}"))
    return keys[0]


def _checked(shape: Any, itemsize: int) -> int:
    """The bytes of an array of a shape that a file states."""
    if not isinstance(shape, list | tuple) or len(shape) > MOST_AXES:
        raise ValueError(f"its shape is {str(shape)[:80]}: expected {MOST_AXES} whole numbers at most")
    if not all(type(n) is int and 0 <= n < 2**60 for n in shape):
        raise ValueError(f"its shape is {str(shape)[:80]}: expected whole numbers of 0 or more")
    nbytes = prod(shape) * itemsize
    if nbytes > MOST_BYTES:
        raise ValueError(f"shape {tuple(shape)} has {nbytes:.3g} bytes: expected {MOST_BYTES} at most")
    return nbytes


def _npy(path: str) -> np.ndarray:
    # Mapped, because a damaged header may ask for any amount of memory.
    array = np.lib.format.open_memmap(path, mode="r")
    _checked(array.shape, array.dtype.itemsize)
    return array


def _npz(path: str, key: str | None) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        info = archive.getinfo(names[_chosen(list(names), key, path)])
        with archive.open(info) as file:
            begin = file.tell()
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise ValueError(f"its format has version {version}: expected 1.0 or 2.0")
            shape, _, dtype = readers[version](file)
            if dtype.hasobject:
                raise ValueError("it holds Python objects, which are never unpickled: save an array of numbers")
            nbytes, stored = _checked(shape, dtype.itemsize), info.file_size - (file.tell() - begin)
            if nbytes != stored:
                raise ValueError(f"shape {shape} of {dtype} has {nbytes} bytes, and {stored} are stored")
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _safetensors(path: str, key: str | None) -> np.ndarray:
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header, data = _header(file, size)
        entry = header[_chosen(list(header), key, path)]
        stated: list[Any] = [entry.get(word) for word in ("dtype", "shape", "data_offsets")]
        kind, shape, offsets = stated
        if not isinstance(kind, str) or kind not in TENSORS:
            raise ValueError(f"its dtype is {str(kind)[:40]}: expected one of {', '.join(TENSORS)}")
        nbytes = _checked(shape, TENSORS[kind].itemsize)
        whole = isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)
        if not whole or not 0 <= offsets[0] <= offsets[1] <= size - data or offsets[1] - offsets[0] != nbytes:
            span = f"data_offsets {str(offsets)[:80]}"
            raise ValueError(f"{span} are no {nbytes} bytes (shape {shape} of {kind}) of the {size - data} in the file")
        file.seek(data + offsets[0])
        array = np.frombuffer(file.read(nbytes), TENSORS[kind]).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


def _header(file: BinaryIO, size: int) -> tuple[dict[str, dict[str, Any]], int]:
    """The arrays that a .safetensors file has, by name, and where its data begin."""
    begin = file.read(8)
    length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else MOST_HEADER + 1
    if length > min(MOST_HEADER, size - 8):
        raise ValueError(f"its header has {length} bytes of {size} in the file: expected {MOST_HEADER} at most")
    try:
        header = json.loads(file.read(length).decode())
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("its header is no JSON object of arrays")
    header.pop("__metadata__", None)
    return header, 8 + length


def _zarr(path: str) -> np.ndarray:
    import zarr

    if not is_zarr(path):
        raise ValueError(f"it is a folder without {', '.join(METADATA)}")
    node = zarr.open(path, mode="r")
    if not isinstance(node, zarr.Array):
        keys = sorted(node.array_keys())
        raise UnknownKey(f"is a Zarr group: give an array in it, such as {path}/{keys[0] if keys else 'NAME'}")
    _checked(node.shape, node.dtype.itemsize)
    _checked(node.shards or node.chunks, node.dtype.itemsize)
    return np.asarray(node[...])


READERS = {".npz": _npz, ".safetensors": _safetensors}
