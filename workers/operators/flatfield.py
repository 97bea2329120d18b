"""flatfield: correction by a flat and a dark reference, and minus the logarithm for tomography."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

from gridstride.workers.families.derivatives import stored
from gridstride.workers.families.nodata import Touched
from gridstride.workers.families.rows import in_order
from gridstride.workers.launches import AXES, Launches, Ref, ceil_div, six, strides, type_name
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Operator, Window, rounding
from gridstride.workers.operators.fields import (
    ArrayOrFile,
    File,
    Fractions,
    Names,
    array_of,
    load_array,
    named_numbers,
)
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.kinds import Value, plain, value
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.gpu import Machine

THREADS = 256
PLACES = np.dtype([(key, np.int64, AXES) for key in ("size", "stride")])


def instantiations() -> list[tuple[str, str]]:
    """Every (file, name expression) that can be asked for."""
    return [("flatfield.cu", f"flatfield<{t}>") for t in ("f32", "f64")]


def number_or_array(given: Any) -> Any:
    """A number, also as text, as an array of one element; else as `array_of` takes it."""
    number = plain(given)
    if isinstance(number, str):
        try:
            number = float(number)
        except ValueError:
            return array_of(given)
    if isinstance(number, int | float) and not isinstance(number, bool):
        return np.array([value(number)])
    return array_of(given)


Reference = Annotated[np.ndarray | Path | str, BeforeValidator(number_or_array), File()]


class Flatfield(Fractions):
    """Correct uneven light: (in - dark) / (flat - dark), or minus its logarithm for tomography.

    Equal to NumPy in float64, rounded once to the result's dtype. The references broadcast as in NumPy: their axes are
    the array's last ones, or those that --axes names, and a length of 1 fits any. Where flat equals dark the division
    is by 0 and gives an infinity, or NaN for 0 / 0; --fill puts a number there instead. The logarithm of 0 is
    -infinity, that of a negative number NaN; NaN stays NaN. Give the mean of several flats.
    Example: gridstride filter flatfield cells.zarr even.zarr --flat flat.npy --dark 100
    """

    formula: ClassVar[str] = "(in - dark) / (flat - dark); with log: -ln((in - dark) / (flat - dark))"
    source: ClassVar[str] = "NumPy; A. C. Kak, M. Slaney, Principles of Computerized Tomographic Imaging, 1988, 4.1"

    flat: ArrayOrFile = Field(description="What an even object gives, such as flat.npy.")
    dark: Reference | None = Field(
        None, description="What is measured without light: an array such as dark.npy, or a number (default: 0)."
    )
    axes: Names | None = Field(
        None, description="Axes of the references in their order, such as y,x (default: the array's last ones)."
    )
    log: bool = Field(False, description="Minus the natural logarithm of the quotient, for tomography.")
    fill: Value | None = Field(None, description="What the result is where flat equals dark.")

    def bind(self, grid: Grid) -> Operator:
        flat = self.reference("flat", self.flat, grid)
        dark = self.reference("dark", np.zeros(1) if self.dark is None else self.dark, grid)
        divisor = flat - dark
        dark = np.ascontiguousarray(np.broadcast_to(dark, divisor.shape))
        fill = None if self.fill is None else float(self.fill)
        corrected = Corrected(dark, divisor, self.log, fill, self.between(grid))
        zeros, says = int(np.count_nonzero(divisor == 0)), []
        if zeros:
            there = "an infinity or NaN: --fill puts a number there" if self.fill is None else f"{self.fill:g}"
            says.append(f"flat equals dark at {zeros} of {divisor.size} elements, where the result is {there}")
        return stored([Step("corrected", corrected)], self.between(grid), self.out_dtype(grid), "round", says)

    def reference(self, name: str, given: np.ndarray | Path | str, grid: Grid) -> np.ndarray:
        """A reference in float64, with a dimension for each axis of the grid. Raises ValueError if it does not fit."""
        array = np.asarray(load_array(given, name), np.float64)
        axes = list(range(grid.ndim)) if self.axes is None else named_numbers(grid, self.axes)
        many = f"{array.ndim} dimension{'s' * (array.ndim > 1)}"
        if array.ndim > len(axes):
            if array.size > 1:
                given = f"the array {grid.ndim}" if self.axes is None else f"axes names {len(axes)}"
                raise ValueError(f"the {name} has {many} (shape {array.shape}), and {given}: expected no more")
            array = array.reshape(-1)
        axes = axes[len(axes) - array.ndim :]
        for axis, n in zip(axes, array.shape, strict=True):
            if n not in (1, grid.shape[axis]):
                there = f"{grid.axes[axis].name or axis} of {grid.shape[axis]}"
                hint = "name the axes of the references with axes" if self.axes is None else "expected that, or 1"
                raise ValueError(
                    f"the {name} of shape {array.shape} has {n} elements along axis {there}: {hint}"
                    + (", or take the mean of several references first" if array.ndim > 2 else "")
                )
        shape = [1] * grid.ndim
        for axis, n in zip(axes, array.shape, strict=True):
            shape[axis] = n
        return array.transpose(np.argsort(axes)).reshape(shape)


@dataclass(frozen=True)
class Corrected(Operator):
    """(element - dark) / divisor in float64, stored as float32 or float64.

    dark, divisor: float64, of one shape: on each axis the grid's length, or 1
    log:  minus the logarithm of that; fill: what is where the divisor is 0, or None for what IEEE 754 says
    """

    dark: np.ndarray
    divisor: np.ndarray
    log: bool
    fill: float | None
    out_dtype: np.dtype

    def out_grid(self, grid: Grid) -> Grid:
        return grid.having(self.out_dtype)

    def describe(self) -> str:
        return "minus the logarithm of " * self.log + "(array - dark) / (flat - dark)"

    def remarks(self, grid: Grid) -> tuple[str, ...]:
        return rounding(grid, "double")

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        left = nodata.stored_as(self.out_dtype)
        return Touched(self, nodata, left.value), left

    def element_time(self, grid: Grid) -> float:
        return 3.0 if self.log else 1.0

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        """The parts of both references, copies of data and result that do not lie in a row, and numbers of rows."""
        part = prod(n for n, length in zip(want.shape, self.divisor.shape, strict=True) if length > 1)
        rows = part * (want.shape[-1] if self.divisor.shape[-1] == 1 else 1)
        copies = want.size * (max(4, grid.dtype.itemsize) + self.out_dtype.itemsize)
        return 3 * 8 * rows + copies + 16 * prod(want.shape[:-1]) + 2**15

    def parts(self, want: Region) -> tuple[np.ndarray, np.ndarray]:
        """Both references where they are of a region."""
        spans = zip(self.divisor.shape, want.spans, strict=True)
        place = tuple(slice(None) if n == 1 else slice(*span) for n, span in spans)
        return self.dark[place], self.divisor[place]

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.flatfield_cpu import correct  # Numba takes time to import

        data = window.part(window.want).data
        if data.size == 0:
            return
        data = data.view(np.uint8) if data.dtype.kind == "b" else data
        data = in_order(data.astype(np.float32) if data.dtype == np.float16 else data)
        n = data.shape[-1]
        result = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
        dark, divisor = (
            np.ascontiguousarray(np.broadcast_to(part, (*part.shape[:-1], n))) for part in self.parts(window.want)
        )
        numbers = np.arange(prod(dark.shape[:-1])).reshape(dark.shape[:-1])
        rows = np.broadcast_to(numbers, data.shape[:-1]).reshape(-1)
        fill, filled = (0.0, False) if self.fill is None else (self.fill, True)
        references = np.ascontiguousarray(rows), in_order(dark.reshape(-1, n)), in_order(divisor.reshape(-1, n))
        correct(data.reshape(-1, n), *references, self.log, filled, fill, result.reshape(-1, n))
        if result is not out:
            out[...] = result

    def on_gpu(self, window: Window, machine: Machine) -> Any:
        """From numbers of the result's dtype, which have those of all that it is made from."""
        numbers = Window(window.data.astype(self.out_dtype), window.have, window.want, window.grid)
        return super().on_gpu(numbers, machine)

    def gpu(self, window: Window, launches: Launches) -> None:
        count = prod(window.want.shape)
        if count == 0:
            return
        dark, divisor = self.parts(window.want)
        places = np.zeros((), PLACES)
        places["size"] = six(window.want.shape, 1)
        steps = [0 if n == 1 else step for n, step in zip(divisor.shape, strides(divisor.shape), strict=True)]
        places["stride"] = six(steps, 0)
        constants = launches.constant(places), launches.constant(dark), launches.constant(divisor)
        fill, filled = (0.0, 0) if self.fill is None else (self.fill, 1)
        numbers = np.int64(count), np.int32(self.log), np.int32(filled), np.float64(fill)
        args = Ref("data"), Ref("out"), *constants, *numbers
        expression = f"flatfield<{type_name(self.out_dtype)}>"
        launches.launch("flatfield.cu", expression, ceil_div(count, THREADS), (THREADS, 1), 0, args)
