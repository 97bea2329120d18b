"""The kinds of field that recipes have, and the options that all filters of a neighbourhood share.

A field's kind (`kinds` has those of numbers) judges its values and decides its command-line option: `Numbers` takes 2
or 1,2,2, a Literal is a choice, a bool is a flag.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.array_files import read_array
from gridstride.workers.operators.base import WIDE, Cast, Grid
from gridstride.workers.operators.boundary import MODES
from gridstride.workers.operators.kinds import Offsets, Several, Size, Sizes, Value, Words, plain
from gridstride.workers.operators.recipe import Recipe

# What a file of an array may be, for descriptions.
FILE = "A .npy file, .npz:KEY, .safetensors:KEY or Zarr array"


@dataclass(frozen=True)
class File:
    """Marks a field that takes an array: as a file on the command line (`array_files`), as an array too in Python."""


Names = Annotated[tuple[str | int, ...], BeforeValidator(lambda value: words(value)), Several(str)]
ArrayOrFile = Annotated[np.ndarray | Path | str, BeforeValidator(lambda value: array_of(value)), File()]
AxisName = Annotated[str | int, BeforeValidator(plain)]


def words(value: Any) -> Any:
    """Words with commas between them as several; one axis number as one."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return (value,) if isinstance(value, int) else plain(value)


def array_of(value: Any) -> Any:
    """Nested sequences as an array, ~ in a path as the home folder; what is an array or a name already stays."""
    try:
        found = np.array(value) if isinstance(value, list | tuple) else value
    except ValueError:
        raise ValueError("expected rows of the same length") from None
    if not isinstance(found, np.ndarray | Path | str):
        raise ValueError("expected an array, or the path of its file")
    return found if isinstance(found, np.ndarray) else os.path.expanduser(found)  # noqa: PTH111 (it may be a name)


def dtype_name(value: Any) -> str | None:
    """The name of a dtype that results may have."""
    if value is None:
        return None
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError, SyntaxError):
        raise ValueError("expected a dtype such as uint16 or float32") from None
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError("expected bool, an integer or a real floating-point type")
    return dtype.name


def per_axis(value: Any, axes: Sequence[int], name: str) -> list[Any]:
    """One value for each filtered axis, from one value or a sequence of them."""
    values = list(value) if isinstance(value, tuple) else [value] * len(axes)
    if len(values) != len(axes):
        raise ValueError(f"{name} has {len(values)} values for {len(axes)} filtered axes: give one, or one per axis")
    return values


def find_axis(grid: Grid, text: str | int) -> int:
    """The number of an axis given by name or number. Raises ValueError if it is not there, or if two have the name."""
    names, word = [axis.name for axis in grid.axes], str(text).strip()
    found = [number for number, name in enumerate(names) if name and name == word]
    found = found or [number for number, name in enumerate(names) if name and name.lower() == word.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{len(found)} axes are called {word!r}: give the number of one, of {grid.axis_list()}")
    if re.fullmatch("-?[0-9]+", word) and -grid.ndim <= int(word) < grid.ndim:
        return int(word) % grid.ndim
    raise ValueError(f"unknown axis {word!r}: the array has {grid.axis_list()}")


def named_numbers(grid: Grid, axes: Sequence[str | int]) -> list[int]:
    """The numbers of axes given by names or numbers; zyx is z,y,x where the array has axes of these names. Raises
    ValueError for those that are not there, or are given twice."""
    names, one = {axis.name for axis in grid.axes}, str(axes[0]) if len(axes) == 1 else ""
    found: list[int] = []
    for text in list(one) if one and one not in names and set(one) <= names else axes:
        number = find_axis(grid, text)
        if number in found:
            raise ValueError(f"axis {str(text)!r} is given twice")
        found.append(number)
    if not found:
        raise ValueError("axes names no axis")
    return found


DType = Annotated[str | None, BeforeValidator(lambda value: dtype_name(value))]


class Filter(Recipe):
    """A recipe that works along some axes and goes over the others slice by slice."""

    axes: Names | None = Field(
        None, description="Axes to filter, by name or number, such as y,x or yx (default: those that are space)."
    )
    spatial: Size | None = Field(None, description="Filter the last N axes that are space, the others slice by slice.")
    dtype: DType = Field(None, description="Of the result (default: the input's).")

    def filtered(self, grid: Grid, last: int | None = None, without: int | None = None) -> list[int]:
        """The axes to filter, as numbers: those of `axes`, or else those that are space: the last `spatial` of them, or
        the last `last`, or all. Raises ValueError if they are not there, or if no axis is known to be space.

        without: an axis that is not filtered, whatever it is
        """
        if self.axes is not None and self.spatial is not None:
            raise ValueError("give axes or spatial, not both")
        if self.axes is not None:
            return named_numbers(grid, self.axes)
        space = [i for i, axis in enumerate(grid.axes) if (axis.type == "space" or grid.ndim == 1) and i != without]
        count = self.spatial if self.spatial is not None else last
        if not space or (count is not None and not 1 <= count <= len(space)):
            also = "" if without is None else " beside outputs and channels"
            what = "" if count is None else f"the kernel has {count} dimensions{also} and "
            what = what if self.spatial is None else f"spatial is {count} and "
            known = f"{len(space)} of the array's axes are" if space else "none of the array's axes is"
            raise ValueError(f"{what}{known} known to be space ({grid.axis_list()}): name those to filter with axes")
        return space if count is None else space[len(space) - count :]

    def out_dtype(self, grid: Grid) -> np.dtype:
        return grid.dtype if self.dtype is None else np.dtype(self.dtype)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return {"axes": self.filtered(grid), "dtype": self.out_dtype(grid).name}


class Neighbourhood(Filter):
    """A filter whose result depends on elements around each, and so on what lies outside the array."""

    mode: Words = Field(
        "reflect", description="Boundary: reflect, mirror, nearest, wrap or constant; one, or one per filtered axis."
    )
    cval: Value = Field(0.0, description="Value outside, in mode constant.")

    def modes(self, axes: Sequence[int]) -> list[str]:
        """The boundary mode of each filtered axis, under its first name."""
        modes = per_axis(self.mode, axes, "mode")
        for mode in modes:
            if mode not in MODES:
                raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(MODES)}")
        return [MODES[mode] for mode in modes]

    def notes(self) -> list[str]:
        given = [self.mode] if isinstance(self.mode, str) else self.mode
        if "cval" not in self.model_fields_set or "constant" in {MODES.get(mode) for mode in given}:
            return []
        return [f"cval {self.cval:g} has no effect: it is of mode constant, and mode is {', '.join(given)}"]

    def outside(self, grid: Grid) -> float | int:
        """The value outside. Raises ValueError for one that integers cannot hold."""
        if not np.isfinite(float(self.cval)) and {grid.dtype.kind, self.out_dtype(grid).kind} & set("bui"):
            raise ValueError(f"cval is {self.cval}: expected a finite number, for arrays of integers")
        return self.cval


@dataclass(frozen=True)
class Box:
    """The elements that each output is made from, on all axes of a grid: 1 element on those that are not filtered.

    size, before, modes: the box, the elements of it before the output, and the boundary, on each axis
    footprint: bool, of shape `size`: the part of the box that counts; None for all of it
    """

    size: tuple[int, ...]
    before: tuple[int, ...]
    modes: tuple[str, ...]
    footprint: np.ndarray | None = None

    @property
    def count(self) -> int:
        """How many elements count."""
        return prod(self.size) if self.footprint is None else int(np.count_nonzero(self.footprint))

    def reflected(self) -> Box:
        """The box turned round its output on every axis, as a dilation takes it."""
        before = tuple(n - 1 - b for n, b in zip(self.size, self.before, strict=True))
        return replace(self, before=before, footprint=None if self.footprint is None else np.flip(self.footprint))


class Boxed(Neighbourhood):
    """A filter whose result is made from the elements of a box, or of a footprint, around each."""

    size: Sizes | None = Field(None, description="Of the box in elements, one or one per filtered axis.")
    footprint: ArrayOrFile | None = Field(
        None, description="Elements that count, those that are not 0: a file, a dimension per filtered axis."
    )
    origin: Offsets = Field(0, description="Shift, one or one per filtered axis.")

    def box(self, grid: Grid) -> Box:
        """The box or footprint around each output. Raises ValueError if neither or both are given, if a footprint has
        not a dimension for each filtered axis, or no element, or if `origin` leaves the output outside of the box."""
        axes = self.filtered(grid)
        footprint = self._footprint(grid, axes)
        sizes = per_axis(self.size, axes, "size") if footprint is None else footprint.shape
        size, before, modes = [1] * grid.ndim, [0] * grid.ndim, ["nearest"] * grid.ndim
        terms = zip(axes, sizes, per_axis(self.origin, axes, "origin"), self.modes(axes), strict=True)
        for axis, n, origin, mode in terms:
            size[axis], before[axis], modes[axis] = n, n // 2 + origin, mode
            if not 0 <= before[axis] < n:
                raise ValueError(
                    f"origin is {origin}: expected {-(n // 2)} to {(n - 1) // 2}, for a box of {n} elements"
                )
        if footprint is not None:  # its dimensions are those of the axes as they are given
            footprint = None if footprint.all() else footprint.transpose(np.argsort(axes)).reshape(size)
        return Box(tuple(size), tuple(before), tuple(modes), footprint)

    def _footprint(self, grid: Grid, axes: Sequence[int]) -> np.ndarray | None:
        """The footprint as truth values, its dimensions in the order of `axes`."""
        if self.footprint is None:
            if self.size is None:
                raise ValueError("give size, such as 3, or footprint, a file or an array")
            return None
        if self.size is not None and "size" in self.model_fields_set:
            raise ValueError("give size or footprint, not both")
        footprint = load_array(self.footprint, "footprint") != 0
        if footprint.ndim != len(axes):
            known = ", ".join(
                f"{axis} ({grid.axes[axis].name})" if grid.axes[axis].name else str(axis) for axis in axes
            )
            raise ValueError(
                f"the footprint has {footprint.ndim} dimensions for {len(axes)} filtered axes ({known}): "
                "name as many with axes"
            )
        if not footprint.any():
            raise ValueError("the footprint is empty: expected at least one element that is not 0")
        return footprint


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


class Fractions(Recipe):
    """One whose results are floating-point numbers, whatever the array's are."""

    dtype: DType = Field(
        None, description="Of the result (default: float32, but float64 for 32-bit integers and wider)."
    )

    def out_dtype(self, grid: Grid) -> np.dtype:
        return np.dtype(self.dtype or ("float64" if grid.dtype.name in WIDE else "float32"))

    def between(self, grid: Grid) -> np.dtype:
        """What numbers are between one step and the next."""
        return np.dtype(np.float64 if {grid.dtype.name, self.out_dtype(grid).name} & set(WIDE) else np.float32)

    def resolved(self, grid: Grid) -> dict[str, Any]:
        return super().resolved(grid) | {"dtype": self.out_dtype(grid).name}


class Floating(Fractions, Linear):
    """A filter whose results are floating-point numbers, as scikit-image's are."""

    def between(self, grid: Grid) -> np.dtype:
        return np.dtype(np.float32) if self.precision == "single" else super().between(grid)


class Precise(Floating):
    """One whose sums are made in float64 unless the user says otherwise: differences of them are what counts."""

    precision: Literal["auto", "single", "double"] = Field("auto", description="Of the sums. auto: float64.")

    def sums(self, grid: Grid) -> str:
        return "double" if self.precision == "auto" else self.precision


class Scaling(Floating):
    """One that makes integers parts of the largest of their dtype, as scikit-image's img_as_float."""

    preserve_range: bool = Field(
        False, description="Leave integers as they are, not divided by the largest of their dtype."
    )

    def scaling(self, grid: Grid) -> tuple[str, ...]:
        """The remark on integers that are divided."""
        return () if self.preserve_range else divided(grid)


def divided(grid: Grid) -> tuple[str, ...]:
    """The remark on integers that become parts of the largest of their dtype."""
    if grid.dtype.kind not in "iu":
        return ()
    largest = np.iinfo(grid.dtype).max
    return (f"integers are divided by {largest}, as in scikit-image: --preserve-range leaves them as they are",)


def load_array(value: np.ndarray | Path | str, name: str) -> np.ndarray:
    """An array of real numbers, as it is or from a file (`array_files`): floats as stored, others as float64. Raises
    ValueError."""
    array = value if isinstance(value, np.ndarray) else read_array(value, name)
    if array.dtype.kind not in "buif":
        raise ValueError(f"the {name} has dtype {array.dtype}: expected real numbers")
    if array.size == 0 or array.ndim == 0:
        raise ValueError(f"the {name} is empty (shape {array.shape}): expected at least one entry and one dimension")
    if not np.isfinite(array).all():
        raise ValueError(f"the {name} has NaN or infinite entries")
    # Another byte order, or a width that C lacks, is known to no kernel.
    wide = array.dtype.kind != "f" or array.dtype.itemsize > 8
    return np.array(array, np.float64 if wide else array.dtype.newbyteorder("="))
