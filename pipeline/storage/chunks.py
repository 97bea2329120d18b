"""Which chunks of an array are stored. One that is absent is legal in Zarr and reads as the fill value, which is said;
chunks that do not lie where the metadata says would read as the fill value too, and are refused.

Where there are shards, they are counted; chunks absent inside a shard are not.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from itertools import product
from math import ceil, prod
from pathlib import Path

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.describe import ArrayInfo, chunk_keys
from gridstride.pipeline.storage.paths import StorePath, store_path
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.storage.tidy import is_litter

MOST = 10_000_000  # chunks that are counted: a byte of memory each
SECONDS = 20.0  # that counting may take: a listing of a slow disk or store
# A key that some encoding gives to a chunk, perhaps below other folders or with a suffix.
LIKE = re.compile(r"(?:.*/)?(?:c[./])?\d+(?:[./]\d+)*(?:\.[A-Za-z]\w*)*")


class NotCounted(Exception):
    """Why chunks were not counted."""


class Keys:
    """The keys of an array's chunks. zero: that of the first; counts: of chunks along each axis"""

    def __init__(self, zero: str, counts: tuple[int, ...]) -> None:
        self.zero, self.counts = zero, counts
        self._pattern = re.compile("(0|[1-9][0-9]*)".join(map(re.escape, zero.split("0"))))

    def number(self, key: str) -> int | None:
        """The number of the chunk of a key, in C order; None if it is no chunk's."""
        found = self._pattern.fullmatch(key)
        if found is None:
            return None
        number = 0
        for text, count in zip(found.groups(), self.counts, strict=True):
            if int(text) >= count:
                return None
            number = number * count + int(text)
        return number

    def leads(self, key: str) -> bool:
        """Whether a key is that of a folder on the way to chunks."""
        rest = self.zero.split("/")[key.count("/") + 1 :]
        return bool(rest) and self.number("/".join([key, *rest])) is not None


def check_chunks(info: ArrayInfo, missing: str = "fill") -> list[str]:
    """What to say of chunks of an input that are absent, a line each; none if all are stored.

    missing: error: absent chunks are refused; fill: they are what Zarr says, the fill value
    Raises UsageError for those, for chunks that lie where the metadata does not say, and for what lies in a chunk's
    place and is no file.
    """
    counts = tuple(ceil(n / unit) for n, unit in zip(info.shape, info.write_unit, strict=True))
    total, unit, value = prod(counts), "shards" if info.shards else "chunks", info.fill_value
    keys = Keys(chunk_keys(info.path, [(0,) * info.ndim])[0], counts)
    fill = "0: the metadata has no fill value" if value is None else f"fill value {value}"
    both = info.zarr_format == 3 and (store_path(info.path) / ".zarray").is_file()
    notes = ["input: zarr.json is read; .zarray, which is there too, is not"] if both else []
    try:
        stored, other = _stored(store_path(info.path), keys, missing == "fill")
    except NotCounted as reason:
        if missing == "error":
            raise UsageError(f"{info.path}: absent {unit} cannot be found, {reason}: use --missing fill") from None
        return [*notes, f"input: its {total} {unit} were not counted, {reason}; absent ones are read as {fill}"]
    absent = stored.count(0)
    if not absent:
        return notes
    if absent == total and other:
        raise UsageError(_misplaced(info, keys, other, unit))
    text = f"{absent} of {total} {unit} absent"
    if missing == "error":
        index = np.unravel_index(stored.find(0), counts)
        key = chunk_keys(info.path, [tuple(map(int, index))])[0]
        raise UsageError(f"{info.path}: {text}, such as {key}: restore them, or use --missing fill")
    also = f" ({other} looks like a chunk and is none of them)" if other else ""
    return [*notes, f"input: {text}, read as {fill}{also}"]


def _stored(root: StorePath, keys: Keys, hurried: bool) -> tuple[bytearray, str]:
    """A 1 for each chunk that is stored, and a file that looks like a chunk and is none of them, or ""."""
    total, end = prod(keys.counts), time.monotonic() + SECONDS
    if isinstance(root, Remote) and root.read_only:
        raise NotCounted("because a web server does not list its files")
    if total > MOST:
        raise NotCounted(f"because they are more than {MOST:,}")
    stored, other = bytearray(total), ""
    files = _objects(root) if isinstance(root, Remote) else _files(root, keys)
    for seen, key in enumerate(files):
        if hurried and seen % 256 == 0 and time.monotonic() > end:
            raise NotCounted(f"because listing them takes longer than {SECONDS:g} s")
        number = keys.number(key)
        if number is not None:
            stored[number] = 1
        elif not other and LIKE.fullmatch(key):
            other = key
    return stored, other


def _objects(root: Remote) -> Iterator[str]:
    skip = len(root.key) + 1 if root.key else 0
    for key in root.each_key():
        if not any(map(is_litter, key[skip:].split("/"))):
            yield key[skip:]


def _files(root: Path, keys: Keys) -> Iterator[str]:
    """Keys of the files in a folder. Raises UsageError for what is in a chunk's place and is no file."""
    deepest, waiting = keys.zero.count("/") + 3, [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if is_litter(entry.name):
                        continue
                    key = folder + entry.name
                    kind = "folder" if entry.is_dir() else "file" if entry.is_file() else "other"
                    wanted = "file" if keys.number(key) is not None else "folder" if keys.leads(key) else kind
                    if kind != wanted:
                        raise UsageError(_wrong_kind(root / key, kind, wanted))
                    if kind == "folder" and key.count("/") < deepest:
                        waiting.append(f"{key}/")
                    elif kind == "file":
                        yield key
        except OSError as error:
            raise UsageError(f"{error.filename or root / folder} cannot be read: {error.strerror}") from None


def _wrong_kind(place: Path, kind: str, wanted: str) -> str:
    """What to say of what is in the place of a chunk, or of a folder of chunks, and is something else."""
    role = "a chunk" if wanted == "file" else "a folder of chunks"
    if place.is_symlink() and kind == "other":
        return f"{place}, in the place of {role}, is a link to {place.readlink()}, which is not there: restore that"
    found = "no file" if kind == "other" else f"a {kind}"
    return f"{place}, in the place of {role}, is {found}: the metadata is that of other data, or it must be moved away"


def _misplaced(info: ArrayInfo, keys: Keys, other: str, unit: str) -> str:
    """What to say where no chunk lies where the metadata says, and another file looks like one."""
    cure = "move them there, or correct the metadata"
    for name, separator in product(("default", "v2"), "/."):
        zeros = ["c"] * (name == "default") + ["0"] * info.ndim
        if Keys(separator.join(zeros), keys.counts).number(other) is None:
            continue
        if info.zarr_format == 3 and (store_path(info.path) / ".zarray").is_file():
            cure = "remove zarr.json if .zarray is the metadata of this data"
        elif info.zarr_format == 3:
            setting = f'"chunk_key_encoding": {{"name": "{name}", "configuration": {{"separator": "{separator}"}}}}'
            cure = f"set {setting} in zarr.json"
        elif name == "v2":
            cure = f'set "dimension_separator": "{separator}" in .zarray'
    return (
        f"{info.path}: none of its {unit} is where its metadata says: expected keys such as {keys.zero}, found {other} "
        f"(another separator or chunk key encoding): {cure}"
    )
