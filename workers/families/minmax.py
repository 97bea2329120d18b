"""Minima and maxima: the smallest or the largest of the elements around each, which are erosion and dilation."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from gridstride.workers.families.local import Local
from gridstride.workers.families.minmax_plan import memory, runs_of
from gridstride.workers.families.nodata import Masked, Run, as_bytes, chosen, filled
from gridstride.workers.families.parts import nothing
from gridstride.workers.families.rank import constant
from gridstride.workers.launches import Launches
from gridstride.workers.nodata import NoData
from gridstride.workers.operators.base import Grid, Meaning, Operator, Window
from gridstride.workers.operators.boundary import Taps
from gridstride.workers.region import Region

if TYPE_CHECKING:
    from gridstride.workers.operators.fields import Box

GPU_BYTES = 8192  # CuPy's pool rounds each of a handful of pieces of memory up to 512 bytes
WORK_BYTES = 2**16  # more than the tables, and what Python makes around the kernels


@dataclass(frozen=True)
class MinMax(Local):
    """The smallest or the largest of the elements that a box around each output holds.

    largest: which of the two
    size, before, modes: the box, the elements of it before the output, and the boundary, on each axis of the array
    cval: the value outside in mode "constant", one that the array's dtype has
    footprint: bool, of shape `size`: the part of the box that counts; None for all of it

    NaN among the elements gives NaN, as NumPy's minimum and maximum do; -0.0 is below 0.0.
    """

    largest: bool
    size: tuple[int, ...]
    before: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float | int = 0
    footprint: np.ndarray | None = None

    def reads(self, grid: Grid) -> tuple[Taps, ...]:
        return tuple(Taps(n, -b, mode=m) for n, b, m in zip(self.size, self.before, self.modes, strict=True))

    def describe(self) -> str:
        shape = "box" if self.footprint is None else f"footprint of {int(self.footprint.sum())} elements"
        return f"{'maximum' if self.largest else 'minimum'} over a {shape}, {' x '.join(map(str, self.size))}"

    def meaning(self) -> Meaning:
        return Meaning(1.0, between=True, chosen=True)

    def without(self, nodata: NoData, grid: Grid) -> tuple[Operator, NoData]:
        """Missing elements are left out."""
        left = nodata.stored_as(grid.dtype)
        inside = self if nodata.counts(self.cval, grid.dtype) else self.but(cval=nothing(grid.dtype)[self.largest])
        some = self.but(largest=True, cval=int(inside is self))
        return MinMaxOfValid(inside, nodata, left.value, some), left

    def scratch(self, want: Region, grid: Grid, device: str) -> int:
        shape, item = self.padded_shape(want, grid), grid.dtype.itemsize
        if want.size == 0:
            return 0
        if device == "gpu":
            item = max(4, item) if grid.dtype == np.float16 else item
            if self.footprint is None:
                keys = 2 * prod(shape)
            else:
                longest = int(runs_of(self.footprint)[1].max())
                keys = longest.bit_length() * prod(shape)
            halves = 4 * (want.size + prod(shape)) if grid.dtype == np.float16 else 0
            return item * keys + halves + 8 * sum(shape) + 16 * prod(self.size) + GPU_BYTES
        return memory(self.size, self.footprint, want.shape, shape, item) + WORK_BYTES

    def cpu(self, window: Window, out: np.ndarray) -> None:
        from gridstride.workers.families.minmax_cpu import minmax  # Numba takes time to import

        minmax(self, window, out)

    def gpu(self, window: Window, launches: Launches) -> None:
        from gridstride.workers.families.minmax_gpu import launch_minmax

        launch_minmax(self, window, launches)


@dataclass(frozen=True)
class MinMaxOfValid(Masked):
    """The smallest or the largest of the elements that have a value; no data where there is none.

    operator: the MinMax, in whose order a missing element is the last; some: whether any has a value
    """

    operator: MinMax
    some: MinMax

    def helpers(self, grid: Grid) -> list[tuple[Operator, Grid]]:
        return [(self.operator, grid), (self.some, grid.having(np.uint8))]

    def made(self, window: Window, valid: Any, xp: Any, run: Run) -> Any:
        last = nothing(window.grid.dtype)[self.operator.largest]
        found = run(self.operator, filled(window, valid, xp, last))
        return chosen(run(self.some, as_bytes(window, valid)) > 0, found, self.missing, xp)


def extreme(box: Box, largest: bool, grid: Grid, outside: float | int) -> MinMax:
    """The smallest or the largest element of a box or footprint; outside: the value there, in mode "constant"."""
    cval = constant(outside, grid.dtype) if "constant" in box.modes else 0
    footprint = None if box.footprint is None else np.ascontiguousarray(box.footprint)
    return MinMax(largest, box.size, box.before, box.modes, cval, footprint)
