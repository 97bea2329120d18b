"""Places of stores: a folder, or a key of an object store or web server (`remote`).

A folder is a `pathlib.Path`; a `Remote` has those of its methods that we use. This file has what the two do
differently. A file is made durable by writing it under another name, syncing it, renaming it and syncing the folder. An
object store has neither rename nor sync and needs neither: every reader sees an object whole or not at all, and it is
durable once the request that put it is answered.
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
from gridstride.pipeline.text import shown

StorePath = Path | Remote
NAME_BYTES = 255  # of a file's or a folder's name

# Errors that every later write would meet too, and what to do about each.
LOST = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
}


def store_path(where: str | Path | Remote) -> StorePath:
    """The place that a path or an address names. Raises UsageError for an address that is not supported."""
    if not isinstance(where, str | Path | Remote) or where == "":
        raise UsageError(f"{shown(where)} is no place: expected a path, or an address such as s3://bucket/key")
    if isinstance(where, str) and "://" in where:
        return parse(where)
    if isinstance(where, Path) and where.parts[:1] and where.parts[0].rstrip(":") in SCHEMES and ":" in where.parts[0]:
        raise UsageError(f"{where} is an address inside a Path: give it as a string")
    if isinstance(where, Remote):
        return where
    if any("\0" in name or len(os.fsencode(name)) > NAME_BYTES for name in Path(where).parts):
        raise UsageError(
            f"{shown(str(where))} is no path: a name in it is longer than {NAME_BYTES} bytes, or has a NUL"
        )
    return at_home(where)


def at_home(where: str | Path) -> Path:
    """The path of a file or a folder, with ~ at its beginning as the home folder."""
    return Path(os.path.expanduser(where))  # noqa: PTH111 (Path's own fails where there is no such user)


def absolute(where: str | Path | Remote) -> str:
    """A place as text that names the same place in every process."""
    return str(store_path(where).resolve())


def version(where: StorePath) -> list[int | str]:
    """Size, and time or tag, of a file or object, to detect that it was rewritten. Raises FileNotFoundError."""
    if isinstance(where, Remote):
        head = where.head()
        return [head.size, head.tag]
    status = where.stat()
    return [status.st_size, status.st_mtime_ns]


def names(where: StorePath) -> set[str]:
    """Names of the entries directly in a place; none if there is no such place."""
    if isinstance(where, Remote):
        return where.names()
    try:
        with os.scandir(where) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def remove(where: StorePath) -> None:
    """Delete a file or an object, or everything in a place."""
    if isinstance(where, Remote):
        where.clear()
        where.unlink()
    elif where.is_dir() and not where.is_symlink():
        shutil.rmtree(where)
    else:
        where.unlink()


@contextmanager
def ends_if_lost(where: StorePath, writing: bool = True) -> Iterator[None]:
    """Raises JobFailed, which ends a job, for an error that all other blocks would meet too: a full disk, a store that
    does not answer or denies access. Other errors, such as a damaged chunk's, pass unchanged."""
    try:
        yield
    except JobFailed:
        raise
    except Exception as error:
        if isinstance(where, Remote):
            if where.is_lost(error):
                raise RemoteError(f"{where.explain(str(error))}; then run gridstride resume") from error
            raise
        found = re.search(r"os_error_code='(\d+)'", str(error))  # as tensorstore reports it
        code = int(found[1]) if found else getattr(error, "errno", None)
        if writing and code in LOST:
            what = f"{where} cannot be written ({os.strerror(code)}): {LOST[code]}, then run gridstride resume"
            raise JobFailed(what) from error
        raise


def zarr_store(where: StorePath, read_only: bool = True) -> Any:
    """A place as a store of zarr-python."""
    from zarr.storage import LocalStore

    from gridstride.pipeline.storage.tidy import Tidy

    return Tidy(where.zarr_store(read_only) if isinstance(where, Remote) else LocalStore(where, read_only=read_only))


def kvstore(where: StorePath) -> dict[str, Any]:
    """A place as a key-value store of tensorstore."""
    return where.kvstore() if isinstance(where, Remote) else {"driver": "file", "path": f"{where}/"}


def durable_write(where: StorePath, data: bytes) -> None:
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


def tag_of(where: StorePath) -> str:
    """The tag that `replace` compares; "" for a missing object, and for files."""
    try:
        return where.head().tag if isinstance(where, Remote) else ""
    except FileNotFoundError:
        return ""


def replace(where: StorePath, data: bytes, tag: str) -> str:
    """Write an object that one client at a time owns, if its tag is still `tag`; returns the new tag.

    Raises JobFailed if another client wrote it since: a client that was suspended while another took over changes
    nothing. (In a folder the lock cannot be lost.)
    """
    if not isinstance(where, Remote):
        durable_write(where, data)
        return ""
    put = where.write_bytes(data, after=tag)
    if put:
        return put
    tag = tag_of(where)
    if tag and where.read_bytes() == data:  # it was put, but the answer was lost
        return tag
    raise JobFailed(f"{where} was written by another gridstride, which took over")


def sync_folder(where: StorePath) -> None:
    """Make a folder's entries durable."""
    if isinstance(where, Remote):
        return
    handle = os.open(where, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
