"""NoData: the values of an array's dtype that stand for a missing element."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import numpy as np

Number = float | int


@dataclass(frozen=True)
class NoData:
    """values: as elements of the array's dtype have them; a result's missing elements have the first, or `marker`."""

    values: tuple[Number, ...]
    marker: Number | None = None

    @property
    def value(self) -> Number:
        return self.values[0]

    def valid(self, data: Any, xp: Any) -> Any:
        """Which elements have a value: bool, of the shape of `data`. xp: NumPy or CuPy, whichever has the data."""
        found = xp.ones(data.shape, bool)
        for value in self.values:
            found &= data == data if isnan(value) else data != data.dtype.type(value)
        return found

    def counts(self, value: Number, dtype: np.dtype) -> bool:
        """Whether a number, as an element of the array's dtype, is none of these."""
        element = as_element(value, dtype)
        return element is None or bool(self.valid(np.array(element, dtype), np))

    @property
    def is_one_pattern(self) -> bool:
        """Whether the bits of all missing elements are the same, but for those of NaN. (Zeros have two signs.)"""
        return len(self.values) == 1 and (self.value != 0 or isinstance(self.value, int))

    def stored_as(self, dtype: np.dtype) -> NoData:
        """The value in results of a dtype: the same where the dtype has it, else NaN. Raises ValueError if there is
        neither."""
        value = self.value if self.marker is None else self.marker
        element = as_element(value, dtype)
        if element is None and dtype.kind != "f":
            raise ValueError(
                f"{number_text(value)} stands for no data, which no element of dtype {dtype} can be: give another "
                "dtype for the result, such as float32"
            )
        return NoData((float("nan") if element is None else element,))


def as_element(value: Number, dtype: np.dtype) -> Number | None:
    """A number as an element of a dtype has it, or None where none can be it."""
    if isinstance(value, int) and abs(value) >= 2**1023:
        return None  # nor can float64
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            element = float(dtype.type(value))
        return None if isfinite(value) and not isfinite(element) else element
    if not isfinite(value) or value != int(value):
        return None
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return int(value) if low <= value <= high else None


def number_text(value: Number) -> str:
    """A value as people type it."""
    return "nan" if value != value else f"{value!r}"
