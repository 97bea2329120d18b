"""Where stores are: in a folder, or in an object store or on a web server (`remote`).

A folder is a `pathlib.Path`; a `Remote` has those of its methods that we use. What the two do differently is here. A
file is made durable by writing it beside its place, syncing it, renaming it and syncing the folder. An object store
knows neither rename nor sync and needs neither: an object is seen whole or not at all, by everyone, and is durable once
the request that put it is answered.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage.remote import SCHEMES, Remote, RemoteError, parse

Place = Path | Remote

# What every later write would meet too, and what to do about it.
LOST = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
}


def place(where: str | Path | Remote) -> Place:
    """The place that a path or an address names. Raises UsageError for an address that we do not take."""
    if isinstance(where, str) and "://" in where:
        return parse(where)
    if isinstance(where, Path) and where.parts[:1] and where.parts[0].rstrip(":") in SCHEMES and ":" in where.parts[0]:
        raise UsageError(f"{where} is an address that became a path on the way: give it as text")
    return where if isinstance(where, Remote) else Path(where)


def absolute(where: str | Path | Remote) -> str:
    """A place as text that means the same in every process."""
    return str(place(where).resolve())


def version(where: Place) -> list[int | str]:
    """Changes when a file or an object is written again. Raises FileNotFoundError if it is not there."""
    if isinstance(where, Remote):
        head = where.head()
        return [head.size, head.tag]
    status = where.stat()
    return [status.st_size, status.st_mtime_ns]


def names(where: Place) -> set[str]:
    """Names of what is directly in a place; none if there is no such place."""
    if isinstance(where, Remote):
        return where.names()
    try:
        with os.scandir(where) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def remove(where: Place) -> None:
    """Delete a file or an object, or all that is in a place."""
    if isinstance(where, Remote):
        where.clear()
        where.unlink()
    elif where.is_dir() and not where.is_symlink():
        shutil.rmtree(where)
    else:
        where.unlink()


@contextmanager
def ends_if_lost(where: Place, writing: bool = True) -> Iterator[None]:
    """Raises JobFailed, which ends a job, for an error that all other blocks would meet too: a full disk, a store that
    does not answer or says no. Another error, of a damaged chunk for one, passes."""
    try:
        yield
    except JobFailed:
        raise
    except Exception as error:
        if isinstance(where, Remote):
            if where.is_lost(error):
                raise RemoteError(f"{where.explain(str(error))}; then go on with gridstride resume") from error
            raise
        found = re.search(r"os_error_code='(\d+)'", str(error))  # tensorstore's way to say it
        code = int(found[1]) if found else getattr(error, "errno", None)
        if writing and code in LOST:
            what = f"{where} cannot be written ({os.strerror(code)}): {LOST[code]}, then go on with gridstride resume"
            raise JobFailed(what) from error
        raise


def zarr_store(where: Place, read_only: bool = True) -> Any:
    """A place as zarr-python takes it."""
    return where.zarr_store(read_only) if isinstance(where, Remote) else str(where)


def kvstore(where: Place) -> dict[str, Any]:
    """A place as tensorstore takes it."""
    return where.kvstore() if isinstance(where, Remote) else {"driver": "file", "path": f"{where}/"}


def durable_write(where: Place, data: bytes) -> None:
    """Write a file or an object so that after a crash it is either whole or not there."""
    if isinstance(where, Remote):
        where.write_bytes(data)
        return
    temporary = where.with_name(f"{where.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(where)
    sync_folder(where.parent)


def tag_of(where: Place) -> str:
    """What `replace` wants to know of what is there; "" if there is nothing, and for files."""
    try:
        return where.head().tag if isinstance(where, Remote) else ""
    except FileNotFoundError:
        return ""


def replace(where: Place, data: bytes, tag: str) -> str:
    """Write what one client at a time owns, if nobody else has since we had the `tag`; gives the new one.

    Raises JobFailed if somebody has: a client that was asleep while another took over spoils nothing. (In a folder the
    lock cannot be lost.)
    """
    if not isinstance(where, Remote):
        durable_write(where, data)
        return ""
    put = where.write_bytes(data, after=tag)
    if put:
        return put
    tag = tag_of(where)
    if tag and where.read_bytes() == data:  # it was put, and the answer lost
        return tag
    raise JobFailed(f"{where} was written by another gridstride, which took over")


def sync_folder(where: Place) -> None:
    """Make a folder's entries durable."""
    if isinstance(where, Remote):
        return
    handle = os.open(where, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
