"""The journal of a job, on disk beside its result, so that it can be killed at any moment and resumed.

    OUT/.gridstride/
        job.json         the job: everything that determines the result's bytes, and its hash, which is its identity
        operator.json    the operator, with operator.npz for its arrays
        sweep.json       the sweep as workers read it, with sweep.npz for its arrays
        blocks/HASH/I.J.K  one empty file per finished block, or box of blocks (I0-I1.J.K0-K1, both ends counted), made
                         after its data is on disk. A task of a job that was replaced marks nothing in the new one
        reports/         of a sweep that only reports: each block's report, written before its marker
        first-N/         the same files for sweeps that come before the one that writes the result
        lock             held while a client writes here
        summary.json     the last run's figures
        events.jsonl     events of all runs, a line for each; spans.jsonl: which thread was in which stage when

In an object store these are objects. A folder's files are synced before their marker is made; a store's objects are
durable, and seen by all, once the request that put them is answered, so a marker is put after those answers: no
rename, no sync.

A block's marker means: these bytes are on disk and final. Dask's own record of finished tasks is not used, because Dask
drops it when the worker that did the work is lost.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage.lock import FileLock, ObjectLock, lock
from gridstride.pipeline.storage.paths import (
    StorePath,
    durable_write,
    ends_if_lost,
    names,
    remove,
    store_path,
    sync_folder,
)
from gridstride.pipeline.storage.remote import Remote

FOLDER = ".gridstride"

Index = tuple[int, ...]


def json_bytes(value: Any) -> bytes:
    """A value as JSON: the same value always gives the same bytes, which are compared and hashed."""
    return json.dumps(value, indent=1, sort_keys=True).encode()


def job_hash(job: dict[str, Any]) -> str:
    """Identity of a job: a hash of everything that determines the result's bytes, except the blocks."""
    return hashlib.sha256(json_bytes(job)).hexdigest()[:16]


def marker_name(first: Index, last: Index | None = None) -> str:
    """Name of the marker of a block, or of the box of blocks from `first` to `last`, both included: 4.0-7.2."""
    ends = zip(first, last or first, strict=True)
    return ".".join(str(a) if a == b else f"{a}-{b}" for a, b in ends)


def marked_box(name: str) -> tuple[Index, Index]:
    """First and last block of the box that a marker names."""
    ends = [part.partition("-") for part in name.split(".")]
    return tuple(int(a) for a, _, _ in ends), tuple(int(b or a) for a, _, b in ends)


class Journal:
    """The journal of the job that writes `out`, or of one of its first sweeps (`part`)."""

    def __init__(self, out: str | StorePath, part: str = "") -> None:
        self.out = store_path(out)
        self.folder = self.out / FOLDER / part if part else self.out / FOLDER
        self._hash = ""
        self._lock: FileLock | ObjectLock | None = None

    def exists(self) -> bool:
        return (self.folder / "job.json").is_file()

    def is_simulation(self) -> bool:
        return self.exists() and self.read().get("kind") == "simulation"

    def read(self) -> dict[str, Any]:
        """The stored job: {"identity": ..., "hash": ..., "blocks": ..., "command": ...}."""
        try:
            return json.loads((self.folder / "job.json").read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{self.out} holds no gridstride job to resume") from None
        except ValueError as error:
            raise UsageError(
                f"{self.folder / 'job.json'} cannot be read ({error}): use --overwrite to start again"
            ) from None

    @property
    def hash(self) -> str:
        """The job's identity. Raises UsageError if there is no job."""
        if not self._hash:
            self._hash = Journal(self.out).read()["hash"]
        return self._hash

    @property
    def blocks(self) -> StorePath:
        """The folder of the job's markers."""
        return self.folder / "blocks" / self.hash

    def is_current(self, job: str) -> bool:
        """Whether the job of a hash still owns the output."""
        try:
            return json.loads((self.out / FOLDER / "job.json").read_bytes())["hash"] == job
        except (FileNotFoundError, ValueError, KeyError):
            return False

    def parts(self) -> list[str]:
        """The sweeps before the one that writes the result, in order."""
        numbers = (name.removeprefix("first-") for name in names(self.folder) if name.startswith("first-"))
        return [f"first-{number}" for number in sorted(int(number) for number in numbers if number.isdecimal())]

    def make_folder(self) -> StorePath:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder

    def begin_sweep(self) -> None:
        """Create the folder for the markers of a sweep of this job."""
        with ends_if_lost(self.out):
            self.blocks.mkdir(parents=True, exist_ok=True)
            sync_folder(self.blocks.parent)
            sync_folder(self.folder)

    def begin(self, job: dict[str, Any]) -> None:
        """Record a new job, which owns the folder from now on.

        job: with its "hash", or else everything that identifies it
        """
        job = {"hash": job_hash(job), **job}
        self._hash = job["hash"]
        with ends_if_lost(self.out):
            self.blocks.mkdir(parents=True, exist_ok=True)
            durable_write(self.folder / "job.json", json_bytes(job))
            sync_folder(self.out)
            sync_folder(self.out.parent)

    def lock(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Take the output's lock. Raises UsageError if another client has it. say: as in `lock.lock`"""
        self._lock = lock(self.folder / "lock", say)

    def check_lock(self) -> None:
        """Raises JobFailed if the lock was lost: see `lock`."""
        if self._lock is not None:
            self._lock.check()

    def unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @contextmanager
    def must_stay(self) -> Iterator[None]:
        """Raises JobFailed for what goes wrong because the output was removed or moved meanwhile."""
        try:
            yield
        except Exception as error:
            if isinstance(self.out, Remote) or self.exists():
                raise
            raise JobFailed(f"{self.out} was removed or moved while it was written") from error

    def forget(self) -> None:
        """Delete the markers, then the job: in this order a kill leaves no marker of data that is gone."""
        self._hash = ""
        for name in ("blocks", "job.json"):
            if (self.folder / name).exists():
                remove(self.folder / name)
                sync_folder(self.folder)

    def clear(self) -> None:
        """Delete everything at the output except the lock, which the caller must hold."""
        self.forget()
        if isinstance(self.out, Remote):
            self.out.clear(keep=f"{FOLDER}/lock")
            return
        for folder, kept in ((self.folder, "lock"), (self.out, FOLDER)):
            for name in names(folder) - {kept}:
                remove(folder / name)

    def markers(self) -> Iterator[str]:
        """Names of all markers."""
        if not self._hash and not Journal(self.out).exists():
            return iter(())
        return (name for name in names(self.blocks) if not name.endswith(".tmp"))

    # --- reports of a sweep that only reports ---
    def write_reports(self, first: Index, last: Index, reports: Sequence[np.ndarray]) -> None:
        """Store the reports of a block, or of a box of blocks. Call it before the block is marked."""
        packed = BytesIO()
        np.savez_compressed(packed, *reports)  # histograms are mostly zeros
        with ends_if_lost(self.out):
            (self.folder / "reports").mkdir(parents=True, exist_ok=True)
            durable_write(self.folder / "reports" / f"{marker_name(first, last)}.npz", packed.getvalue())

    def reports(self) -> Iterator[np.ndarray]:
        """The reports of all marked blocks, in the order of their names, one at a time."""
        for name in sorted(self.markers()):
            with np.load(BytesIO((self.folder / "reports" / f"{name}.npz").read_bytes()), allow_pickle=False) as stored:
                for key in stored.files:
                    yield stored[key]

    def done(self) -> set[Index]:
        """Indices of the finished blocks."""
        boxes = (marked_box(name) for name in self.markers())
        return {i for box in boxes for i in product(*(range(a, b + 1) for a, b in zip(*box, strict=True)))}

    def done_mask(self, grid: Sequence[int]) -> np.ndarray:
        """Which blocks of a grid are finished, in one byte for each; `done` takes about a hundred."""
        mask = np.zeros(grid, bool)
        for name in self.markers():
            mask[tuple(slice(a, b + 1) for a, b in zip(*marked_box(name), strict=True))] = True
        return mask

    def has(self, first: Index, last: Index | None = None) -> bool:
        """Whether a block, or a box of them, was finished under this name."""
        return self.marker(first, last).is_file()

    def marker(self, first: Index, last: Index | None = None) -> StorePath:
        return self.blocks / marker_name(first, last)

    def mark(self, first: Index, last: Index | None = None) -> None:
        """Record that the data of a block, or of the box of blocks from `first` to `last`, is on disk. Call it only
        after the data was synced."""
        marker = self.marker(first, last)
        if isinstance(marker, Remote):
            marker.write_bytes(b"")
            return
        with ends_if_lost(self.out):
            handle = os.open(marker, os.O_CREAT | os.O_WRONLY, 0o644)
            os.fsync(handle)
            os.close(handle)
            sync_folder(self.blocks)

    def write_summary(self, summary: dict[str, Any]) -> None:
        with ends_if_lost(self.out):
            durable_write(self.folder / "summary.json", json_bytes(summary))


@lru_cache(maxsize=16)
def journal(out: str, part: str, job: str) -> Journal:
    """The journal of a job at `out`, one object per process and job."""
    found = Journal(out, part)
    found._hash = job
    return found
