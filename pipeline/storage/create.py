"""New Zarr arrays, and the checks before one is made: is there room, and may the present content be deleted?"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.describe import METADATA, STATE_AXES, ArrayInfo, describe
from gridstride.pipeline.storage.paths import StorePath, names, store_path, zarr_store
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.text import megabytes

# Codecs, with their lowest and highest level.
LEVELS = {"lz4": (0, 9), "zstd": (1, 22), "blosc-zstd": (0, 9), "gzip": (0, 9), "none": (0, 0)}


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
    """Create an empty Zarr v3 array; all that is at the place already stays, except `zarr.json`."""
    # A chunk of a zero-length axis still needs a length.
    chunks = tuple(max(1, int(n)) for n in chunks)
    names = None if dimension_names is None or not any(dimension_names) else list(dimension_names)
    zarr.create_array(
        store=zarr_store(store_path(where), read_only=False),
        shape=tuple(shape),
        dtype=dtype,
        chunks=chunks,
        shards=None if shards is None else tuple(shards),
        compressors=compressor(codec, np.dtype(dtype)),
        fill_value=0,
        dimension_names=names,
        attributes=attributes or {},
        zarr_format=3,
        overwrite=False,
    )
    return describe(where, most=STATE_AXES)


def compressor(codec: str, dtype: np.dtype) -> Any:
    """zarr-python's codec for NAME or NAME:LEVEL, or None. Raises UsageError for a codec that we do not know."""
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    name, colon, level = codec.partition(":")
    if name not in LEVELS:
        raise UsageError(f"unknown codec {codec!r}: expected one of {', '.join(LEVELS)}, optionally with :LEVEL")
    lowest, highest = LEVELS[name]
    if colon and not (level.isdecimal() and lowest <= int(level) <= highest):
        what = f"{name}:LEVEL, with a level from {lowest} to {highest}" if highest else f"{name}, which has no levels"
        raise UsageError(f"codec {codec!r} has no such level: expected {what}")
    if name in ("lz4", "blosc-zstd"):
        cname: Any = name.removeprefix("blosc-")
        return BloscCodec(cname=cname, clevel=int(level or 5), shuffle="bitshuffle", typesize=dtype.itemsize)
    if name == "zstd":
        return ZstdCodec(level=int(level or 3))
    return GzipCodec(level=int(level or 5)) if name == "gzip" else None


def is_removable(where: StorePath) -> bool:
    """Whether --overwrite may delete what a place holds: a Zarr store, our unfinished output, or an empty folder."""
    if not where.is_dir():
        return False
    found = names(where)
    return not found or bool(found & {*METADATA, ".gridstride"})


def check_disk(where: StorePath, needed: int, what: str = "result") -> None:
    """Raises UsageError if the uncompressed result does not fit on the disk that it is written to."""
    if isinstance(where, Remote):
        return  # an object store does not say how much room it has
    parent = next(p for p in [where, *where.parents] if p.exists())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise UsageError(
            f"{parent} has {megabytes(free)} free and the {what} takes up to {megabytes(needed)} uncompressed: "
            "free some space, choose another folder, or use --ignore-disk if it compresses well"
        )
