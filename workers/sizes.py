"""Sizes in bytes, as people write them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

SIZES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}


def parse_size(text: str | int | float) -> int:
    """Bytes from "2GB", "512 MiB" or a number."""
    digits = str(text).strip().lower().replace("_", "")
    number = digits.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = digits[len(number) :].strip()
    try:
        size = int(float(number) * SIZES[unit])
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{text!r} is no size: expected a number and a unit, such as 2GB or 512MiB") from None
    if size <= 0:
        raise ValueError(f"{text!r} is no size: expected more than 0")
    return size


def mebibytes(size: int) -> int:
    """The size in MiB, rounded up."""
    return -(-size // 2**20)


def _bytes(value: Any) -> Any:
    return None if value is None else parse_size(value)


# The field of a model that takes sizes.
Bytes = Annotated[int, BeforeValidator(_bytes)]
