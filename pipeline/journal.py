"""What a job has done, on disk beside its result, so that it can be killed at any moment and resumed.

    OUT/.gridstride/
        job.json         what determines every byte of the result; its hash is the job's identity
        operator.json    the operator, with operator.npz for its arrays
        blocks/I.J.K     one empty file per finished block, made after the block's data is on disk
        lock             held while a client writes here
        summary.json     the last run's figures

A block's marker means: these bytes are on disk and final. Dask's own memory of what is finished is not used, for it
forgets when the worker that did the work dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.stores import durable_write, json_bytes, sync_folder

FOLDER = ".gridstride"


def job_hash(job: dict[str, Any]) -> str:
    """Identity of a job: a hash of everything that determines the result's bytes, the blocks aside."""
    return hashlib.sha256(json_bytes(job)).hexdigest()[:16]


class Journal:
    """The journal of the job that writes `out`."""

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)
        self.folder = self.out / FOLDER
        self.blocks = self.folder / "blocks"
        self._lock: Any = None

    def exists(self) -> bool:
        return (self.folder / "job.json").exists()

    def read(self) -> dict[str, Any]:
        """The stored job: {"identity": ..., "hash": ..., "blocks": ..., "command": ...}."""
        try:
            return json.loads((self.folder / "job.json").read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{self.out} holds no gridstride job to resume") from None
        except ValueError as error:
            raise UsageError(
                f"{self.folder / 'job.json'} cannot be read ({error}): --overwrite starts afresh"
            ) from None

    def begin(self, job: dict[str, Any]) -> None:
        """Record a new job. From here on the folder is this job's."""
        self.blocks.mkdir(parents=True, exist_ok=True)
        durable_write(self.folder / "job.json", json_bytes(job))
        sync_folder(self.out)
        sync_folder(self.out.parent)

    def lock(self) -> None:
        """Make sure that no other client writes here; the lock goes with the process, however it ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another gridstride is writing {self.out}: wait for it, or stop it first") from None

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def done(self) -> set[tuple[int, ...]]:
        """Indices of the finished blocks."""
        if not self.blocks.exists():
            return set()
        with os.scandir(self.blocks) as entries:
            return {tuple(map(int, e.name.split("."))) for e in entries if not e.name.endswith(".tmp")}

    def has(self, index: tuple[int, ...]) -> bool:
        """Whether a block is finished."""
        return self.marker(index).exists()

    def marker(self, index: tuple[int, ...]) -> Path:
        return self.blocks / ".".join(map(str, index))

    def mark(self, index: tuple[int, ...]) -> None:
        """Record that a block's data is on disk. Call it after the data was synced, never before."""
        handle = os.open(self.marker(index), os.O_CREAT | os.O_WRONLY, 0o644)
        os.fsync(handle)
        os.close(handle)
        sync_folder(self.blocks)

    def write_summary(self, summary: dict[str, Any]) -> None:
        durable_write(self.folder / "summary.json", json_bytes(summary))


@lru_cache(maxsize=16)
def journal(out: str) -> Journal:
    """The journal of `out`, one object per process."""
    return Journal(out)
