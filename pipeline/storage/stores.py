"""Zarr arrays: what they are, and their regions in and out. `places` says where they may be.

zarr-python describes and creates arrays. Regions are read and written through tensorstore, which decodes and encodes
four to five times faster, writes each chunk beside its place and renames it once it is on disk; arrays that it cannot
read (a codec it lacks) are read through zarr-python.

The *write unit* is the smallest piece that one writer may own: the shard where there are shards, else the chunk. Two
writers in one unit lose each other's data, so blocks are whole write units.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage.connections import tensorstore_settings
from gridstride.pipeline.storage.places import (
    Place,
    absolute,
    check_disk,
    durable_write,
    ends_if_lost,
    kvstore,
    names,
    place,
    sync_folder,
    version,
    zarr_store,
)
from gridstride.pipeline.storage.remote import Remote

__all__ = ["check_disk", "durable_write", "sync_folder"]  # simulations, whose files are beside their arrays, use these

METADATA = ("zarr.json", ".zarray", ".zgroup")
CODECS = ("lz4", "zstd", "blosc-zstd", "gzip", "none")
# The names that mark an axis as a series of images rather than a direction in space.
SERIES = ("t", "time", "c", "channel", "channels", "s", "sample")


@dataclass(frozen=True)
class ArrayInfo:
    """A Zarr array, described: everything a plan needs, and nothing open."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    dimension_names: tuple[str | None, ...]
    attributes: dict[str, Any]
    zarr_format: int
    codecs: str

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def write_unit(self) -> tuple[int, ...]:
        return self.shards or self.chunks

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def describe(where: str | Path | Remote, array: str | None = None) -> ArrayInfo:
    """Describe the array at a place, or the array named `array` in the group there.

    Raises UsageError if there is no such array, or its dtype is none that we compute with.
    """
    path = place(where)
    if isinstance(path, Remote):
        path.contact()
    if not has_metadata(path):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        raise UsageError(f"{path} is not a Zarr store: it has none of {', '.join(METADATA)}")
    _refuse_pickles(path)
    try:
        node = zarr.open(zarr_store(path), mode="r")
    except Exception as error:
        raise UsageError(f"{path} cannot be opened as Zarr: {first_line(error)}") from error
    if isinstance(node, zarr.Group):
        if array is not None and isinstance(path, Remote) and path.read_only:
            return describe(f"{path}/{array.strip('/')}")  # a web server does not list
        known = list_arrays(node, path)
        if array is None:
            shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "") if known else "none"
            raise UsageError(f"{path} is a group: say which array with --array (it holds {shown})")
        if array.strip("/") not in known:
            raise UsageError(f"{path} has no array {array!r} (it holds {', '.join(known[:8]) or 'none'})")
        return describe(path / array.strip("/"))
    if array is not None:
        raise UsageError(f"{path} is an array, not a group: leave out --array")
    dtype = np.dtype(node.dtype)
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UsageError(f"{path} has dtype {dtype}: expected bool, an integer or a real floating-point type")
    if not 1 <= node.ndim <= 5:
        raise UsageError(f"{path} has {node.ndim} axes: expected 1 to 5")
    metadata = node.metadata
    axes: Any = getattr(metadata, "dimension_names", None) or node.attrs.get("_ARRAY_DIMENSIONS")
    try:
        codecs = ", ".join(_codec_name(c) for c in (node.compressors or ()))
    except Exception:  # codecs zarr-python cannot name do not stop it from reading
        codecs = "?"
    return ArrayInfo(
        path=absolute(path),
        shape=tuple(int(n) for n in node.shape),
        dtype=dtype.newbyteorder("="),
        chunks=tuple(int(n) for n in node.chunks),
        shards=tuple(int(n) for n in node.shards) if node.shards else None,
        dimension_names=tuple(axes) if axes else (None,) * len(node.shape),
        attributes=dict(node.attrs),
        zarr_format=int(metadata.zarr_format),
        codecs=codecs or "none",
    )


def _refuse_pickles(where: Place) -> None:
    """Zarr v2 knows a codec that unpickles chunks, which can run any program."""
    try:
        content = json.loads((where / ".zarray").read_bytes())
        codecs = [content.get("compressor"), *(content.get("filters") or ())]
    except (OSError, ValueError, AttributeError, TypeError):
        return  # there is none, or zarr-python will say what is wrong with it
    if any(isinstance(codec, dict) and "pickle" in str(codec.get("id")) for codec in codecs):
        raise UsageError(f"{where} is stored as Python pickles, which can run any program when they are read: refused")


def has_metadata(where: Place) -> bool:
    """Whether a Zarr array or group begins at a place."""
    return any((where / name).is_file() for name in METADATA)


def _codec_name(codec: Any) -> str:
    if hasattr(codec, "cname"):
        shuffle = getattr(codec.shuffle, "value", codec.shuffle)
        return f"blosc-{getattr(codec.cname, 'value', codec.cname)} ({shuffle})"
    return type(codec).__name__.removesuffix("Codec").lower()


def list_arrays(group: zarr.Group, where: Place) -> list[str]:
    """Names of the arrays in a group and in the groups inside it. Raises UsageError if nobody knows."""
    if isinstance(where, Remote) and where.read_only and group.metadata.consolidated_metadata is None:
        raise UsageError(f"{where} is a group, and a web server does not list: say which array with --array")
    members = group.members(max_depth=None)
    # Metadata may name what lies elsewhere; a name with .. in it is none of this group's.
    return sorted(name for name, node in members if isinstance(node, zarr.Array) and ".." not in name.split("/"))


def chunk_keys(path: str, indices: Iterable[tuple[int, ...]]) -> list[str]:
    """The store keys of chunks (of shards, where the array has shards)."""
    metadata = _zarr(path).metadata
    return [str(metadata.encode_chunk_key(index)) for index in indices]


def chunk_key(path: str, index: tuple[int, ...]) -> str:
    return chunk_keys(path, [index])[0]


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without tensorstore's source annotations."""
    text = str(error).strip().split(" [source locations=")[0]
    return text.splitlines()[0][:300] if text else type(error).__name__


def _stamp(path: str) -> tuple[Any, ...]:
    """Tells one array at a path from the next: workers outlive jobs, and an output may be replaced."""
    root = place(path)
    for name in METADATA:
        file = root / name
        try:
            return (file.stat().st_ino, *version(file)) if isinstance(file, Path) else tuple(version(file))
        except FileNotFoundError:
            continue
    raise JobFailed(f"{path} has lost its metadata")


def _zarr(path: str) -> Any:
    return _open_zarr(path, _stamp(path))


@lru_cache(maxsize=16)
def _open_zarr(path: str, stamp: tuple[Any, ...]) -> Any:
    return zarr.open_array(zarr_store(place(path)), mode="r")


class Regions:
    """Reads and writes regions of one array. `engine` says which library does it."""

    def __init__(self, path: str) -> None:
        self.root = root = place(path)
        try:
            context = _context()
            import tensorstore as ts

            driver = "zarr3" if (root / "zarr.json").is_file() else "zarr"
            spec = {"driver": driver, "kvstore": kvstore(root)}
            self._array: Any = ts.open(spec, context=context, open=True).result()
            self._array.dtype.numpy_dtype  # noqa: B018  (raises for types NumPy lacks)
            self.engine = "tensorstore"
        except (ValueError, TypeError, NotImplementedError):
            read_only = root.read_only if isinstance(root, Remote) else not os.access(path, os.W_OK)
            self._array = zarr.open_array(zarr_store(root, read_only), mode="r" if read_only else "r+")
            self.engine = "zarr-python"
        self.shape = tuple(self._array.shape)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
        """The region [start, stop) as a contiguous array of native byte order."""
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        with ends_if_lost(self.root, writing=False):
            if self.engine == "tensorstore":
                return self._array[where].read(order="C").result()
            data = np.asarray(self._array[where])
        return np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))

    def write(self, start: Sequence[int], data: np.ndarray) -> None:
        """Write `data` at `start`. On return every chunk is on disk, or acknowledged by the object store."""
        where = tuple(slice(a, a + n) for a, n in zip(start, data.shape, strict=True))
        with ends_if_lost(self.root):
            if self.engine == "tensorstore":
                self._array[where].write(data).result()
            else:
                self._array[where] = data


@lru_cache(maxsize=1)
def _context() -> Any:
    settings = tensorstore_settings()  # first: what it takes from the environment it takes when it is imported
    import tensorstore as ts

    # The defaults, named: each file is synced before it is renamed into place, and locked by the system, which forgets
    # the locks of a process that was killed. (Mode "lockfile" does not: its leftovers block the next writer.)
    return ts.Context({"file_io_sync": True, "file_io_locking": {"mode": "os"}, **settings})


def regions(path: str) -> Regions:
    """`Regions` of an array, opened once per process."""
    return _open_regions(path, _stamp(path))


@lru_cache(maxsize=16)
def _open_regions(path: str, stamp: tuple[Any, ...]) -> Regions:
    with ends_if_lost(place(path), writing=False):
        return Regions(path)


def read_wrapped(path: str, start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
    """Read a region whose indices may lie below 0 or past the end: there the grid repeats itself."""
    source = regions(path)
    axes: list[list[tuple[int, int, int]]] = []  # (offset in the result, start, stop) of each piece of an axis
    for a, b, n in zip(start, stop, source.shape, strict=True):
        pieces, at = [], a
        while at < b:
            inside = at % n
            take = min(b - at, n - inside)
            pieces.append((at - a, inside, inside + take))
            at += take
        axes.append(pieces)
    if all(len(pieces) == 1 for pieces in axes):
        return source.read([p[0][1] for p in axes], [p[0][2] for p in axes])
    parts = {combo: source.read([p[1] for p in combo], [p[2] for p in combo]) for combo in product(*axes)}
    result = np.empty([b - a for a, b in zip(start, stop, strict=True)], next(iter(parts.values())).dtype)
    for combo, part in parts.items():
        result[tuple(slice(offset, offset + hi - lo) for offset, lo, hi in combo)] = part
    return result


def unreadable_chunks(path: str, start: Sequence[int], stop: Sequence[int]) -> Iterator[tuple[str, str]]:
    """(store key, reason) of each chunk in a region, modulo the array's shape, that cannot be read."""
    info = describe(path)
    source = regions(path)
    unit = info.write_unit
    spans = []
    for a, b, n, u in zip(start, stop, info.shape, unit, strict=True):
        inside = {i % n // u for i in range(a, b, max(1, min(u, b - a)))} | {(b - 1) % n // u}
        spans.append(sorted(inside))
    for index in product(*spans):
        first = [i * u for i, u in zip(index, unit, strict=True)]
        last = [min(f + u, n) for f, u, n in zip(first, unit, info.shape, strict=True)]
        try:
            source.read(first, last)
        except Exception as error:
            yield chunk_key(path, index), first_line(error)


def create(
    where: str | Path | Remote,
    shape: Sequence[int],
    dtype: np.dtype,
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
    codec: str = "lz4",
    dimension_names: Sequence[str | None] | None = None,
    attributes: dict[str, Any] | None = None,
) -> ArrayInfo:
    """Create an empty Zarr v3 array; what is at the place already stays, but for `zarr.json`."""
    # A chunk of a zero-length axis still needs a length.
    chunks = tuple(max(1, int(n)) for n in chunks)
    names = None if dimension_names is None or not any(dimension_names) else list(dimension_names)
    zarr.create_array(
        store=zarr_store(place(where), read_only=False),
        shape=tuple(shape),
        dtype=dtype,
        chunks=chunks,
        shards=None if shards is None else tuple(shards),
        compressors=_compressor(codec, np.dtype(dtype)),
        fill_value=0,
        dimension_names=names,
        attributes=attributes or {},
        zarr_format=3,
        overwrite=False,
    )
    return describe(where)


def _compressor(codec: str, dtype: np.dtype) -> Any:
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    name, _, level = codec.partition(":")
    if name not in CODECS or (level and not level.isdigit()):
        raise UsageError(f"unknown codec {codec!r}: expected one of {', '.join(CODECS)}, with :LEVEL if you like")
    if name in ("lz4", "blosc-zstd"):
        cname: Any = name.removeprefix("blosc-")
        return BloscCodec(cname=cname, clevel=int(level or 5), shuffle="bitshuffle", typesize=dtype.itemsize)
    if name == "zstd":
        return ZstdCodec(level=int(level or 3))
    return GzipCodec(level=int(level or 5)) if name == "gzip" else None


def is_removable(where: Place) -> bool:
    """Whether --overwrite may delete what is at a place: a Zarr store, our unfinished output, or an empty folder."""
    if not where.is_dir():
        return False
    found = names(where)
    return not found or bool(found & {*METADATA, ".gridstride"})


def sync_chunk_folders(path: str, start: Sequence[int], stop: Sequence[int]) -> None:
    """Make the folder entries of a region's chunks durable, up to the array's own folder."""
    root = place(path)
    if isinstance(root, Remote):
        return
    info = _info(path, _stamp(path))
    folders = set()
    spans = [range(a // u, ceil(b / u)) for a, b, u in zip(start, stop, info.write_unit, strict=True)]
    for index in product(*spans[:-1], spans[-1][:1] if spans else ()):
        folder = (root / chunk_key(path, index)).parent
        while folder not in folders and folder != root.parent:
            folders.add(folder)
            folder = folder.parent
    for folder in folders:
        if folder.exists():  # chunks that hold nothing but the fill value are not written
            sync_folder(folder)


@lru_cache(maxsize=16)
def _info(path: str, stamp: tuple[Any, ...]) -> ArrayInfo:
    return describe(path)


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
