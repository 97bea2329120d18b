"""The standard streams of a command that outlives its terminal, its log's reader, or never had one."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Lasting(io.FileIO):
    """A stream that drops what nobody can read any more: its pipe was closed (`| head`), or its terminal."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            return memoryview(data).nbytes


def make_lasting() -> None:
    """Make the streams of this process such. One that was closed at the start (`>&-`) goes nowhere; else the next file
    that is opened would get its number, and what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)


def _stream(number: int, before: TextIO | None) -> TextIO:
    encoding = before.encoding if before is not None else "utf-8"
    at_once = number == 2 or os.isatty(number)
    buffered = io.BufferedWriter(_Lasting(number, "w", closefd=False))
    return io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=at_once)
