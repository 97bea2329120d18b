"""Files of JSON lines that are appended to while a job runs, and that a kill leaves readable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Remote

SYNC_SECONDS = 1.0


class LinesFile:
    """A file that lines are appended to. A kill loses no line, a power cut those of the last second.

    A line that cannot be written is dropped. Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        # A line that a kill cut short must not spoil the next one.
        self._torn = size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"
        self._synced = 0.0

    def append(self, line: str, sync: bool = True) -> None:
        data = (("\n" if self._torn else "") + line + "\n").encode()
        self._torn = True
        with suppress(OSError):
            self._torn = os.write(self._handle, data) < len(data)
            if sync and time.monotonic() - self._synced >= SYNC_SECONDS:
                os.fsync(self._handle)
                self._synced = time.monotonic()

    def close(self) -> None:
        with suppress(OSError):
            os.fsync(self._handle)
        os.close(self._handle)


def read_lines(path: StorePath) -> Iterator[Any]:
    """The values in a file of JSON lines, without lines that are not JSON."""
    try:
        file = StringIO(path.read_text()) if isinstance(path, Remote) else path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            with suppress(ValueError):
                yield json.loads(line)
