"""Input fingerprints, to detect changes between runs."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import numpy as np

from gridstride.pipeline.storage.describe import METADATA, ArrayInfo, chunk_keys
from gridstride.pipeline.storage.paths import store_path, version
from gridstride.pipeline.storage.remote import Remote


def identity(info: ArrayInfo) -> dict[str, Any]:
    """Identity of an input: its place and its metadata."""
    digest = hashlib.sha256()
    for name in METADATA:
        file = store_path(info.path) / name
        if file.is_file():
            digest.update(file.read_bytes())
    return {"path": info.path, "shape": info.shape, "dtype": info.dtype.name, "metadata": digest.hexdigest()}


def fingerprint(info: ArrayInfo, sample: int = 64) -> dict[str, list[int | str] | None]:
    """Version of up to `sample` chunks, evenly spread, by chunk index "i.j.k"; None for a missing chunk.

    Hashing terabytes would take too long; rewritten chunks have other sizes and times (objects: another tag).
    """
    counts = [ceil(n / c) if c else 0 for n, c in zip(info.shape, info.write_unit, strict=True)]
    total = int(np.prod(counts, dtype=object))
    flat = sorted({i * total // sample for i in range(sample)}) if total else []
    chosen = [tuple(int(i) for i in np.unravel_index(n, counts)) for n in flat]
    keys = chunk_keys(info.path, chosen)
    root = store_path(info.path)

    def look(key: str) -> list[int | str] | None:
        try:
            return version(root / key)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(16 if isinstance(root, Remote) else 1) as several:
        found = list(several.map(look, keys))
    return {".".join(map(str, index)): what for index, what in zip(chosen, found, strict=True)}
