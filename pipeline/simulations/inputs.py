"""Files that a simulation reads while it computes: that they are there, and that they stay what they were."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.storage import fingerprints, paths
from gridstride.pipeline.storage.chunks import check_chunks
from gridstride.pipeline.storage.describe import chunk_keys, describe
from gridstride.pipeline.storage.journal import json_bytes
from gridstride.pipeline.storage.remote import Remote
from gridstride.workers.models.base import Model


def check_inputs(case: Model, source: str) -> None:
    """Raise UsageError unless all inputs of a case are there and have their shape, (z, y, x) or (y, x)."""
    for wanted in case.inputs():
        field = f"{source}: {wanted.field}"
        try:
            if Path(wanted.path).suffix == ".npy":
                array: Any = np.load(wanted.path, mmap_mode="r", allow_pickle=False)
            else:
                array = describe(wanted.path)
        except (OSError, ValueError) as error:
            raise UsageError(f"{field} cannot be read: {first_line(error)}") from None
        if tuple(array.shape) != wanted.shape or array.dtype.kind not in "buif":
            axes = "(z, y, x)" if len(wanted.shape) == 3 else "(y, x)"
            found = f"{array.dtype} of shape {tuple(array.shape)}"
            raise UsageError(f"{field}: {wanted.path} is {found}: expected numbers of shape {wanted.shape}, {axes}")


def input_notes(case: Model, missing: str) -> list[str]:
    """What to say of chunks that are absent in the arrays that a case reads; see `check_chunks`."""
    arrays = {wanted.path: wanted.field for wanted in case.inputs() if Path(wanted.path).suffix != ".npy"}
    return [f"{field}: {note}" for path, field in arrays.items() for note in check_chunks(describe(path), missing)]


def input_versions(case: Model) -> dict[str, str]:
    """What tells the content of each input from any other, by field of the case."""
    return {wanted.field: _version(wanted.path) for wanted in case.inputs()}


def _version(path: str) -> str:
    """Of a .npy file its bytes, of a Zarr array its metadata and the size and time of every chunk."""
    if Path(path).suffix == ".npy":
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return chunks_version(path)


def chunks_version(path: str, first: tuple[int, ...] = ()) -> str:
    """Changes when a Zarr array's metadata do, or when one of its chunks is written again.

    first: the index along leading axes of the chunks that count; by default all do. Content is not read: it may be
    larger than any memory.
    """
    info = describe(path)
    counts = [ceil(n / unit) for n, unit in zip(info.shape, info.write_unit, strict=True)]
    indices = list(product(*((i,) for i in first), *(range(count) for count in counts[len(first) :])))
    root = paths.store_path(info.path)

    def look(key: str) -> list[int | str] | None:
        try:
            return paths.version(root / key)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(16 if isinstance(root, Remote) else 1) as several:
        found = list(several.map(look, chunk_keys(info.path, indices)))
    content = [fingerprints.identity(info), found]
    return hashlib.sha256(json_bytes(content)).hexdigest()[:16]
