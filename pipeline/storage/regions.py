"""Reading and writing of regions of Zarr arrays.

tensorstore decodes and encodes four to five times faster than zarr-python, writes each chunk under another name and
renames it once it is on disk. Arrays that it cannot read (a codec it lacks) are read through zarr-python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import zarr

from gridstride.pipeline.errors import first_line
from gridstride.pipeline.storage.connections import tensorstore_settings
from gridstride.pipeline.storage.describe import STATE_AXES, ArrayInfo, chunk_key, describe, stamp
from gridstride.pipeline.storage.paths import ends_if_lost, kvstore, store_path, sync_folder, zarr_store
from gridstride.pipeline.storage.remote import Remote


class Regions:
    """Reads and writes regions of one array. engine: the library that does it"""

    def __init__(self, path: str) -> None:
        self.root = root = store_path(path)
        try:
            context = tensorstore_context()
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
                self._sync(start, data.shape)

    def _sync(self, start: Sequence[int], shape: Sequence[int]) -> None:
        """Sync chunks to the disk: zarr-python renames them into place without doing so."""
        if isinstance(self.root, Remote):
            return
        path = str(self.root)
        info = _info(path, stamp(path))
        spans = zip(start, shape, info.write_unit, strict=True)
        for index in product(*(range(a // u, ceil((a + n) / u)) for a, n, u in spans)):
            file = self.root / chunk_key(path, index)
            if file.exists():  # chunks that hold nothing but the fill value are not written
                handle = os.open(file, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)


@lru_cache(maxsize=1)
def tensorstore_context() -> Any:
    """tensorstore's settings, made once per process: retries, and how files are synced and locked."""
    settings = tensorstore_settings()  # first: tensorstore reads the environment when it is imported
    import tensorstore as ts

    # The defaults, named: each file is synced before it is renamed into place, and locked by the system, which drops
    # the locks of a process that was killed. (Mode "lockfile" leaves them, and they block the next writer.)
    return ts.Context({"file_io_sync": True, "file_io_locking": {"mode": "os"}, **settings})


def open_regions(path: str) -> Regions:
    """`Regions` of an array, opened once per process."""
    return _opened(path, stamp(path))


@lru_cache(maxsize=16)
def _opened(path: str, version: tuple[Any, ...]) -> Regions:
    with ends_if_lost(store_path(path), writing=False):
        return Regions(path)


def read_wrapped(path: str, start: Sequence[int], stop: Sequence[int]) -> np.ndarray:
    """Read a region whose indices may lie below 0 or past the end, where the grid repeats itself."""
    source = open_regions(path)
    axes: list[list[tuple[int, int, int]]] = []  # (offset in the result, start, stop) of each piece of an axis
    for a, b, n in zip(start, stop, source.shape, strict=True):
        pieces, at = [], a
        while at < b:
            inside = at % n
            take = min(b - at, n - inside)
            pieces.append((at - a, inside, inside + take))
            at += take
        axes.append(pieces)
    if not all(axes):  # nothing is read, as of a block that lies outside of the array
        return np.empty([b - a for a, b in zip(start, stop, strict=True)], _info(path, stamp(path)).dtype)
    if all(len(pieces) == 1 for pieces in axes):
        return source.read([p[0][1] for p in axes], [p[0][2] for p in axes])
    parts = {combo: source.read([p[1] for p in combo], [p[2] for p in combo]) for combo in product(*axes)}
    result = np.empty([b - a for a, b in zip(start, stop, strict=True)], next(iter(parts.values())).dtype)
    for combo, part in parts.items():
        result[tuple(slice(offset, offset + hi - lo) for offset, lo, hi in combo)] = part
    return result


def unreadable_chunks(path: str, start: Sequence[int], stop: Sequence[int]) -> Iterator[tuple[str, str]]:
    """(store key, reason) of each chunk in a region, modulo the array's shape, that cannot be read."""
    info = describe(path, most=STATE_AXES)
    source = open_regions(path)
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


def sync_chunk_folders(path: str, start: Sequence[int], stop: Sequence[int]) -> None:
    """Make the folder entries of a region's chunks durable, up to the array's own folder."""
    root = store_path(path)
    if isinstance(root, Remote):
        return
    info = _info(path, stamp(path))
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
def _info(path: str, version: tuple[Any, ...]) -> ArrayInfo:
    return describe(path, most=STATE_AXES)
