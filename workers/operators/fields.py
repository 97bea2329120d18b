"""The kinds of field that recipes have, and the options that all filters of a neighbourhood share.

A field's kind decides its command-line option: `Numbers` takes 2 or 1,2,2, a Literal is a choice, a bool is a flag.
NumPy scalars and arrays are numbers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.operators.base import WIDE, Cast, Grid
from gridstride.workers.operators.boundary import MODES
from gridstride.workers.operators.recipe import Recipe


@dataclass(frozen=True)
class Several:
    """Marks a field of one value, or one for each filtered axis."""

    kind: type


@dataclass(frozen=True)
class File:
    """Marks a field that takes an array: as a .npy file on the command line, as an array too in Python."""


def plain(value: Any) -> Any:
    """NumPy's numbers and sequences as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    return tuple(plain(item) for item in value) if isinstance(value, list | tuple | range) else value


Real = Annotated[float, BeforeValidator(plain)]
Whole = Annotated[int, BeforeValidator(plain)]
Numbers = Annotated[float | tuple[float, ...], BeforeValidator(plain), Several(float)]
Counts = Annotated[int | tuple[int, ...], BeforeValidator(plain), Several(int)]
Words = Annotated[str | tuple[str, ...], BeforeValidator(plain), Several(str)]
Names = Annotated[tuple[str | int, ...], BeforeValidator(lambda value: words(value)), Several(str)]
ArrayOrFile = Annotated[np.ndarray | Path | str, BeforeValidator(lambda value: array_of(value)), File()]
AxisName = Annotated[str | int, BeforeValidator(plain)]


def words(value: Any) -> Any:
    """Words with commas between them as several; one axis number as one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return (value,) if isinstance(value, int) else plain(value)


def array_of(value: Any) -> Any:
    """Nested sequences as an array; what is an array, a path or a name already stays."""
    return np.array(value) if isinstance(value, list | tuple) else value


def dtype_name(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else np.dtype(value).name


def per_axis(value: Any, axes: Sequence[int], name: str) -> list[Any]:
    """One value for each filtered axis, from one value or a sequence of them."""
    values = list(value) if isinstance(value, tuple) else [value] * len(axes)
    if len(values) != len(axes):
        raise ValueError(f"{name} has {len(values)} values for {len(axes)} filtered axes: give one, or one per axis")
    return values


def find_axis(grid: Grid, text: str | int) -> int:
    """The number of an axis given by name or number. Raises ValueError if it is not there."""
    names, word = [axis.name for axis in grid.axes], str(text).strip()
    if word and word in names:
        return names.index(word)
    if word.lstrip("-").isdigit() and -grid.ndim <= int(word) < grid.ndim:
        return int(word) % grid.ndim
    raise ValueError(f"unknown axis {word!r}: the array has {grid.axis_list()}")


def result_dtype(text: str | None, default: np.dtype) -> np.dtype:
    """The dtype that a user names, or the default."""
    if text is None:
        return default
    try:
        dtype = np.dtype(text)
    except TypeError:
        raise ValueError(f"unknown dtype {text!r}: expected such as uint16 or float32") from None
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError(f"dtype is {text}: expected bool, an integer or a real floating-point type")
    return dtype.newbyteorder("=")


DType = Annotated[str | None, BeforeValidator(lambda value: dtype_name(value))]


class Filter(Recipe):
    """A recipe that works along some axes and goes over the others slice by slice."""

    axes: Names | None = Field(None, description="Axes to filter, by name or number, such as y,x.")
    spatial: Whole | None = Field(None, description="Filter the last N axes, the others slice by slice.")
    dtype: DType = Field(None, description="Of the result (default: the input's).")

    def filtered(self, grid: Grid, last: int | None = None) -> list[int]:
        """The axes to filter, as numbers: those of `axes`, or the last `spatial`, or the last `last`, or else all but
        the ones that are a series (time, channel). Raises ValueError for an axis that is not there."""
        if self.axes is not None and self.spatial is not None:
            raise ValueError("give axes or spatial, not both")
        if self.axes is not None:
            found: list[int] = []
            for text in self.axes:
                number = find_axis(grid, text)
                if number in found:
                    raise ValueError(f"axis {str(text)!r} is given twice")
                found.append(number)
            if not found:
                raise ValueError("axes names no axis")
            return found
        count = self.spatial if self.spatial is not None else last
        if count is not None:
            if not 1 <= count <= grid.ndim:
                what = f"spatial is {count}" if self.spatial is not None else f"the kernel has {count} dimensions"
                raise ValueError(f"{what}: the array has {grid.ndim} axes ({grid.axis_list()})")
            return list(range(grid.ndim - count, grid.ndim))
        space = [i for i, axis in enumerate(grid.axes) if axis.type == "space"]
        return space or list(range(grid.ndim))

    def out_dtype(self, grid: Grid) -> np.dtype:
        return result_dtype(self.dtype, grid.dtype)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"axes": self.filtered(grid), "dtype": self.out_dtype(grid).name}


class Neighbourhood(Filter):
    """A filter whose result depends on elements around each, and so on what lies outside the array."""

    mode: Words = Field(
        "reflect", description="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis."
    )
    cval: Real = Field(0.0, description="Value outside, in mode constant.")

    def modes(self, axes: Sequence[int]) -> list[str]:
        """The boundary mode of each filtered axis, under its first name."""
        modes = per_axis(self.mode, axes, "mode")
        for mode in modes:
            if mode not in MODES:
                raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(MODES)}")
        return [MODES[mode] for mode in modes]


class Linear(Neighbourhood):
    """A filter that sums: how it sums, and how sums become integers."""

    precision: Literal["auto", "single", "double"] = Field(
        "auto", description="Of the sums. auto: float32, but float64 for 32-bit integers and wider."
    )
    cast: Cast = Field(
        "round", description="To integers: round and saturate, or truncate and wrap around as scipy does."
    )

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return super().resolved(grid) | {"precision": self.sums(grid)}

    def sums(self, grid: Grid) -> str:
        """The precision of the sums, "single" or "double"."""
        if self.precision != "auto":
            return self.precision
        return "double" if {grid.dtype.name, self.out_dtype(grid).name} & set(WIDE) else "single"


def load_array(value: np.ndarray | Path | str, name: str) -> np.ndarray:
    """An array of real numbers, as it is or from a .npy file. Raises ValueError."""
    if isinstance(value, np.ndarray):
        array = value
    else:
        try:
            array = np.load(value, allow_pickle=False)
        except FileNotFoundError:
            raise ValueError(f"{name} {value} does not exist") from None
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} {value} cannot be read as a .npy file: {reason}") from None
    if array.dtype.kind not in "buif":
        raise ValueError(f"the {name} has dtype {array.dtype}: expected real numbers")
    if array.size == 0 or array.ndim == 0:
        raise ValueError(f"the {name} is empty (shape {array.shape}): expected at least one entry and one dimension")
    if not np.isfinite(array).all():
        raise ValueError(f"the {name} has NaN or infinite entries")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
