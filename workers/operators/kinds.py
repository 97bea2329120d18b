"""The kinds of values that recipes' fields and runs' options have. Each judges a value before anything is made of it.

NumPy's scalars and arrays are numbers and sequences of them. Text, truth values and what is not finite are no numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
from pydantic import BeforeValidator

Judge = Callable[[Any], Any]
# Kernels count elements along an axis in 32 bits.
LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Several:
    """Marks a field of one value, or one for each filtered axis."""

    kind: type


@dataclass(frozen=True)
class Pairs:
    """Marks a field of names and values, each NAME=VALUE."""


def plain(value: Any) -> Any:
    """NumPy's numbers and sequences as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return tuple(plain(item) for item in value) if isinstance(value, list | tuple | range) else value


def value(given: Any) -> float | int:
    """Any number, NaN and infinity too: as float64, unless that would round a whole number."""
    found = plain(given)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError("expected a number")
    try:
        return float(found) if float(found) == found or found != found else found
    except OverflowError:
        raise ValueError("expected a number that float64 holds") from None


def real(given: Any) -> float:
    found = float(value(given))
    if not isfinite(found):
        raise ValueError("expected a finite number")
    return found


def whole(given: Any) -> int:
    found = plain(given)
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found or found % 1:
        raise ValueError("expected a whole number")
    return int(found)


def within(low: int, high: int) -> Judge:
    """Whole numbers from low to high."""

    def judge(given: Any) -> int:
        found = whole(given)
        if not low <= found <= high:
            raise ValueError(f"expected a whole number, {low} or more" if found < low else f"expected {high} at most")
        return found

    return judge


def positive(given: Any) -> float:
    found = value(given)
    if not 0 < found < float("inf"):
        raise ValueError("expected a number above 0")
    return float(found)


def not_negative(given: Any) -> float:
    found = value(given)
    if not 0 <= found < float("inf"):
        raise ValueError("expected a number of 0 or more")
    return float(found)


def width(given: Any) -> float:
    found = value(given)
    if not 1e-20 <= found <= 1e20:
        raise ValueError("expected a number from 1e-20 to 1e20")
    return float(found)


def spread(given: Any) -> float:
    """A number of 0 or more whose square is not infinite."""
    found = value(given)
    if not 0 <= found <= 1e20:
        raise ValueError("expected a number from 0 to 1e20")
    return float(found)


def factor(given: Any) -> float:
    found = real(given)
    if abs(found) > 1e6:
        raise ValueError("expected a number from -1e6 to 1e6")
    return found


def several(judge: Judge) -> Judge:
    """One of a kind, or a sequence of them."""

    def judged(given: Any) -> Any:
        found = plain(given)
        if isinstance(found, tuple) and found:
            return tuple(judge(item) for item in found)
        if not isinstance(found, int | float):
            raise ValueError("expected a number, or one for each filtered axis")
        return judge(found)

    return judged


def shape(given: Any) -> tuple[int, ...]:
    """A whole number of 1 or more for each axis."""
    found = plain(given)
    if not isinstance(found, tuple):
        raise ValueError("expected a whole number for each axis, such as (64, 256, 256)")
    return tuple(within(1, LARGEST)(item) for item in found)


def word(given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise ValueError("expected text")
    return given


def place(given: Any) -> str:
    """The path of a file."""
    if not isinstance(given, str | Path) or not str(given):
        raise ValueError("expected a path")
    return os.fspath(given)


Value = Annotated[float | int, BeforeValidator(value)]
Real = Annotated[float, BeforeValidator(real)]
Positive = Annotated[float, BeforeValidator(positive)]
Width = Annotated[float, BeforeValidator(width)]
Spread = Annotated[float, BeforeValidator(spread)]
Widths = Annotated[float | tuple[float, ...], BeforeValidator(several(width)), Several(float)]
Factor = Annotated[float, BeforeValidator(factor)]
Whole = Annotated[int, BeforeValidator(whole)]
Size = Annotated[int, BeforeValidator(within(1, LARGEST))]
Numbers = Annotated[float | tuple[float, ...], BeforeValidator(several(real)), Several(float)]
Positives = Annotated[float | tuple[float, ...], BeforeValidator(several(positive)), Several(float)]
NotNegatives = Annotated[float | tuple[float, ...], BeforeValidator(several(not_negative)), Several(float)]
Sizes = Annotated[int | tuple[int, ...], BeforeValidator(several(within(1, LARGEST))), Several(int)]
Counts = Annotated[int | tuple[int, ...], BeforeValidator(several(within(0, LARGEST))), Several(int)]
Offsets = Annotated[int | tuple[int, ...], BeforeValidator(several(whole)), Several(int)]
Words = Annotated[str | tuple[str, ...], BeforeValidator(plain), Several(str)]
Shape = Annotated[tuple[int, ...], BeforeValidator(shape)]
Place = Annotated[str, BeforeValidator(place)]


def alternatives(annotation: Any) -> list[Any]:
    """The types of a union, without Annotated around them."""
    if hasattr(annotation, "__metadata__"):
        return alternatives(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        return [kind for part in get_args(annotation) for kind in alternatives(part)]
    return [annotation]


def marked(annotation: Any, marker: type) -> Any:
    """The marker of a type in a union such as `Counts | None`."""
    for part in (annotation, *get_args(annotation)):
        for found in getattr(part, "__metadata__", ()):
            if isinstance(found, marker):
                return found
    return None
