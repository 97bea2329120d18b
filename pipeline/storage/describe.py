"""Descriptions of Zarr arrays: shape, data type, chunks, axes, codecs; made with zarr-python.

The *write unit* is the smallest piece that one writer may own: the shard where there are shards, else the chunk. Two
writers in one unit lose each other's data, so blocks are whole write units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gridstride.pipeline.errors import JobFailed, UsageError, first_line
from gridstride.pipeline.storage import tree
from gridstride.pipeline.storage.axes import Naming, naming_of
from gridstride.pipeline.storage.formats import METADATA, what_it_is
from gridstride.pipeline.storage.metadata import check_metadata
from gridstride.pipeline.storage.paths import StorePath, absolute, store_path, version, zarr_store
from gridstride.pipeline.storage.remote import Remote
from gridstride.workers.operators.base import Grid

MOST_AXES = 5
STATE_AXES = MOST_AXES + 1  # of what sweeps store between them, such as several values for each element
LONGEST = 2**60  # a mirrored axis is twice as long, and indices are of 64 bits


@dataclass(frozen=True)
class ArrayInfo:
    """Description of a Zarr array: everything a plan needs, with nothing kept open."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    naming: Naming
    attributes: dict[str, Any]
    zarr_format: int
    codecs: str
    fill_value: Any = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def grid(self) -> Grid:
        return Grid(self.shape, self.dtype, self.naming.axes)

    @property
    def dimension_names(self) -> tuple[str | None, ...]:
        return tuple(axis.name or None for axis in self.naming.axes)

    @property
    def write_unit(self) -> tuple[int, ...]:
        return self.shards or self.chunks

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def _check(path: StorePath, node: Any, dtype: np.dtype, most: int) -> None:
    """Raises UsageError for an array that no operator computes with."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UsageError(f"{path} has dtype {dtype}: expected bool, an integer or a real floating-point type")
    if not 1 <= node.ndim <= most:
        raise UsageError(f"{path} has {node.ndim} axes: expected 1 to {most}")
    if max(node.shape) >= LONGEST:
        raise UsageError(f"{path} has shape {node.shape}: expected less than 2^60 along an axis")
    if any(n < 1 for n in (*node.chunks, *(node.shards or ()))):
        raise UsageError(f"{path} has chunks of {node.chunks}: expected at least 1 along each axis")


def describe(where: str | Path | Remote, array: str | None = None, most: int = MOST_AXES) -> ArrayInfo:
    """Describe the array at a place, or the array named `array` in the group there, or its only image.

    Raises UsageError if there is no such array, if we do not compute with its dtype, or if it has more than `most`
    axes.
    """
    path = store_path(where)
    if isinstance(path, Remote):
        path.contact()
    if not has_metadata(path):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        raise UsageError(what_it_is(path))
    check_metadata(path)
    root = tree.read(path)
    if root is not None and not root.is_array:
        info = describe(tree.array_in(path, root, array))
        if array is not None:
            return info
        taken = f"array {info.path.removeprefix(absolute(path)).strip('/')} of the group is used"
        return replace(info, naming=replace(info.naming, notes=(taken, *info.naming.notes)))
    try:
        node: Any = zarr.open_array(zarr_store(path), mode="r")
    except Exception as error:
        raise UsageError(f"{path} cannot be opened as Zarr: {first_line(error)}") from error
    if array is not None:
        raise UsageError(f"{path} is an array, not a group: leave out --array")
    dtype = np.dtype(node.dtype)
    _check(path, node, dtype, most)
    metadata = node.metadata
    shape, attributes = tuple(int(n) for n in node.shape), dict(node.attrs)
    names: Any = getattr(metadata, "dimension_names", None)
    try:
        codecs = ", ".join(_codec_name(c) for c in (node.compressors or ()))
    except Exception:  # codecs zarr-python cannot name do not stop it from reading
        codecs = "?"
    return ArrayInfo(
        path=absolute(path),
        shape=shape,
        dtype=dtype.newbyteorder("="),
        chunks=tuple(int(n) for n in node.chunks),
        shards=tuple(int(n) for n in node.shards) if node.shards else None,
        naming=naming_of(path, int(metadata.zarr_format), shape, dtype, names, attributes),
        attributes=attributes,
        zarr_format=int(metadata.zarr_format),
        codecs=codecs or "none",
        fill_value=None if node.fill_value is None else np.asarray(node.fill_value).item(),
    )


def has_metadata(where: StorePath) -> bool:
    """Whether a Zarr array or group begins at a place."""
    return any((where / name).is_file() for name in METADATA)


def _codec_name(codec: Any) -> str:
    if hasattr(codec, "cname"):
        shuffle = getattr(codec.shuffle, "value", codec.shuffle)
        return f"blosc-{getattr(codec.cname, 'value', codec.cname)} ({shuffle})"
    return type(codec).__name__.removesuffix("Codec").lower()


def chunk_keys(path: str, indices: Iterable[tuple[int, ...]]) -> list[str]:
    """The store keys of chunks (of shards, where the array has shards)."""
    metadata = _zarr(path).metadata
    return [str(metadata.encode_chunk_key(index)) for index in indices]


def chunk_key(path: str, index: tuple[int, ...]) -> str:
    return chunk_keys(path, [index])[0]


def stamp(path: str) -> tuple[Any, ...]:
    """Changes when the array at a path is replaced by another: workers outlive jobs. Raises JobFailed if it is gone."""
    root = store_path(path)
    for name in METADATA:
        file = root / name
        try:
            return (file.stat().st_ino, *version(file)) if isinstance(file, Path) else tuple(version(file))
        except FileNotFoundError:
            continue
    raise JobFailed(f"{path} has lost its metadata")


def _zarr(path: str) -> Any:
    return _open_zarr(path, stamp(path))


@lru_cache(maxsize=16)
def _open_zarr(path: str, version: tuple[Any, ...]) -> Any:
    return zarr.open_array(zarr_store(store_path(path)), mode="r")
