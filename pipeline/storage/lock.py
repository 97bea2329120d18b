"""The lock of an output: only one client at a time writes there.

In a folder it is the system's lock of an open file, released when the process ends, however it ends.

In an object store it is an object that names its holder. It is put on the condition that there is none, so only one of
two clients gets it; the holder renews it every BEAT seconds. A lock that was not renewed for STALE seconds belongs to a
client that was killed: it is replaced on the condition that it is still the same, so only one of two waiting clients
gets it. Its age is the difference of two times of the store's own clock. A client that finds a younger lock waits until
it is renewed (the holder runs), deleted, or STALE seconds old; it does not wait if the holder was a process of this
machine that is gone. A holder that was suspended while another client took over finds at its next renewal that the lock
is not its own, and stops; until then both write the same bytes, unless the other was given --overwrite.
"""

from __future__ import annotations

import _thread
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Head, Remote, RemoteError

BEAT, STALE, POLL = 10.0, 60.0, 1.0  # seconds
TRIES = 5  # to take the lock of a folder, which `is_held` may hold for an instant


def lock(file: StorePath, say: Callable[[str], None] = lambda text: None) -> FileLock | ObjectLock:
    """Take the lock that is kept at `file`. Raises UsageError if another client has it.

    say: called once, with who holds the lock and how long the wait may be
    """
    return ObjectLock(file, say) if isinstance(file, Remote) else FileLock(file)


def is_held(file: StorePath) -> bool:
    """Whether a running client holds the lock. Nothing is written, and the holder is not disturbed.

    In a folder the lock is taken shared for an instant; a client that tries to take it just then tries again.
    """
    try:
        if isinstance(file, Remote):
            holder, age = _holder(file), time.time() - file.head().modified
            return age < STALE and not _is_dead(holder)
        with file.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class FileLock:
    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w")
        for left in reversed(range(TRIES)):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(0.02 if left else 0.0)
        self._file.close()
        raise UsageError(f"another gridstride is writing {file.parent.parent}: wait for it, or stop it") from None

    def check(self) -> None:
        """It cannot be lost."""

    def release(self) -> None:
        self._file.close()


class ObjectLock:
    def __init__(self, file: Remote, say: Callable[[str], None]) -> None:
        self.file, self.out, self.say = file, file.parent.parent, say
        self.holder: dict[str, Any] = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "process": os.getpid(),
            "id": uuid.uuid4().hex,
        }
        self.lost = False
        self._done = threading.Event()
        self._take()
        self._beats = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._beats.start()

    def _take(self) -> None:
        for _ in range(3):
            if self._put(""):
                return
            try:
                found = self.file.head()
                holder = _holder(self.file)
                if not _is_dead(holder):
                    self._wait(found, holder)
                if self._put(found.tag):
                    return
            except FileNotFoundError:
                continue  # it was released
        raise UsageError(f"another gridstride is writing {self.out}: wait for it, or stop it")

    def _wait(self, found: Head, holder: dict[str, Any]) -> None:
        """Wait until the lock is stale. Raises UsageError if it is put again, FileNotFoundError if it is released."""
        who, age = f"{holder.get('host')}, pid {holder.get('process')}", max(0.0, self._now() - found.modified)
        left = STALE - age
        if left <= 0:
            return
        self.say(
            f"the lock of {self.out} was last renewed {age:.0f} s ago by {who}: "
            f"waiting up to {ceil(left)} s for it to be renewed or to end"
        )
        deadline = time.monotonic() + left
        while (seconds := deadline - time.monotonic()) > 0:
            time.sleep(min(POLL, seconds))
            if self.file.head().tag != found.tag:
                raise UsageError(
                    f"another gridstride is writing {self.out} ({who}; it renewed its lock just now): "
                    "wait for it, or stop it"
                )

    def _put(self, after: str) -> bool:
        """Put the lock; whether we hold it. (The answer to our own put may have been lost.)"""
        data = json.dumps(self.holder).encode()
        put = self.file.write_bytes(data, after=after)
        if not put and _holder(self.file).get("id") == self.holder["id"]:
            put = self.file.head().tag
        if put:
            self._tag = put
        return bool(put)

    def _now(self) -> float:
        """The store's own time."""
        clock = self.file.parent / "clock"
        clock.write_bytes(self.holder["id"].encode())
        return clock.head().modified

    def _beat(self) -> None:
        while not self._done.wait(BEAT):
            self.holder["beats"] = int(self.holder.get("beats", 0)) + 1  # other content gets another tag
            try:
                kept = self._put(self._tag)
            except (RemoteError, FileNotFoundError, UsageError):
                continue  # the store does not answer: the next renewal, or the job itself, meets the error again
            if not kept and not self._done.is_set():
                self.lost = True
                _thread.interrupt_main()
                return

    def check(self) -> None:
        """Raises JobFailed if the lock was lost."""
        if self.lost:
            raise JobFailed(f"another gridstride took over {self.out}: its lock was not renewed for {STALE:.0f} s")

    def release(self) -> None:
        self._done.set()
        self._beats.join()
        try:
            if not self.lost and _holder(self.file).get("id") == self.holder["id"]:
                self.file.unlink()
        except RemoteError:
            pass  # the store does not answer: the lock is no longer renewed, and becomes stale


def _holder(file: Remote) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    if holder.get("host") != socket.gethostname() or holder.get("boot") != _boot():
        return False
    try:
        os.kill(int(holder["process"]), 0)
    except ProcessLookupError:
        return True
    except (KeyError, TypeError, ValueError, OSError):
        return False
    return False


def _boot() -> str:
    """Identity of this machine since its last start (containers may share a host name)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
