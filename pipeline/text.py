"""Words for people: numbers, times, sizes and shapes as text, made the same way everywhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

SHOWN = 80  # characters of a value


def one_line(text: str) -> str:
    """The text on one line, without characters that would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(text).split()))


def shown(value: object) -> str:
    """A value on one short line."""
    text = one_line(repr(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def base_name(where: Any) -> str:
    """The last part of a path or an address."""
    return str(where).rstrip("/").rpartition("/")[2]


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun: 1 block, 2 blocks; nouns: the plural, where it is not noun and s."""
    return f"{number} {noun}" if number == 1 else f"{number} {nouns or noun + 's'}"


def shape_text(shape: Iterable[int]) -> str:
    """A shape: 64 x 256 x 256."""
    return " x ".join(map(str, shape))


def megabytes(size: float) -> str:
    """A size in bytes, in decimal units: 512 B, 4.1 kB, 2.05 MB, 17.2 GB, 1.5 TB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


def duration(span: float) -> str:
    """A time span in seconds: 0.42 s, 12 s, 3 min 20 s, 2 h 10 min, 3 d 4 h."""
    if span < 10:
        return f"{max(span, 0):.2g} s"
    whole = round(span)
    for unit, small, size, least in (("d", "h", 86_400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            big, rest = divmod(whole, size)
            return f"{big} {unit} {rest // least} {small}" if rest // least else f"{big} {unit}"
    return f"{whole} s"


def clock(at: float) -> str:
    """Local date and time of a time in seconds of the Unix epoch."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
